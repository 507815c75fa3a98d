// NEON with the dot product: sixteen s8 x s8 products an instruction, summed without saturation; all else is NEON's.
#include "kernels/kernels.hpp"

#if defined(BITSWATH_NEONDOT)
#include <arm_neon.h>

#define BITSWATH_TARGET BITSWATH_FOR_NEONDOT

namespace bitswath::emulator {
namespace {
#include "kernels/neon.hpp"

constexpr double kBitsOverDots = 2.2;  // bit-serial products in the time of one, by count of instructions
constexpr int kDotWindows = 8, kDotBlock = 8, kDotChunk = 16;

// Four of a chunk's elements.
template <int Quarter, int Windows>
BITSWATH_TARGET inline void add_dots(Sums (&sums)[Windows], const int8x16_t (&x)[Windows], const int8_t* w) {
    const int8x16_t low = vld1q_s8(w + Quarter * 32), high = vld1q_s8(w + Quarter * 32 + 16);
    for (int p = 0; p < Windows; ++p) {
        sums[p].low = vdotq_laneq_s32(sums[p].low, low, x[p], Quarter);
        sums[p].high = vdotq_laneq_s32(sums[p].high, high, x[p], Quarter);
    }
}

// Codes beyond 127 are taken as x - 128, and 128 * sum of weights is added.
template <bool Beyond>
BITSWATH_TARGET inline Sums dot_start(const ConvRows& rows, const int8_t* w) {
    Sums weights{vdupq_n_s32(0), vdupq_n_s32(0)};
    for (int64_t i = 0; Beyond && i < 4 * rows.depth; ++i, w += 32) {
        weights.low = vdotq_s32(weights.low, vld1q_s8(w), vdupq_n_s8(1));
        weights.high = vdotq_s32(weights.high, vld1q_s8(w + 16), vdupq_n_s8(1));
    }
    return {vshlq_n_s32(weights.low, 7), vshlq_n_s32(weights.high, 7)};
}

template <bool Beyond, int Windows>
BITSWATH_TARGET inline void dot_tile(const ConvRows& rows, const int8_t* in, const int8_t* w, const Sums& start,
                                    int32_t* acc) {
    Sums sums[Windows];
    for (Sums& sum : sums) sum = start;
    for (int64_t k = 0; k < rows.depth; ++k, w += kDotBlock * kDotChunk) {
        int8x16_t x[Windows];
        for (int p = 0; p < Windows; ++p) {
            x[p] = vld1q_s8(in + rows.offsets[k] + p * rows.step);
            if (Beyond) x[p] = veorq_s8(x[p], vdupq_n_s8(INT8_MIN));
        }
        add_dots<0>(sums, x, w);
        add_dots<1>(sums, x, w);
        add_dots<2>(sums, x, w);
        add_dots<3>(sums, x, w);
    }
    for (int p = 0; p < Windows; ++p) sums[p].store(acc + p * rows.stride);
}

template <bool Beyond, int Windows>
BITSWATH_TARGET void conv_dot(const ConvRows& rows) {
    const auto* in = static_cast<const int8_t*>(rows.in);
    for (int64_t o = 0; o < rows.outputs; o += kDotBlock) {
        const auto* w = static_cast<const int8_t*>(rows.weights) + o * kDotChunk * rows.depth;
        const Sums start = dot_start<Beyond>(rows, w);
        auto* acc = static_cast<int32_t*>(rows.acc) + o;
        for (int64_t t = 0; t < rows.tiles; ++t, acc += Windows * rows.stride)
            dot_tile<Beyond, Windows>(rows, in + rows.starts[t], w, start, acc);
    }
}

template <bool Beyond, int Windows>
ConvForm dot_form(Type in) {
    return tiled_form(Windows, "sdot", conv_dot<Beyond, Windows>, in, s8, s32)
        .inputs(4, kDotChunk)
        .outputs(kDotBlock)
        .codes_up_to(Beyond ? UINT8_MAX : INT8_MAX);
}

}  // namespace

Kernels neondot_kernels() {
    Kernels k = neon_kernels();
    k.convs.insert(k.convs.begin(), {dot_form<false, kDotWindows>(u8), dot_form<false, 1>(u8), dot_form<false, kDotWindows>(s8),
                                     dot_form<false, 1>(s8), dot_form<true, kDotWindows>(u8), dot_form<true, 1>(u8)});
    const WinogradKernels winograd = neon_winograd();
    k.winograd = {{dot_form<false, kDotWindows>(u8), s32, winograd.input, winograd.integers, 1, 100, 500}};
    for (BitForm& form : k.bits) form.rate = form.lone_rate = kBitsOverDots;
    return k;
}

}  // namespace bitswath::emulator
#endif
