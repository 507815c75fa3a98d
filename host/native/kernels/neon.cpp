// NEON: eight s8 x s8 products an instruction, added in lanes of 16 bits where so many are proved to fit, else four
// s16 x s16 ones. Codes of 0..127 in a u8 tensor are s8 too.
#include "kernels/kernels.hpp"

#if defined(BITSWATH_NEON)
#include <arm_neon.h>

#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_NEON

namespace bitswath::emulator {
namespace {
#include "kernels/loops.hpp"
#include "kernels/neon.hpp"

#if defined(__aarch64__)
constexpr int kWindows8 = 4, kWindows16 = 8;  // as registers allow
#else
constexpr int kWindows8 = 2, kWindows16 = 4;
#endif
constexpr int kBlock8 = 4, kBlock16 = 8, kChunk8 = 16, kChunk16 = 8;
constexpr int kSteps = 16, kTogether = 2 * kSteps;  // of a chain: two products a lane and step

// A chunk of 16 elements of each window by one of each output: `Together` 2 or kTogether.
template <int Windows>
struct Chunk {
    int8x16_t x[Windows];

    BITSWATH_TARGET inline void load(const ConvRows& rows, const int8_t* in, int64_t k) {
        for (int p = 0; p < Windows; ++p) x[p] = vld1q_s8(in + rows.offsets[k] + p * rows.step);
    }
};

// Adds products of a chunk's upper half; written out, since compilers do not see that halves need no copy.
BITSWATH_TARGET inline int16x8_t add_upper(int16x8_t sum, int8x16_t x, int8x16_t w) {
#if defined(__aarch64__)
    return vmlal_high_s8(sum, x, w);
#else
    return vmlal_s8(sum, vget_high_s8(x), vget_high_s8(w));
#endif
}

BITSWATH_TARGET inline int16x8_t multiply(int8x16_t x, int8x16_t w) {
    return add_upper(vmull_s8(vget_low_s8(x), vget_low_s8(w)), x, w);
}

BITSWATH_TARGET inline int16x8_t multiply_add(int16x8_t sum, int8x16_t x, int8x16_t w) {
    return add_upper(vmlal_s8(sum, vget_low_s8(x), vget_low_s8(w)), x, w);
}

// The sum of each vector.
BITSWATH_TARGET inline int32x4_t across(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
#if defined(__aarch64__)
    return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
#else
    const int32x2_t ab = vpadd_s32(vadd_s32(vget_low_s32(a), vget_high_s32(a)), vadd_s32(vget_low_s32(b), vget_high_s32(b)));
    const int32x2_t cd = vpadd_s32(vadd_s32(vget_low_s32(c), vget_high_s32(c)), vadd_s32(vget_low_s32(d), vget_high_s32(d)));
    return vcombine_s32(ab, cd);
#endif
}

// Two products a lane in 16 bits, then on in 32.
template <int Windows>
BITSWATH_TARGET inline void pair_tile(const ConvRows& rows, const int8_t* in, const int8_t* w, int32_t* acc) {
    int32x4_t sums[Windows][kBlock8];
    for (int p = 0; p < Windows; ++p)
        for (int o = 0; o < kBlock8; ++o) sums[p][o] = vdupq_n_s32(0);
    Chunk<Windows> chunk;
    for (int64_t k = 0; k < rows.depth; ++k, w += kBlock8 * kChunk8) {
        chunk.load(rows, in, k);
        for (int o = 0; o < kBlock8; ++o) {
            const int8x16_t weights = vld1q_s8(w + o * kChunk8);
            for (int p = 0; p < Windows; ++p) sums[p][o] = vpadalq_s16(sums[p][o], multiply(chunk.x[p], weights));
        }
    }
    for (int p = 0; p < Windows; ++p)
        vst1q_s32(acc + p * rows.stride, across(sums[p][0], sums[p][1], sums[p][2], sums[p][3]));
}

// kTogether products a lane in 16 bits, then on in 32.
template <int Windows>
BITSWATH_TARGET inline void chain_tile(const ConvRows& rows, const int8_t* in, const int8_t* w, int32_t* acc) {
    int32x4_t totals[Windows];
    for (int p = 0; p < Windows; ++p) totals[p] = vdupq_n_s32(0);
    Chunk<Windows> chunk;
    for (int64_t k = 0; k < rows.depth;) {
        int16x8_t sums[Windows][kBlock8];
        for (int p = 0; p < Windows; ++p)
            for (int o = 0; o < kBlock8; ++o) sums[p][o] = vdupq_n_s16(0);
        const int64_t end = rows.depth - k < kSteps ? rows.depth : k + kSteps;
        for (; k < end; ++k, w += kBlock8 * kChunk8) {
            chunk.load(rows, in, k);
            for (int o = 0; o < kBlock8; ++o) {
                const int8x16_t weights = vld1q_s8(w + o * kChunk8);
                for (int p = 0; p < Windows; ++p) sums[p][o] = multiply_add(sums[p][o], chunk.x[p], weights);
            }
        }
        for (int p = 0; p < Windows; ++p)
            totals[p] = wrapping_add(totals[p], across(vpaddlq_s16(sums[p][0]), vpaddlq_s16(sums[p][1]),
                                                    vpaddlq_s16(sums[p][2]), vpaddlq_s16(sums[p][3])));
    }
    for (int p = 0; p < Windows; ++p) vst1q_s32(acc + p * rows.stride, totals[p]);
}

template <int Windows, int Together>
BITSWATH_TARGET void conv8(const ConvRows& rows) {
    const auto* in = static_cast<const int8_t*>(rows.in);
    for (int64_t o = 0; o < rows.outputs; o += kBlock8) {
        const auto* w = static_cast<const int8_t*>(rows.weights) + o * kChunk8 * rows.depth;
        auto* acc = static_cast<int32_t*>(rows.acc) + o;
        for (int64_t t = 0; t < rows.tiles; ++t, acc += Windows * rows.stride) {
            if constexpr (Together == 2)
                pair_tile<Windows>(rows, in + rows.starts[t], w, acc);
            else
                chain_tile<Windows>(rows, in + rows.starts[t], w, acc);
        }
    }
}

BITSWATH_TARGET inline int16x8_t widened(const uint8_t* x) { return vreinterpretq_s16_u16(vmovl_u8(vld1_u8(x))); }
BITSWATH_TARGET inline int16x8_t widened(const int8_t* x) { return vmovl_s8(vld1_s8(x)); }
BITSWATH_TARGET inline int16x8_t widened(const int16_t* x) { return vld1q_s16(x); }

template <int Lane, int Windows>
BITSWATH_TARGET inline void add_lane(Sums (&sums)[Windows], const int16x8_t (&x)[Windows], const int16_t* w) {
    const int16x8_t weights = vld1q_s16(w + Lane * kBlock16);
    for (int p = 0; p < Windows; ++p) sums[p].template add<Lane>(weights, x[p]);
}

template <typename In, int Windows>
BITSWATH_TARGET void conv16(const ConvRows& rows) {
    for (int64_t o = 0; o < rows.outputs; o += kBlock16)
        for (int64_t t = 0; t < rows.tiles; ++t) {
            const In* in = static_cast<const In*>(rows.in) + rows.starts[t];
            const auto* w = static_cast<const int16_t*>(rows.weights) + o * kChunk16 * rows.depth;
            Sums sums[Windows];
            for (int p = 0; p < Windows; ++p) sums[p].clear();
            for (int64_t k = 0; k < rows.depth; ++k, w += kBlock16 * kChunk16) {
                int16x8_t x[Windows];
                for (int p = 0; p < Windows; ++p) x[p] = widened(in + rows.offsets[k] + p * rows.step);
                add_lane<0>(sums, x, w);
                add_lane<1>(sums, x, w);
                add_lane<2>(sums, x, w);
                add_lane<3>(sums, x, w);
                add_lane<4>(sums, x, w);
                add_lane<5>(sums, x, w);
                add_lane<6>(sums, x, w);
                add_lane<7>(sums, x, w);
            }
            int32_t* acc = static_cast<int32_t*>(rows.acc) + t * Windows * rows.stride + o;
            for (int p = 0; p < Windows; ++p) sums[p].store(acc + p * rows.stride);
        }
}

// Sums of one product a channel and tap, eight channels each: s8 by s8 and s16 by s16 in 16 bits, s16 by s16 in 32.
struct Depthwise8 {
    using Weight = int8_t;
    using Acc = int16_t;
    int16x8_t sum;

