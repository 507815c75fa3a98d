// Dense bit streams, little-endian: code i fills bits i * bits .. (i + 1) * bits - 1. Free of Python, so that the
// emulator and stand-alone test programs can use it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "bitswath's bit streams are written for little-endian machines"
#endif

namespace bitswath {

constexpr int64_t packed_bytes(int64_t count, int bits) { return (count * bits + 7) / 8; }

// Packs `count` codes, one a byte, into packed_bytes(count, bits) bytes whose fill bits are zero. Returns the OR of
// all codes, eight side by side, so that the range check costs no second pass (0 for eight bits, where no code is
// too large); with codes that need more bits the bytes are undefined.
using PackKernel = uint64_t (*)(const uint8_t* codes, int64_t count, uint8_t* bytes);
// The inverse; fill bits are not looked at.
using UnpackKernel = void (*)(const uint8_t* bytes, int64_t count, uint8_t* codes);
// The same for `groups` times `size` codes, 1 <= size <= 8, each group starting on a byte.
using PackGroupsKernel = uint64_t (*)(const uint8_t* codes, int64_t groups, int size, uint8_t* bytes);
using UnpackGroupsKernel = void (*)(const uint8_t* bytes, int64_t groups, int size, uint8_t* codes);

// One implementation for each width, at [bits], 1..8 (groups: 1..7). None touches a byte outside its arrays.
struct PackingKernels {
    const char* name = "plain";
    PackKernel pack[9] = {};
    UnpackKernel unpack[9] = {};
    PackGroupsKernel pack_groups[8] = {};
    UnpackGroupsKernel unpack_groups[8] = {};
};

// The OR of codes that lie side by side.
constexpr uint64_t any_code(uint64_t seen) {
    seen |= seen >> 32;
    seen |= seen >> 16;
    return (seen | seen >> 8) & 0xFF;
}

// Those that this processor can run, the plain ones first, the best last.
const std::vector<PackingKernels>& packing_kernels();

// By name; the best for an empty one. Throws std::invalid_argument for one that is not there.
const PackingKernels& packing_kernels_named(const std::string& name);

// `count` codes of 1..8 bits from their bytes, with the best kernel.
inline void unpack_codes(const uint8_t* bytes, int bits, int64_t count, uint8_t* codes) {
    packing_kernels().back().unpack[bits](bytes, count, codes);
}

// The inverse; returns what a `PackKernel` does.
inline uint64_t pack_codes(const uint8_t* codes, int bits, int64_t count, uint8_t* bytes) {
    return packing_kernels().back().pack[bits](codes, count, bytes);
}

}  // namespace bitswath
