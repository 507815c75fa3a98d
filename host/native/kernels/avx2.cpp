// AVX2 kernels. Products of u8 and s8 are added in pairs of 16 bits (vpmaddubsw), for which the graph must prove
// that no pair saturates, and further in 16 bits as far as that is exact.
#include "kernels/kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_AVX2
namespace bitswath::emulator {
namespace {
#include "kernels/loops.hpp"
#include "kernels/ymm.hpp"

constexpr int kWindows = 4;

BITSWATH_TARGET inline __m256i zero() { return _mm256_setzero_si256(); }

struct S16ByS16 {
    using In = int16_t;
    BITSWATH_TARGET static inline __m256i dot(__m256i acc, __m256i x, __m256i w) {
        return _mm256_add_epi32(acc, product(x, w));
    }
    BITSWATH_TARGET static inline __m256i product(__m256i x, __m256i w) { return _mm256_madd_epi16(x, w); }
};

// Sums of two pairs side by side. The addition is written out, since GCC would copy every sum in every step.
struct Pairs {
    using In = uint8_t;
    BITSWATH_TARGET static inline __m256i dot(__m256i acc, __m256i x, __m256i w) {
        asm("vpaddw %1, %0, %0" : "+x"(acc) : "x"(product(x, w)));
        return acc;
    }
    BITSWATH_TARGET static inline __m256i product(__m256i x, __m256i w) { return _mm256_maddubs_epi16(x, w); }
};

// Sums of 32 bits of as many pairs as fit 16 bits.
template <bool Scales>
struct Partial {
    using In = uint8_t;
    using Acc = int32_t;

    template <int Windows>
    BITSWATH_TARGET static inline void tile(const ConvRows& rows, const In* in, const int8_t* w, int64_t o, Acc* acc) {
        const __m256i ones = _mm256_set1_epi16(1);
        __m256i sums[Windows][2];
        int64_t first = std::min(rows.depth, rows.run);
        const Tile<Windows> pairs = sums_of<Pairs, Windows>(rows, in, w, 0, first);
        for (int p = 0; p < Windows; ++p)
            for (int i = 0; i < 2; ++i) sums[p][i] = _mm256_madd_epi16(pairs.of[p][i], ones);
        for (; first < rows.depth; first += rows.run) {
            const int64_t last = std::min(rows.depth, first + rows.run);
            const Tile<Windows> more = sums_of<Pairs, Windows>(rows, in, w, first, last);
            for (int p = 0; p < Windows; ++p)
                for (int i = 0; i < 2; ++i)
                    sums[p][i] = _mm256_add_epi32(sums[p][i], _mm256_madd_epi16(more.of[p][i], ones));
        }
        for (int i = 0; i < 2; ++i) {
            const __m256i scale = Scales ? load(static_cast<const Acc*>(rows.scale) + o + 8 * i) : ones;
            for (int p = 0; p < Windows; ++p)
                store(acc + p * rows.stride + 8 * i, Scales ? _mm256_mullo_epi32(sums[p][i], scale) : sums[p][i]);
        }
    }
};

// Sums of 16 bits, modulo 2^16. Weights are crossed: the first register has the first pair of even outputs and the
// second pair of odd ones, the second the others, so that a turn of one and an addition give all outputs in order.
struct Narrow {
    using In = uint8_t;
    using Acc = int16_t;

    BITSWATH_TARGET static inline __m256i joined(const __m256i (&sums)[2], const Acc* scale) {
        const __m128i order = _mm_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
        const __m256i turned = _mm256_shuffle_epi8(sums[1], _mm256_broadcastsi128_si256(order));
        return _mm256_mullo_epi16(_mm256_add_epi16(sums[0], turned), load(scale));
    }

    template <int Windows>
    BITSWATH_TARGET static inline void tile(const ConvRows& rows, const In* in, const int8_t* w, int64_t o, Acc* acc) {
        const Tile<Windows> sums = sums_of<Pairs, Windows>(rows, in, w, 0, rows.depth);
        for (int p = 0; p < Windows; ++p)
            store(acc + p * rows.stride, joined(sums.of[p], static_cast<const Acc*>(rows.scale) + o));
    }
};

// The same of two blocks of outputs, for which inputs are loaded once. The second block's weights stay in memory, as
// three windows' sums fill the registers.
struct NarrowBlocks {
    using In = uint8_t;
    using Acc = int16_t;

