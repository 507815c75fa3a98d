// Dense bit streams, little-endian: code i fills bits i * bits .. (i + 1) * bits - 1. Free of Python, so that the
// emulator and stand-alone test programs can use it.
#pragma once

#include <cstdint>
#include <vector>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "bitswath's bit streams are written for little-endian machines"
#endif

namespace bitswath {

constexpr int64_t packed_bytes(int64_t count, int bits) { return (count * bits + 7) / 8; }

// Packs `count` codes, one a byte, into packed_bytes(count, bits) bytes whose fill bits are zero; returns the OR of
// all codes, so that the range check costs no second pass. With codes that need more bits the bytes are undefined.
using PackKernel = uint64_t (*)(const uint8_t* codes, int64_t count, uint8_t* bytes);
// The inverse; fill bits are not looked at.
using UnpackKernel = void (*)(const uint8_t* bytes, int64_t count, uint8_t* codes);

// One implementation for each width, at [bits], 1..8. None touches a byte outside its arrays.
struct PackingKernels {
    const char* name = "plain";
    PackKernel pack[9] = {};
    UnpackKernel unpack[9] = {};
};

PackingKernels plain_packing();

// Those that this processor can run, the plain ones first, the best last.
const std::vector<PackingKernels>& packing_kernels();

// `count` codes of 1..8 bits from their bytes, with the best kernel.
inline void unpack_codes(const uint8_t* bytes, int bits, int64_t count, uint8_t* codes) {
    packing_kernels().back().unpack[bits](bytes, count, codes);
}

// The inverse; returns the OR of all codes.
inline uint64_t pack_codes(const uint8_t* codes, int bits, int64_t count, uint8_t* bytes) {
    return packing_kernels().back().pack[bits](codes, count, bytes);
}

}  // namespace bitswath
