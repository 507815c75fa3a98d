// NEON: 8 columns a register, a row a multiply-add.
#include "transform/kernels.hpp"

#include "common/cpu.hpp"

#if defined(BITSWATH_NEON)
#include <arm_neon.h>

#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_NEON

namespace bitswath {
namespace {

constexpr int kHalf = 8;  // columns of a register

// GCC 12 for AArch64 leaves out calls of functions whose only effect is vst1q in two places of a loop.
BITSWATH_TARGET inline void store(int16_t* at, int16x8_t values) { std::memcpy(at, &values, sizeof values); }

struct Sums {
    int32x4_t low, high;
};

BITSWATH_TARGET inline void add(Sums& sums, int16x8_t values, int16_t factor) {
    sums.low = vmlal_n_s16(sums.low, vget_low_s16(values), factor);
    sums.high = vmlal_n_s16(sums.high, vget_high_s16(values), factor);
}

// Shifted right by `-by` and saturated.
BITSWATH_TARGET inline int16x8_t narrowed(Sums sums, int32x4_t by) {
    return vcombine_s16(vqmovn_s32(vshlq_s32(sums.low, by)), vqmovn_s32(vshlq_s32(sums.high, by)));
}

BITSWATH_TARGET inline void transpose8(int16x8_t rows[kHalf]) {
    for (int i = 0; i < kHalf; i += 2) {
        const int16x8x2_t pairs = vtrnq_s16(rows[i], rows[i + 1]);
        rows[i] = pairs.val[0];
        rows[i + 1] = pairs.val[1];
    }
    for (int i = 0; i < kHalf; i += 4)
        for (int j = i; j < i + 2; ++j) {
            const int32x4x2_t pairs = vtrnq_s32(vreinterpretq_s32_s16(rows[j]), vreinterpretq_s32_s16(rows[j + 2]));
            rows[j] = vreinterpretq_s16_s32(pairs.val[0]);
            rows[j + 2] = vreinterpretq_s16_s32(pairs.val[1]);
        }
    for (int i = 0; i < 4; ++i) {
        const int16x8_t upper = rows[i], lower = rows[i + 4];
        rows[i] = vcombine_s16(vget_low_s16(upper), vget_low_s16(lower));
        rows[i + 4] = vcombine_s16(vget_high_s16(upper), vget_high_s16(lower));
    }
}

BITSWATH_TARGET void transpose(BlockValues& block) {
    for (int y = 0; y < kBlock; y += kHalf)
        for (int x = y; x < kBlock; x += kHalf) {
            int16x8_t upper[kHalf], lower[kHalf];
            for (int i = 0; i < kHalf; ++i) {
                upper[i] = vld1q_s16(block.at + (y + i) * kBlock + x);
                lower[i] = vld1q_s16(block.at + (x + i) * kBlock + y);
            }
            transpose8(upper);
            transpose8(lower);
            for (int i = 0; i < kHalf; ++i) {
                store(block.at + (x + i) * kBlock + y, upper[i]);
                store(block.at + (y + i) * kBlock + x, lower[i]);
            }
        }
}

// Column by column, out[u] = (sum over y of kDct[u][y] * in[y] + half) >> shift.
BITSWATH_TARGET void analyse(BlockValues& block, int shift) {
    const int32x4_t half = vdupq_n_s32(1 << (shift - 1)), by = vdupq_n_s32(-shift);
    for (int x = 0; x < kBlock; x += kHalf) {
        int16x8_t rows[kBlock];
        for (int y = 0; y < kBlock; ++y) rows[y] = vld1q_s16(block.at + y * kBlock + x);
        for (int u = 0; u < kBlock; ++u) {
            Sums sums{half, half};
            for (int y = 0; y < kBlock; ++y) add(sums, rows[y], kDct[u][y]);
            store(block.at + u * kBlock + x, narrowed(sums, by));
        }
    }
}

BITSWATH_TARGET void forward(BlockValues& block, int headroom) {
    analyse(block, 4 + headroom);
    transpose(block);
    analyse(block, 10);
    transpose(block);
}

// Column by column, out[y] = (sum over u < count of kDct[u][y] * in[u] + half) >> shift; rows y and 15 - y share their
// even and odd frequencies' sums.
BITSWATH_TARGET void synthesize(BlockValues& block, int count, int shift) {
    const int32x4_t half = vdupq_n_s32(1 << (shift - 1)), none = vdupq_n_s32(0), by = vdupq_n_s32(-shift);
    for (int x = 0; x < kBlock; x += kHalf) {
        int16x8_t rows[kBlock];
        for (int u = 0; u < count; ++u) rows[u] = vld1q_s16(block.at + u * kBlock + x);
        for (int y = 0; y < kBlock / 2; ++y) {
            Sums even{half, half}, odd{none, none};
            for (int u = 0; u < count; u += 2) add(even, rows[u], kDct[u][y]);
            for (int u = 1; u < count; u += 2) add(odd, rows[u], kDct[u][y]);
            const Sums sum{vaddq_s32(even.low, odd.low), vaddq_s32(even.high, odd.high)};
            const Sums difference{vsubq_s32(even.low, odd.low), vsubq_s32(even.high, odd.high)};
            store(block.at + y * kBlock + x, narrowed(sum, by));
            store(block.at + (kBlock - 1 - y) * kBlock + x, narrowed(difference, by));
        }
    }
}

BITSWATH_TARGET inline int16x8_t clamped(int16x8_t values) {
    return vmaxq_s16(vdupq_n_s16(-2048), vminq_s16(vdupq_n_s16(2047), values));
}

BITSWATH_TARGET void inverse(BlockValues& block, int headroom, int rows, int columns) {
    synthesize(block, rows, 6);
    transpose(block);
    synthesize(block, columns, 12 - headroom);
    transpose(block);
    for (int i = 0; i < kBlockSize; i += kHalf) store(block.at + i, clamped(vld1q_s16(block.at + i)));
}

BITSWATH_TARGET BlockMask quantize(const BlockValues& coefficients, uint32_t factor, uint32_t offset, int shift,
                                   BlockValues& levels) {
    BlockMask mask{};
    const uint32x4_t offsets = vdupq_n_u32(offset);
    const int32x4_t by = vdupq_n_s32(-shift);
    static constexpr uint16_t kBits[kHalf] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint16x8_t bits = vld1q_u16(kBits);
    for (int i = 0; i < kBlockSize; i += kHalf) {
        const int16x8_t values = vld1q_s16(coefficients.at + i);
        const uint16x8_t sizes = vreinterpretq_u16_s16(vabsq_s16(values));
        const uint32x4_t low = vmlaq_n_u32(offsets, vmovl_u16(vget_low_u16(sizes)), factor);
        const uint32x4_t high = vmlaq_n_u32(offsets, vmovl_u16(vget_high_u16(sizes)), factor);
        const uint16x8_t level = vcombine_u16(vmovn_u32(vshlq_u32(low, by)), vmovn_u32(vshlq_u32(high, by)));
        const int16x8_t size = vreinterpretq_s16_u16(level);
        store(levels.at + i, vbslq_s16(vcltq_s16(values, vdupq_n_s16(0)), vnegq_s16(size), size));
        const uint16x8_t set = vandq_u16(vtstq_u16(level, level), bits);
        const uint64x2_t summed = vpaddlq_u32(vpaddlq_u16(set));
        const uint64_t found = vgetq_lane_u64(summed, 0) + vgetq_lane_u64(summed, 1);
        mask.words[i / 64] |= found << i % 64;
    }
    return mask;
}

// (sum over i of factors[i * step] * rows[i] + half) >> 12 of 8 columns.
BITSWATH_TARGET inline int16x8_t weighted(const int16_t* rows, int stride, int count, const int16_t* factors,
                                          int step) {
    const int32x4_t half = vdupq_n_s32(1 << 11);
    Sums sums{half, half};
    for (int i = 0; i < count; ++i) add(sums, vld1q_s16(rows + i * stride), factors[i * step]);
    return narrowed(sums, vdupq_n_s32(-12));
}

constexpr int kMostBands = 255;

BITSWATH_TARGET void to_components(const uint8_t* pixels, int bands, const int16_t* matrix, BlockValues* components,
                                   int row) {
    int16_t planes[kMostBands * kBlock];
    for (int b = 0; b < bands; ++b)
        for (int x = 0; x < kBlock; ++x) planes[b * kBlock + x] = static_cast<int16_t>(pixels[x * bands + b] - 128);
    for (int c = 0; c < bands; ++c)
        for (int x = 0; x < kBlock; x += kHalf)
            store(components[c].at + row * kBlock + x,
                      clamped(weighted(planes + x, kBlock, bands, matrix + c * bands, 1)));
}

BITSWATH_TARGET inline uint8x8_t samples(const BlockValues* components, int bands, const int16_t* matrix, int place,
                                         int band) {
    const int16x8_t sums = weighted(components->at + place, kBlockSize, bands, matrix + band, bands);
    return vqmovun_s16(vqaddq_s16(sums, vdupq_n_s16(128)));
}

BITSWATH_TARGET void to_pixels(const BlockValues* components, int bands, const int16_t* matrix, int row,
                               uint8_t* pixels) {
    for (int x = 0; x < kBlock; x += kHalf) {
        const int place = row * kBlock + x;
        if (bands == 3) {
            const uint8x8x3_t planes = {{samples(components, 3, matrix, place, 0),
                                         samples(components, 3, matrix, place, 1),
                                         samples(components, 3, matrix, place, 2)}};
            vst3_u8(pixels + 3 * x, planes);
            continue;
        }
        for (int b = 0; b < bands; ++b) {
            uint8_t plane[kHalf];
            vst1_u8(plane, samples(components, bands, matrix, place, b));
            for (int i = 0; i < kHalf; ++i) pixels[(x + i) * bands + b] = plane[i];
        }
    }
}

}  // namespace

const TransformKernels kNeonTransform = {forward, inverse, quantize, to_components, to_pixels};

}  // namespace bitswath
#endif