    BITSWATH_TARGET static inline __m256i product(__m256i x, const int8_t* w) {
        __m256i products;
        asm("vpmaddubsw %2, %1, %0" : "=x"(products) : "x"(x), "m"(*reinterpret_cast<const __m256i_u*>(w)));
        return products;
    }
    template <bool First>
    BITSWATH_TARGET static inline void add(__m256i& sum, __m256i products) {
        if (First)
            sum = products;
        else
            asm("vpaddw %1, %0, %0" : "+x"(sum) : "x"(products));
    }

    template <bool First, int Windows>
    BITSWATH_TARGET static inline void add_group(__m256i (&sums)[Windows][2][2], const In* x, int64_t step,
                                                 const int8_t* w) {
        __m256i w0 = load(w), w1 = load(w + 32);
        asm("" : "+x"(w0), "+x"(w1));  // stay in registers, and are not loaded for every window
        for (int p = 0; p < Windows; ++p) {
            const __m256i group = four_bytes(x + p * step);
            __m256i(&sum)[2][2] = sums[p];
            add<First>(sum[0][0], _mm256_maddubs_epi16(group, w0));
            add<First>(sum[0][1], _mm256_maddubs_epi16(group, w1));
            add<First>(sum[1][0], product(group, w + 64));
            add<First>(sum[1][1], product(group, w + 96));
        }
    }

    template <int Windows>
    BITSWATH_TARGET static inline void tile(const ConvRows& rows, const In* in, const int8_t* w, int64_t o, Acc* acc) {
        __m256i sums[Windows][2][2];
        const int32_t *offset = rows.offsets, *end = offset + rows.depth;
        add_group<true>(sums, in + *offset, rows.step, w);
        while (++offset != end) add_group<false>(sums, in + *offset, rows.step, w += 128);
        const auto* scale = static_cast<const Acc*>(rows.scale) + o;
        for (int p = 0; p < Windows; ++p)
            for (int b = 0; b < 2; ++b)
                store(acc + p * rows.stride + b * kBlock, Narrow::joined(sums[p][b], scale + b * kBlock));
    }
};

// The same from `start`, of pairs of inputs that lie there twice, so that one lane has an output's sum.
template <int Windows, int Blocks>
BITSWATH_TARGET inline void twice_tile(const ConvRows& rows, const uint8_t* x, int64_t o, int16_t* acc) {
    const auto* w = static_cast<const int8_t*>(rows.weights) + o * rows.depth * 2;
    const auto *start = static_cast<const int16_t*>(rows.start) + o;
    const int64_t block = rows.depth * 32, step = rows.step;
    const int8_t* const end = w + block;
    __m256i sums[Windows][Blocks];
    for (auto& sum : sums)
        for (int b = 0; b < Blocks; ++b) sum[b] = load(start + b * kBlock);
    do {
        __m256i weights[Blocks];
        for (int b = 0; b < Blocks; ++b) weights[b] = load(w + b * block);
        for (__m256i& weight : weights) asm("" : "+x"(weight));
        for (int p = 0; p < Windows; ++p) {
            const __m256i pair = four_bytes(x + p * step);
            for (int b = 0; b < Blocks; ++b) sums[p][b] = Pairs::dot(sums[p][b], pair, weights[b]);
        }
        w += 32;
        x += 4;
    } while (w != end);
    for (int p = 0; p < Windows; ++p)
        for (int b = 0; b < Blocks; ++b) store(acc + p * rows.stride + b * kBlock, sums[p][b]);
}

constexpr int kTwiceWindows = 8;

BITSWATH_TARGET void twice(const ConvRows& rows) {
    int64_t o = 0;
    for (; o < rows.outputs; o += rows.outputs - o >= 2 * kBlock ? 2 * kBlock : kBlock) {
        auto* acc = static_cast<int16_t*>(rows.acc) + o;
        for (int64_t t = 0; t < rows.tiles; ++t, acc += kTwiceWindows * rows.stride) {
            const auto* x = static_cast<const uint8_t*>(rows.in) + rows.starts[t];
            if (rows.outputs - o < 2 * kBlock) {
                twice_tile<kTwiceWindows, 1>(rows, x, o, acc);
            } else {
                twice_tile<kTwiceWindows / 2, 2>(rows, x, o, acc);
                twice_tile<kTwiceWindows / 2, 2>(rows, x + kTwiceWindows / 2 * rows.step, o,
                                                 acc + kTwiceWindows / 2 * rows.stride);
            }
        }
    }
}

// One product a channel and tap in 16 bits.
template <typename In>
BITSWATH_TARGET inline __m256i widened(const In* x) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    return In(-1) < In(0) ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
}

template <typename In>
BITSWATH_TARGET void depthwise(const ConvRows& rows) {
    for (int64_t o = 0; o < rows.outputs; o += kBlock) {
        for (int64_t t = 0; t < rows.tiles; ++t) {
            const In* in = static_cast<const In*>(rows.in) + rows.starts[t] + o;
            const auto* w = static_cast<const int16_t*>(rows.weights) + o * rows.depth;
            __m256i sums[kWindows];
            for (__m256i& sum : sums) sum = _mm256_setzero_si256();
            for (int64_t k = 0; k < rows.depth; ++k, w += kBlock) {
                const __m256i weights = load(w);
                for (int p = 0; p < kWindows; ++p) {
                    const __m256i x = widened(in + rows.offsets[k] + p * rows.step);
                    sums[p] = _mm256_add_epi16(sums[p], _mm256_mullo_epi16(x, weights));
                }
            }
            int16_t* acc = static_cast<int16_t*>(rows.acc) + t * kWindows * rows.stride + o;
            for (int p = 0; p < kWindows; ++p) store(acc + p * rows.stride, sums[p]);
        }
    }
}

// The bytes of two taps side by side, two channels' halves of 128 bits apart.
struct TapPair {
    __m256i low, high;

