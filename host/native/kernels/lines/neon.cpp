#include "kernels/lines/lines.hpp"

#if defined(BITSWATH_NEON)
#include <arm_neon.h>

#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_NEON
namespace bitswath::emulator {
namespace {
#include "kernels/neon.hpp"

BITSWATH_TARGET inline int16x8_t saturated(const int16_t* x, const int16_t* bias) {
    return wrapping_add(vld1q_s16(x), vld1q_s16(bias));
}
BITSWATH_TARGET inline int16x8_t saturated(const int32_t* x, const int32_t* bias) {
    const int32x4_t low = wrapping_add(vld1q_s32(x), vld1q_s32(bias));
    return vcombine_s16(vqmovn_s32(low), vqmovn_s32(wrapping_add(vld1q_s32(x + 4), vld1q_s32(bias + 4))));
}

// vqrdmulh is (2 * x * gain + 2^15) >> 16, gain is never -2^15; vqdmulh is (2 * z * slice) >> 16.
template <typename Acc>
BITSWATH_TARGET inline int8x8_t line_codes(const NarrowLine& line, int64_t at, const Acc* x) {
    const int16x8_t sums = saturated(x, static_cast<const Acc*>(line.bias) + at);
    const int16x8_t z = vqrdmulhq_s16(sums, vld1q_s16(line.gain + at));
    return vqshrn_n_s16(vqdmulhq_s16(z, vld1q_s16(line.slice + at)), 1);
}

template <typename Acc>
BITSWATH_TARGET void line(const NarrowLine& line, const void* acc, uint8_t* out, int64_t count) {
    const auto* x = static_cast<const Acc*>(acc);
    const int8x16_t lo = vdupq_n_s8(line.lo), hi = vdupq_n_s8(line.hi);
    const uint8x16_t offset = vdupq_n_u8(static_cast<uint8_t>(line.offset));
    for (int64_t i = 0, at = 0; i < count; i += 16, at = at + 16 == line.period ? 0 : at + 16) {
        const int8x16_t drawn = vcombine_s8(line_codes(line, at, x + i), line_codes(line, at + 8, x + i + 8));
        const uint8x16_t codes = vaddq_u8(vreinterpretq_u8_s8(vminq_s8(vmaxq_s8(drawn, lo), hi)), offset);
        if (count - i >= 16) {
            vst1q_u8(out + i, codes);
        } else {
            uint8_t rest[16];
            vst1q_u8(rest, codes);
            std::memcpy(out + i, rest, count - i);
        }
    }
}

}  // namespace

LineKernels neon_lines() { return {{line<int16_t>, line<int32_t>}, {in_order, in_order}}; }

}  // namespace bitswath::emulator
#endif
