// Convolutions of codes of one or two bits, 0..3, with weights of one or two bits. Codes are packed first:
//   quads:  four codes side by side in a byte, two bits each; a byte's 16 possible sums with four one-bit weights
//           are looked up in a register, for many outputs at once
//   planes: a word of 32 bits for each bit of 32 codes; sums are counts of the bits that codes and weights share
// Weights are slope * u + level with u in 0..3 and a slope and level of each output: {-1, 1} as 2u - 1, -2..1 as u - 2.
#pragma once

#include <cstdint>

#include "common/cpu.hpp"
#include "kernels/types.hpp"

namespace bitswath::emulator {

// A few rows of the output as tiles of neighbouring windows, as for ConvRows. Window p of tile t starts at byte
// starts[t] + p * step of `in`, and its groups of packed codes are at `offsets` from there. Its sum for output o is
//   level[o] * totals[t * tile + p] + slope[o] * sum over k and planes j of 2^j codes(k) . u(o, j, k),
// modulo the accumulators' width, where `totals` are the sums of the windows' codes.
struct BitRows {
    const uint8_t* in;
    const int32_t* starts;
    int64_t tiles;
    int64_t step;
    const int32_t* offsets;
    int64_t depth;        // number of offsets
    int64_t code_planes;  // 1 for quads
    int64_t plane;        // bytes from one plane of codes to the next
    int64_t largest;      // code, 1..3
    const uint8_t* weights;  // groups as [outputs / block][plane, the highest first][offset][block]
    int64_t weight_planes;
    const int32_t* totals;
    const void *slope, *level;  // as the accumulators
    int64_t outputs;            // rounded up to whole blocks
    void* acc;
    int64_t stride;
};
using BitKernel = void (*)(const BitRows&);

// Packs codes of `pixels` x `channels`; each pixel starts a new group. sums[p] is the sum of a pixel's codes.
using PackKernel = void (*)(const uint8_t* in, int64_t pixels, int64_t channels, int64_t planes, int64_t plane,
                            uint8_t* out, int32_t* sums);

struct BitForm {
    const char* name = nullptr;
    BitKernel kernel = nullptr;
    PackKernel pack = nullptr;
    Type acc = s32;
    bool planes = true;  // else quads
    int block = 1, tile = 1;
    int64_t most = INT32_MAX;  // the sum over k and planes may be
    // Products of codes and one-bit weights in the time of one of the set's byte kernels, measured: for `blocks`
    // blocks at once, and for those left over.
    int blocks = 1;
    double rate = 1, lone_rate = 1;

    // Of a group, in one plane.
    int codes() const { return planes ? 32 : 4; }
    int bytes() const { return planes ? 4 : 1; }
};

// What a byte of four codes adds to the sum, for each four one-bit weights.
struct QuadSums {
    alignas(64) uint8_t of[256][16];
    constexpr QuadSums() : of() {
        for (int codes = 0; codes < 256; ++codes)
            for (int weights = 0; weights < 16; ++weights)
                for (int i = 0; i < 4; ++i) of[codes][weights] += (codes >> 2 * i & 3) * (weights >> i & 1);
    }
};
inline constexpr QuadSums kQuadSums;

// Groups that sums of bytes hold.
constexpr int64_t groups_a_byte(int64_t largest, int64_t codes) { return 255 / (largest * codes); }

// The plain kernels of planes, and packing for both forms.
BitForm plain_bits(Type acc);
void pack_quads(const uint8_t* in, int64_t pixels, int64_t channels, int64_t planes, int64_t plane, uint8_t* out,
                int32_t* sums);
void pack_planes(const uint8_t* in, int64_t pixels, int64_t channels, int64_t planes, int64_t plane, uint8_t* out,
                 int32_t* sums);

#if defined(__x86_64__)
BitForm avx2_bits(Type acc);
BitForm avx512_bits(Type acc);
BitForm vpopcntdq_bits(Type acc);
#endif
#if defined(BITSWATH_NEON)
BitForm neon_bits(Type acc);
#endif

}  // namespace bitswath::emulator