    BITSWATH_TARGET TapPair(__m256i first, __m256i second)
        : low(_mm256_unpacklo_epi8(first, second)), high(_mm256_unpackhi_epi8(first, second)) {}
};

constexpr int kTapBlock = 32;

// Two taps at once, products added in 16 bits.
BITSWATH_TARGET void depthwise_pairs(const ConvRows& given) {
    const ConvRows rows = given;  // which no store can change
    for (int64_t o = 0; o < rows.outputs; o += kTapBlock) {
        const __m256i scale0 = load(static_cast<const int16_t*>(rows.scale) + o);
        const __m256i scale1 = load(static_cast<const int16_t*>(rows.scale) + o + kTapBlock / 2);
        for (int64_t t = 0; t < rows.tiles; ++t) {
            const auto* in = static_cast<const uint8_t*>(rows.in) + rows.starts[t] + o;
            const auto* w = static_cast<const int8_t*>(rows.weights) + o * rows.depth;
            TapPair sums[kWindows] = {{zero(), zero()}, {zero(), zero()}, {zero(), zero()}, {zero(), zero()}};
            for (int64_t k = 0; k < rows.depth; k += 2, w += 2 * kTapBlock) {
                const bool lone = k + 1 == rows.depth;
                const TapPair weights(load(w), lone ? zero() : load(w + kTapBlock));
                const auto *x0 = in + rows.offsets[k], *x1 = in + rows.offsets[lone ? k : k + 1];
                for (int p = 0; p < kWindows; ++p, x0 += rows.step, x1 += rows.step) {
                    const TapPair x(load(x0), load(x1));
                    sums[p].low = Pairs::dot(sums[p].low, x.low, weights.low);
                    sums[p].high = Pairs::dot(sums[p].high, x.high, weights.high);
                }
            }
            auto* acc = static_cast<int16_t*>(rows.acc) + t * kWindows * rows.stride + o;
            for (const TapPair& sum : sums) {
                store(acc, _mm256_mullo_epi16(_mm256_permute2x128_si256(sum.low, sum.high, 0x20), scale0));
                store(acc + kTapBlock / 2, _mm256_mullo_epi16(_mm256_permute2x128_si256(sum.low, sum.high, 0x31), scale1));
                acc += rows.stride;
            }
        }
    }
}

template <typename T>
BITSWATH_TARGET inline __m256i larger(__m256i a, __m256i b) {
    if constexpr (sizeof(T) == 1) return _mm256_max_epu8(a, b);
    return sizeof(T) == 2 ? _mm256_max_epi16(a, b) : _mm256_max_epi32(a, b);
}

// Channels by registers, for sums of whole blocks.
template <typename T>
BITSWATH_TARGET void pool2x2(const void* above, const void* below, void* out, int64_t pixels, int64_t channels) {
    constexpr int64_t kLanes = 32 / sizeof(T);
    if (channels % kLanes) return pool2x2_loop<T>(above, below, out, pixels, channels);
    const T *a = static_cast<const T*>(above), *b = static_cast<const T*>(below);
    T* y = static_cast<T*>(out);
    for (int64_t p = 0; p < pixels; ++p, a += 2 * channels, b += 2 * channels, y += channels)
        for (int64_t c = 0; c < channels; c += kLanes) {
            const __m256i upper = larger<T>(load(a + c), load(a + channels + c));
            store(y + c, larger<T>(upper, larger<T>(load(b + c), load(b + channels + c))));
        }
}

// For base 0 and step 1 and codes of 8 bits, the usual activation.
BITSWATH_TARGET void affine_u8(const Requantizer& r, const void* acc, void* out, int64_t pixels, int64_t channels) {
    if (r.base != 0 || r.step != 1 || channels % 8)
        return affine_loop<int32_t, uint32_t, uint8_t>(r, acc, out, pixels, channels);
    const auto row = [](const void* values, int64_t c) { return static_cast<const int32_t*>(values) + c; };
    const __m128i shift = _mm_cvtsi32_si128(r.shift);
    const __m256i low_bytes = _mm256_set1_epi32(0xFF);
    for (int64_t p = 0; p < pixels; ++p)
        for (int64_t c = 0; c < channels; c += 8) {
            const __m256i low = _mm256_max_epi32(load(row(acc, p * channels + c)), load(row(r.lo, c)));
            const __m256i clamped = _mm256_min_epi32(low, load(row(r.hi, c)));
            const __m256i scaled = _mm256_mullo_epi32(clamped, load(row(r.gain, c)));
            const __m256i code = _mm256_srl_epi32(_mm256_add_epi32(scaled, load(row(r.offset, c))), shift);
            const __m256i words = _mm256_packus_epi32(_mm256_and_si256(code, low_bytes), _mm256_setzero_si256());
            const __m256i bytes = _mm256_packus_epi16(words, _mm256_setzero_si256());
            const __m256i codes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 1, 1, 1, 1, 1));
            _mm_storel_epi64(reinterpret_cast<__m128i*>(static_cast<uint8_t*>(out) + p * channels + c),
                             _mm256_castsi256_si128(codes));
        }
}

