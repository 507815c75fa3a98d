// NEON: 16 codes a step.
#include "packing/kernels.hpp"

#if defined(BITSWATH_NEON)
#include <arm_neon.h>

#define BITSWATH_TARGET BITSWATH_FOR_NEON

namespace bitswath {
namespace {

// Byte `p` of the stream is byte p % B of 64-bit lane p / B; the rest zero.
template <int B>
constexpr Bytes64 from_lanes() {
    Bytes64 index;
    for (int p = 0; p < 16; ++p) index.at[p] = static_cast<uint8_t>(p < 2 * B ? 8 * (p / B) + p % B : 0xFF);
    return index;
}

// The byte in which code `p` begins, or the `next` one.
template <int B, int next>
constexpr Bytes64 to_codes() {
    Bytes64 index;
    for (int p = 0; p < 16; ++p) index.at[p] = static_cast<uint8_t>(p * B / 8 + next);
    return index;
}

// By how much that byte is shifted, to the left.
template <int B, int next>
constexpr Bytes64 shifts() {
    Bytes64 shift;
    for (int p = 0; p < 16; ++p) shift.at[p] = static_cast<uint8_t>(8 * next - p * B % 8);
    return shift;
}

template <int B>
constexpr Bytes64 kFromLanes = from_lanes<B>();
template <int B, int next>
constexpr Bytes64 kToCodes = to_codes<B, next>();
template <int B, int next>
constexpr Bytes64 kShifts = shifts<B, next>();

BITSWATH_TARGET inline uint8x16_t lookup(uint8x16_t table, uint8x16_t index) {
#if defined(__aarch64__)
    return vqtbl1q_u8(table, index);
#else
    const uint8x8x2_t halves = {{vget_low_u8(table), vget_high_u8(table)}};
    return vcombine_u8(vtbl2_u8(halves, vget_low_u8(index)), vtbl2_u8(halves, vget_high_u8(index)));
#endif
}

template <int B>
BITSWATH_TARGET inline uint8x16_t squeeze(uint8x16_t codes) {
    const uint16x8_t single = vreinterpretq_u16_u8(codes);
    const uint32x4_t pairs = vreinterpretq_u32_u16(vsliq_n_u16(single, vshrq_n_u16(single, 8), B));
    const uint64x2_t quads = vreinterpretq_u64_u32(vsliq_n_u32(pairs, vshrq_n_u32(pairs, 16), 2 * B));
    const uint64x2_t octets = vsliq_n_u64(quads, vshrq_n_u64(quads, 32), 4 * B);
    return lookup(vreinterpretq_u8_u64(octets), vld1q_u8(kFromLanes<B>.at));
}

template <int B, int next>
BITSWATH_TARGET inline uint8x16_t moved(uint8x16_t bytes) {
    return vshlq_u8(lookup(bytes, vld1q_u8(kToCodes<B, next>.at)),
                    vreinterpretq_s8_u8(vld1q_u8(kShifts<B, next>.at)));
}

template <int B>
BITSWATH_TARGET inline uint8x16_t spread(uint8x16_t bytes) {
    return vandq_u8(vorrq_u8(moved<B, 0>(bytes), moved<B, 1>(bytes)), vdupq_n_u8((1 << B) - 1));
}

template <int B>
BITSWATH_TARGET uint64_t pack(const uint8_t* codes, int64_t count, uint8_t* bytes) {
    uint8x16_t seen = vdupq_n_u8(0);
    const int64_t whole = whole_steps(count, B, 16, 16);
    for (int64_t i = 0; i < whole; ++i, codes += 16, bytes += 2 * B) {
        const uint8x16_t x = vld1q_u8(codes);
        seen = vorrq_u8(seen, x);
        vst1q_u8(bytes, squeeze<B>(x));
    }
    const uint64x2_t lanes = vreinterpretq_u64_u8(seen);
    return vgetq_lane_u64(lanes, 0) | vgetq_lane_u64(lanes, 1) | pack_plain<B>(codes, count - 16 * whole, bytes);
}

template <int B>
BITSWATH_TARGET void unpack(const uint8_t* bytes, int64_t count, uint8_t* codes) {
    const int64_t whole = whole_steps(count, B, 16, 16);
    for (int64_t i = 0; i < whole; ++i, codes += 16, bytes += 2 * B) vst1q_u8(codes, spread<B>(vld1q_u8(bytes)));
    unpack_plain<B>(bytes, count - 16 * whole, codes);
}

template <int... B>
void fill(PackingKernels& kernels) {
    ((kernels.pack[B] = pack<B>, kernels.unpack[B] = unpack<B>), ...);
}

}  // namespace

PackingKernels neon_packing() {
    PackingKernels kernels = plain_packing();
    kernels.name = "neon";
    fill<1, 2, 3, 4, 5, 6, 7>(kernels);
    return kernels;
}

}  // namespace bitswath
#endif
