// AVX512-VNNI kernels: four u8 x s8 or two s16 x s16 products a lane and instruction, summed without
// saturation.
#include "kernels/kernels.hpp"

#if defined(__x86_64__)
// GCC 12's own intrinsics start from an undefined register, and warn about it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_AVX512VNNI
namespace bitswath::emulator {
namespace {
#include "kernels/loops.hpp"

constexpr int kBlock = 16;  // outputs a register

BITSWATH_TARGET inline __m512i four_bytes(const void* from) {
    int32_t group;
    std::memcpy(&group, from, 4);
    return _mm512_set1_epi32(group);
}

// Written out, since GCC would copy every sum in every step.
struct U8ByS8 {
    using In = uint8_t;
    BITSWATH_TARGET static inline __m512i dot(__m512i acc, __m512i x, __m512i w) {
        asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
        return acc;
    }
};

struct S16ByS16 {
    using In = int16_t;
    BITSWATH_TARGET static inline __m512i dot(__m512i acc, __m512i x, __m512i w) {
        asm("vpdpwssd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(w));
        return acc;
    }
};

// `Windows` x `Blocks` accumulator registers; `w` points to the first of the blocks.
template <typename Dot, int Windows, int Blocks>
BITSWATH_TARGET inline void tile(const ConvRows& rows, const typename Dot::In* in, const int8_t* w,
                                 int32_t* acc) {
    __m512i sums[Windows][Blocks];
    for (int p = 0; p < Windows; ++p)
        for (int b = 0; b < Blocks; ++b) sums[p][b] = _mm512_setzero_si512();
    const int64_t block_bytes = rows.depth * 64;
    for (int64_t k = 0; k < rows.depth; ++k, w += 64) {
        __m512i weights[Blocks];
        for (int b = 0; b < Blocks; ++b) weights[b] = _mm512_loadu_si512(w + b * block_bytes);
        const auto* x = in + rows.offsets[k];
        for (int p = 0; p < Windows; ++p) {
            const __m512i broadcast = four_bytes(x + p * rows.step);
            for (int b = 0; b < Blocks; ++b) sums[p][b] = Dot::dot(sums[p][b], broadcast, weights[b]);
        }
    }
    for (int p = 0; p < Windows; ++p)
        for (int b = 0; b < Blocks; ++b) _mm512_storeu_si512(acc + p * rows.stride + b * kBlock, sums[p][b]);
}

template <typename Dot, int Windows, int Blocks>
BITSWATH_TARGET inline void tiles(const ConvRows& rows, int64_t o) {
    const auto* weights = static_cast<const int8_t*>(rows.weights) + o / kBlock * rows.depth * 64;
    auto* acc = static_cast<int32_t*>(rows.acc) + o;
    for (int64_t t = 0; t < rows.tiles; ++t)
        tile<Dot, Windows, Blocks>(rows, static_cast<const typename Dot::In*>(rows.in) + rows.starts[t], weights,
                                   acc + t * Windows * rows.stride);
}

// So many blocks share a broadcast as long as there are so many.
template <typename Dot, int Windows, int Blocks>
BITSWATH_TARGET inline void blocks(const ConvRows& rows, int64_t o) {
    for (; o + Blocks * kBlock <= rows.outputs; o += Blocks * kBlock) tiles<Dot, Windows, Blocks>(rows, o);
    if constexpr (Blocks > 1) blocks<Dot, Windows, Blocks / 2>(rows, o);
}

template <typename Dot, int Windows, int Blocks>
BITSWATH_TARGET void conv(const ConvRows& rows) {
    blocks<Dot, Windows, Blocks>(rows, 0);
}

// Sixteen-bit sums of one product a channel and tap, 32 channels a register.
template <typename In>
BITSWATH_TARGET inline __m512i widened(const In* x) {
    if constexpr (sizeof(In) == 2) return _mm512_loadu_si512(x);
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    return In(-1) < In(0) ? _mm512_cvtepi8_epi16(bytes) : _mm512_cvtepu8_epi16(bytes);
}

template <typename In, int Windows>
BITSWATH_TARGET void depthwise(const ConvRows& rows) {
    for (int64_t o = 0; o < rows.outputs; o += 32) {
        for (int64_t t = 0; t < rows.tiles; ++t) {
            const In* in = static_cast<const In*>(rows.in) + rows.starts[t] + o;
            const auto* w = static_cast<const int16_t*>(rows.weights) + o / 32 * rows.depth * 32;
            __m512i sums[Windows];
            for (int p = 0; p < Windows; ++p) sums[p] = _mm512_setzero_si512();
            for (int64_t k = 0; k < rows.depth; ++k, w += 32) {
                const __m512i weights = _mm512_loadu_si512(w);
                for (int p = 0; p < Windows; ++p)
                    sums[p] = _mm512_add_epi16(
                        sums[p], _mm512_mullo_epi16(widened(in + rows.offsets[k] + p * rows.step), weights));
            }
            int16_t* acc = static_cast<int16_t*>(rows.acc) + t * Windows * rows.stride + o;
            for (int p = 0; p < Windows; ++p) _mm512_storeu_si512(acc + p * rows.stride, sums[p]);
        }
    }
}

// Channels by sixteen, for sums of whole blocks.
BITSWATH_TARGET void pool2x2_s32(const void* above, const void* below, void* out, int64_t pixels, int64_t channels) {
    if (channels % kBlock) return pool2x2_loop<int32_t>(above, below, out, pixels, channels);
    const auto *a = static_cast<const int32_t*>(above), *b = static_cast<const int32_t*>(below);
    auto* y = static_cast<int32_t*>(out);
    for (int64_t p = 0; p < pixels; ++p, a += 2 * channels, b += 2 * channels, y += channels)
        for (int64_t c = 0; c < channels; c += kBlock) {
            const __m512i upper = _mm512_max_epi32(_mm512_loadu_si512(a + c), _mm512_loadu_si512(a + channels + c));
            const __m512i lower = _mm512_max_epi32(_mm512_loadu_si512(b + c), _mm512_loadu_si512(b + channels + c));
            _mm512_storeu_si512(y + c, _mm512_max_epi32(upper, lower));
        }
}

template <int Rows>
BITSWATH_FOR_AVX512VBMI inline __m512i mixed_group(const Interleaving& how, int64_t g,
                                                                                  const uint8_t* const* rows,
                                                                                  int64_t at, int64_t count) {
    __m512i mixed = _mm512_setzero_si512();
    for (int64_t r = 0; r < (Rows ? Rows : count); ++r) {
        const __m512i index = _mm512_loadu_si512(how.index[g * count + r].data());
        const __m512i row = _mm512_loadu_si512(rows[r] + at);
        const __m512i part = _mm512_maskz_permutexvar_epi8(how.masks[g * count + r], index, row);
        mixed = _mm512_or_si512(mixed, part);
    }
    return mixed;
}

BITSWATH_FOR_AVX512VBMI void interleave_vbmi(const Interleaving& how,
                                                                           const uint8_t* const* rows, int64_t pixels,
                                                                           uint8_t* out) {
    const int64_t bytes = pixels * how.rows * how.channels, groups = static_cast<int64_t>(how.bases.size());
    for (int64_t done = 0, g = 0, at = 0; done < bytes; done += 64, ++g) {
        if (g == groups) g = 0, at += how.advance;
        const int64_t from = at + how.bases[g];
        _mm512_storeu_si512(out + done, how.rows == 3 ? mixed_group<3>(how, g, rows, from, 3)
                                                      : mixed_group<0>(how, g, rows, from, how.rows));
    }
}

BITSWATH_TARGET inline __m512i load(const void* values, int64_t c, __mmask16 mask) {
    return _mm512_maskz_loadu_epi32(mask, static_cast<const int32_t*>(values) + c);
}

// For base 0 and step 1 and codes of 8 bits, the usual activation.
BITSWATH_TARGET void affine_u8(const Requantizer& r, const void* acc, void* out, int64_t pixels, int64_t channels) {
    if (r.base != 0 || r.step != 1) return affine_loop<int32_t, uint32_t, uint8_t>(r, acc, out, pixels, channels);
    const __m128i shift = _mm_cvtsi32_si128(r.shift);
    for (int64_t p = 0; p < pixels; ++p) {
        const int32_t* x = static_cast<const int32_t*>(acc) + p * channels;
        uint8_t* y = static_cast<uint8_t*>(out) + p * channels;
        for (int64_t c = 0; c < channels; c += kBlock) {
            const int64_t left = channels - c;
            const auto mask = static_cast<__mmask16>(left >= kBlock ? 0xFFFF : (1 << left) - 1);
            const __m512i low = _mm512_max_epi32(load(x, c, mask), load(r.lo, c, mask));
            const __m512i clamped = _mm512_min_epi32(low, load(r.hi, c, mask));
            const __m512i scaled = _mm512_mullo_epi32(clamped, load(r.gain, c, mask));
            const __m512i code = _mm512_srl_epi32(_mm512_add_epi32(scaled, load(r.offset, c, mask)), shift);
            _mm512_mask_cvtepi32_storeu_epi8(y + c, mask, code);
        }
    }
}

template <typename In, int Windows>
ConvForm depthwise_form(Type in) {
    return ConvForm("depthwise16", depthwise<In, Windows>, in, s16, s16).outputs(32).windows(Windows).channelwise();
}

// Sixteen or eight sums stay in registers.
template <typename Dot, int Windows>
ConvForm form(const char* name, Type in, Type weights, Type acc) {
    const int group = 4 / static_cast<int>(kTypeBytes[weights]);  // of inputs, in 32 bits
    return tiled_form(Windows, name, conv<Dot, Windows, Windows == 4 ? 4 : 2>, in, weights, acc).inputs(group).outputs(kBlock);
}

}  // namespace

Kernels avx512_kernels() {
    Kernels k = loops();
    k.convs = {
        depthwise_form<uint8_t, 4>(u8),
        depthwise_form<int8_t, 4>(s8),
        form<U8ByS8, 4>("vpdpbusd", u8, s8, s32).for_rows_up_to(4),
        form<U8ByS8, 8>("vpdpbusd", u8, s8, s32),
        form<U8ByS8, 1>("vpdpbusd", u8, s8, s32),
        form<S16ByS16, 4>("vpdpwssd", s16, s16, s32).for_rows_up_to(4),
        form<S16ByS16, 8>("vpdpwssd", s16, s16, s32),
        form<S16ByS16, 1>("vpdpwssd", s16, s16, s32),
    };
    const WinogradKernels winograd = avx512_winograd();
    const ConvForm products = ConvForm("vpdpbusd", nullptr, u8, s8, s32).inputs(4).outputs(kBlock).windows(kGroupTiles);
    k.winograd = {{products, s32, winograd.input, nullptr, 1, 60, 60, winograd.tiles, winograd.pooled_tiles}};
    if (cpu().avx512vbmi) k.interleave = interleave_vbmi;
    k.affine[u8] = affine_u8;
    k.pool2x2[s32] = pool2x2_s32;
    k.lines = avx512_lines();
    k.bits = {avx512_bits(s16), avx512_bits(s32)};
    if (cpu().avx512vpopcntdq) k.bits.insert(k.bits.begin(), {vpopcntdq_bits(s16), vpopcntdq_bits(s32)});
    return k;
}

// Registers of 512 bits are two of 256 there. So those are as quick where products are added in lanes of 16 bits, and
// quicker where a sum has few of them.
Kernels zen4_kernels() {
    constexpr int64_t kFew = 64;
    Kernels k = avx512_kernels();
    const Kernels halves = avx2_kernels();
    std::vector<ConvForm> words;
    for (ConvForm form : halves.convs)
        if (form.acc == s16 && form.pairs) words.push_back(form.depthwise ? form : form.for_sums_up_to(kFew));
    k.convs.insert(k.convs.begin(), words.begin(), words.end());
    k.pool2x2[s16] = halves.pool2x2[s16];
    return k;
}

}  // namespace bitswath::emulator
#endif