template <typename In>
ConvForm depthwise_form(Type in) {
    return ConvForm("depthwise16", depthwise<In>, in, s16, s16).outputs(kBlock).windows(kWindows).channelwise();
}

}  // namespace

Kernels avx2_kernels() {
    Kernels k = loops();
    k.convs = {
        ConvForm("depthwise8", depthwise_pairs, u8, s8, s16).outputs(kTapBlock).windows(kWindows).channelwise().in_pairs().scaling(),
        depthwise_form<uint8_t>(u8),
        depthwise_form<int8_t>(s8),
        form<NarrowBlocks, 3, 2 * kBlock>("vpmaddubsw16", u8, s8, s16)
            .in_whole_blocks().in_pairs().scaling().in_crossed_pairs(),
        form<Narrow, 6>("vpmaddubsw16", u8, s8, s16).in_pairs().scaling().in_crossed_pairs(),
        form<Narrow, 1>("vpmaddubsw16", u8, s8, s16).in_pairs().scaling().in_crossed_pairs(),
        form<Partial<true>, kWindows>("vpmaddubsw", u8, s8, s32).in_pairs().scaling(),
        form<Partial<true>, 1>("vpmaddubsw", u8, s8, s32).in_pairs().scaling(),
        form<Wide<S16ByS16>, kWindows>("vpmaddwd", s16, s16, s32),
        form<Wide<S16ByS16>, 1>("vpmaddwd", s16, s16, s32),
    };
    const WinogradKernels winograd = avx2_winograd();
    const ConvForm words =
        tiled_form(kTwiceWindows, "vpmaddubsw16", twice, u8, s8, s16).inputs(2).outputs(kBlock).in_pairs();
    const ConvForm integers = form<Partial<false>, kWindows>("vpmaddubsw", u8, s8, s32).in_pairs();
    k.winograd = {
        {words, s16, winograd.input_twice, winograd.words, 2, 135, 220},
        {words, s32, winograd.input_twice, winograd.widened, 2, 135, 240},
        {integers, s32, winograd.input, winograd.integers, 1, 100, 570},
    };
    k.affine[u8] = affine_u8;
    k.pool2x2[u8] = pool2x2<uint8_t>;
    k.pool2x2[s16] = pool2x2<int16_t>;
    k.pool2x2[s32] = pool2x2<int32_t>;
    k.lines = avx2_lines();
    k.bits = {avx2_bits(s16), avx2_bits(s32)};
    return k;
}

}  // namespace bitswath::emulator
#endif
