// What the files with packing kernels share.
#pragma once

#include "common/cpu.hpp"
#include "packing/packing.hpp"

namespace bitswath {

// Eight codes at a time in a 64-bit word; the reference, and what is left over by the others.
template <int B>
uint64_t pack_plain(const uint8_t* codes, int64_t count, uint8_t* bytes);
template <int B>
void unpack_plain(const uint8_t* bytes, int64_t count, uint8_t* codes);

PackingKernels plain_packing();
#if defined(__x86_64__)
PackingKernels avx2_packing();
PackingKernels avx512_packing();
#elif defined(BITSWATH_NEON)
PackingKernels neon_packing();
#endif

// How many steps a loop may take that consumes `codes` codes and `bytes` bytes a step, but touches `touched` bytes.
constexpr int64_t whole_steps(int64_t count, int bits, int codes, int touched) {
    const int64_t bytes = packed_bytes(count, bits), step = codes * bits / 8, full = count / codes;
    const int64_t inside = bytes < touched ? 0 : (bytes - touched) / step + 1;
    return full < inside ? full : inside;
}

struct alignas(64) Bytes64 {
    uint8_t at[64] = {};
};

}  // namespace bitswath