    BITSWATH_TARGET inline void clear() { sum = vdupq_n_s16(0); }
    template <typename In>
    BITSWATH_TARGET inline void add(const In* x, const int8_t* w) {
        sum = vmlal_s8(sum, vld1_s8(reinterpret_cast<const int8_t*>(x)), vld1_s8(w));
    }
    BITSWATH_TARGET inline void store(int16_t* to) const { vst1q_s16(to, sum); }
};

struct Depthwise16 : Depthwise8 {
    using Weight = int16_t;

    template <typename In>
    BITSWATH_TARGET inline void add(const In* x, const int16_t* w) {
        sum = vreinterpretq_s16_u16(vmlaq_u16(vreinterpretq_u16_s16(sum), vreinterpretq_u16_s16(widened(x)),
                                              vreinterpretq_u16_s16(vld1q_s16(w))));
    }
};

struct Depthwise32 : Sums {
    using Weight = int16_t;
    using Acc = int32_t;

    template <typename In>
    BITSWATH_TARGET inline void add(const In* x, const int16_t* w) {
        Sums::add(vld1q_s16(w), widened(x));
    }
};

constexpr int kDepthwiseWindows = 4, kDepthwiseBlock = 8;

template <typename Sum, typename In>
BITSWATH_TARGET void depthwise(const ConvRows& rows) {
    for (int64_t o = 0; o < rows.outputs; o += kDepthwiseBlock)
        for (int64_t t = 0; t < rows.tiles; ++t) {
            const In* in = static_cast<const In*>(rows.in) + rows.starts[t] + o;
            const auto* w = static_cast<const typename Sum::Weight*>(rows.weights) + o * rows.depth;
            Sum sums[kDepthwiseWindows];
            for (Sum& sum : sums) sum.clear();
            for (int64_t k = 0; k < rows.depth; ++k, w += kDepthwiseBlock)
                for (int p = 0; p < kDepthwiseWindows; ++p) sums[p].add(in + rows.offsets[k] + p * rows.step, w);
            auto* acc = static_cast<typename Sum::Acc*>(rows.acc) + t * kDepthwiseWindows * rows.stride + o;
            for (int p = 0; p < kDepthwiseWindows; ++p) sums[p].store(acc + p * rows.stride);
        }
}

// A pixel's channels are copied as one word, whose surplus the next copy overwrites.
template <int Bytes>
BITSWATH_TARGET void interleave_words(const Interleaving& how, const uint8_t* const* rows, int64_t pixels,
                                      uint8_t* out) {
    for (int64_t x = 0; x < pixels; ++x)
        for (int64_t r = 0; r < how.rows; ++r, out += how.channels)
            std::memcpy(out, rows[r] + x * how.channels, Bytes);
}

BITSWATH_TARGET void interleave(const Interleaving& how, const uint8_t* const* rows, int64_t pixels, uint8_t* out) {
    if (how.channels <= 4) return interleave_words<4>(how, rows, pixels, out);
    if (how.channels <= 8) return interleave_words<8>(how, rows, pixels, out);
    if (how.channels <= 16) return interleave_words<16>(how, rows, pixels, out);
    interleave_loop(how, rows, pixels, out);
}

template <typename By, typename In>
ConvForm depthwise_form(const char* name, Type in, Type weights, Type acc) {
    return ConvForm(name, depthwise<By, In>, in, weights, acc)
        .outputs(kDepthwiseBlock)
        .windows(kDepthwiseWindows)
        .channelwise();
}

std::vector<ConvForm> depthwise_forms() {
    return {
        depthwise_form<Depthwise8, int8_t>("depthwise8", u8, s8, s16).codes_up_to(INT8_MAX),
        depthwise_form<Depthwise8, int8_t>("depthwise8", s8, s8, s16),
        depthwise_form<Depthwise16, uint8_t>("depthwise16", u8, s16, s16),
        depthwise_form<Depthwise16, int8_t>("depthwise16", s8, s16, s16),
        depthwise_form<Depthwise32, uint8_t>("depthwise32", u8, s16, s32),
        depthwise_form<Depthwise32, int8_t>("depthwise32", s8, s16, s32),
        depthwise_form<Depthwise32, int16_t>("depthwise32", s16, s16, s32),
    };
}

template <int Windows, int Together>
void add_forms8(std::vector<ConvForm>& forms) {
    const char* name = Together == 2 ? "smlal8" : "smlal8-chain";
    for (Type in : {u8, s8})
        forms.push_back(tiled_form(Windows, name, conv8<Windows, Together>, in, s8, s32)
                            .inputs(kChunk8)
                            .outputs(kBlock8)
                            .in_pairs(Together)
                            .codes_up_to(INT8_MAX));
}

template <typename In>
void add_forms16(std::vector<ConvForm>& forms, Type in) {
    const auto several = tiled_form(kWindows16, "smlal16", conv16<In, kWindows16>, in, s16, s32);
    const auto one = tiled_form(1, "smlal16", conv16<In, 1>, in, s16, s32);
    for (ConvForm form : {several, one}) forms.push_back(form.inputs(1, kChunk16).outputs(kBlock16));
}

}  // namespace

Kernels neon_kernels() {
    Kernels k = loops();
    k.convs = depthwise_forms();
    add_forms8<kWindows8, kTogether>(k.convs);
    add_forms8<1, kTogether>(k.convs);
    add_forms8<kWindows8, 2>(k.convs);
    add_forms8<1, 2>(k.convs);
    add_forms16<uint8_t>(k.convs, u8);
    add_forms16<int8_t>(k.convs, s8);
    add_forms16<int16_t>(k.convs, s16);
    k.interleave = interleave;
    k.lines = neon_lines();
    k.bits = {neon_bits(s16), neon_bits(s32)};
    return k;
}

}  // namespace bitswath::emulator
#endif
