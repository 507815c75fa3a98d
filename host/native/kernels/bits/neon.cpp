// Planes with NEON: vcnt counts the bits of 16 bytes, four outputs' words, added up in bytes.
#include "kernels/bits/bits.hpp"

#if defined(BITSWATH_NEON)
#include <arm_neon.h>

#include <algorithm>
#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_NEON

namespace bitswath::emulator {
namespace {

constexpr int kBlock = 16, kWindows = 2;
constexpr int64_t kCounts = 255 / 8;  // of bytes that a byte holds

struct Sums {
    uint32x4_t of[4];  // four outputs each

    BITSWATH_TARGET void add(const uint8x16_t (&bytes)[4]) {
        for (int i = 0; i < 4; ++i) of[i] = vpadalq_u16(of[i], vpaddlq_u8(bytes[i]));
    }
    BITSWATH_TARGET void twice() {
        for (uint32x4_t& sum : of) sum = vaddq_u32(sum, sum);
    }
};

// Counts of the bits that one plane of the codes shares with one of the weights.
BITSWATH_TARGET inline void count(const BitRows& rows, const uint8_t* in, const uint8_t* w, Sums (&sums)[kWindows]) {
    for (int64_t first = 0; first < rows.depth; first += kCounts) {
        uint8x16_t bytes[kWindows][4];
        for (auto& window : bytes)
            for (uint8x16_t& byte : window) byte = vdupq_n_u8(0);
        for (int64_t k = first, last = std::min(rows.depth, first + kCounts); k < last; ++k, w += 64)
            for (int p = 0; p < kWindows; ++p) {
                uint32_t word;
                std::memcpy(&word, in + rows.offsets[k] + p * rows.step, 4);
                const uint8x16_t codes = vreinterpretq_u8_u32(vdupq_n_u32(word));
                for (int i = 0; i < 4; ++i)
                    bytes[p][i] = vaddq_u8(bytes[p][i], vcntq_u8(vandq_u8(codes, vld1q_u8(w + 16 * i))));
            }
        for (int p = 0; p < kWindows; ++p) sums[p].add(bytes[p]);
    }
}

BITSWATH_TARGET inline int32x4_t line32(const void* values, int64_t o) {
    return vld1q_s32(static_cast<const int32_t*>(values) + o);
}

BITSWATH_TARGET inline int16x8_t line16(const void* values, int64_t o) {
    return vld1q_s16(static_cast<const int16_t*>(values) + o);
}

BITSWATH_TARGET inline void finish(const BitRows& rows, int64_t o, int32_t total, const Sums& sums, int32_t* acc) {
    for (int i = 0; i < 4; ++i, o += 4) {
        const int32x4_t level = vmulq_n_s32(line32(rows.level, o), total);
        vst1q_s32(acc + o, vmlaq_s32(level, line32(rows.slope, o), vreinterpretq_s32_u32(sums.of[i])));
    }
}

BITSWATH_TARGET inline void finish(const BitRows& rows, int64_t o, int32_t total, const Sums& sums, int16_t* acc) {
    for (int i = 0; i < 4; i += 2, o += 8) {
        const uint16x8_t sum = vcombine_u16(vmovn_u32(sums.of[i]), vmovn_u32(sums.of[i + 1]));
        const int16x8_t level = vmulq_n_s16(line16(rows.level, o), static_cast<int16_t>(total));
        vst1q_s16(acc + o, vmlaq_s16(level, line16(rows.slope, o), vreinterpretq_s16_u16(sum)));
    }
}

template <typename Acc>
BITSWATH_TARGET inline void tile(const BitRows& rows, const uint8_t* in, int64_t o, const int32_t* totals, Acc* acc) {
    Sums sums[kWindows] = {};
    const int64_t plane_bytes = rows.depth * 64;
    const uint8_t* w = rows.weights + o / kBlock * rows.weight_planes * plane_bytes;
    const int64_t top = rows.weight_planes + rows.code_planes - 2;
    for (int64_t weight = top; weight >= 0; --weight) {  // planes i and j count 2^(i + j)
        if (weight < top)
            for (Sums& sum : sums) sum.twice();
        for (int64_t i = 0; i < rows.code_planes; ++i) {
            const int64_t j = weight - i;
            if (j < 0 || j >= rows.weight_planes) continue;
            count(rows, in + i * rows.plane, w + (rows.weight_planes - 1 - j) * plane_bytes, sums);
        }
    }
    for (int p = 0; p < kWindows; ++p) finish(rows, o, totals[p], sums[p], acc + p * rows.stride);
}

template <typename Acc>
BITSWATH_TARGET void planes(const BitRows& rows) {
    for (int64_t o = 0; o < rows.outputs; o += kBlock)
        for (int64_t t = 0; t < rows.tiles; ++t)
            tile(rows, rows.in + rows.starts[t], o, rows.totals + t * kWindows,
                 static_cast<Acc*>(rows.acc) + t * kWindows * rows.stride);
}

// Bit i of 16 codes as a word.
BITSWATH_TARGET inline uint16_t bits_of(uint8x16_t codes, int i) {
    const uint8x16_t bit = vandq_u8(vshlq_u8(codes, vdupq_n_s8(static_cast<int8_t>(-i))), vdupq_n_u8(1));
    static const int8_t kShifts[16] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
    const uint8x16_t placed = vshlq_u8(bit, vld1q_s8(kShifts));
    const uint64x2_t sums = vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(placed)));
    return static_cast<uint16_t>(vgetq_lane_u64(sums, 0) | vgetq_lane_u64(sums, 1) << 8);
}

BITSWATH_TARGET void pack(const uint8_t* in, int64_t pixels, int64_t channels, int64_t planes, int64_t plane, uint8_t* out,
          int32_t* sums) {
    if (channels % 32 != 0) return pack_planes(in, pixels, channels, planes, plane, out, sums);
    for (int64_t p = 0; p < pixels; ++p) {
        uint64x2_t sum = vdupq_n_u64(0);
        for (int64_t c = 0; c < channels; c += 16, in += 16, out += 2) {
            const uint8x16_t codes = vld1q_u8(in);
            sum = vpadalq_u32(sum, vpaddlq_u16(vpaddlq_u8(codes)));
            for (int i = 0; i < planes; ++i) {
                const uint16_t word = bits_of(codes, i);
                std::memcpy(out + i * plane, &word, 2);
            }
        }
        sums[p] = static_cast<int32_t>(vgetq_lane_u64(sum, 0) + vgetq_lane_u64(sum, 1));
    }
}

}  // namespace

// Rates by count of instructions; measure on a board.
BitForm neon_bits(Type acc) {
    BitForm form;
    form.name = "vcnt";
    form.kernel = acc == s16 ? planes<int16_t> : planes<int32_t>;
    form.pack = pack;
    form.acc = acc;
    form.block = kBlock;
    form.tile = kWindows;
    form.rate = form.lone_rate = 6;
    return form;
}

}  // namespace bitswath::emulator
#endif
