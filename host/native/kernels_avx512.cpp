// AVX512-VNNI kernels: four u8 x s8 or two s16 x s16 products a lane and instruction, summed without
// saturation.
#include "kernels.hpp"

#if defined(__x86_64__)
// GCC 12's own intrinsics start from an undefined register, and warn about it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <cstring>

#define BITSWATH_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
namespace bitswath::emulator {
namespace {
#include "kernels_loops.hpp"

constexpr int kBlock = 16;

struct U8ByS8 {
    using In = uint8_t;
    static constexpr int lanes = 4;
    BITSWATH_TARGET static inline __m512i dot(__m512i acc, __m512i x, __m512i w) {
        return _mm512_dpbusd_epi32(acc, x, w);
    }
};

struct S16ByS16 {
    using In = int16_t;
    static constexpr int lanes = 2;
    BITSWATH_TARGET static inline __m512i dot(__m512i acc, __m512i x, __m512i w) {
        return _mm512_dpwssd_epi32(acc, x, w);
    }
};

// `Pixels` x `Blocks` accumulator registers; `w` points to the first of the blocks.
template <typename Dot, int Pixels, int Blocks>
BITSWATH_TARGET inline void tile(const ConvRow& row, const typename Dot::In* in, const int8_t* w, int32_t* acc,
                                 __mmask16 last) {
    __m512i sums[Pixels][Blocks];
    for (int p = 0; p < Pixels; ++p)
        for (int b = 0; b < Blocks; ++b) sums[p][b] = _mm512_setzero_si512();
    const int64_t block_bytes = row.depth * 64;
    for (int64_t k = 0; k < row.depth; ++k, w += 64) {
        __m512i weights[Blocks];
        for (int b = 0; b < Blocks; ++b) weights[b] = _mm512_loadu_si512(w + b * block_bytes);
        const auto* x = in + row.offsets[k];
        for (int p = 0; p < Pixels; ++p) {
            int32_t group;
            std::memcpy(&group, x + p * row.step, 4);
            const __m512i broadcast = _mm512_set1_epi32(group);
            for (int b = 0; b < Blocks; ++b) sums[p][b] = Dot::dot(sums[p][b], broadcast, weights[b]);
        }
    }
    for (int p = 0; p < Pixels; ++p) {
        int32_t* out = acc + p * row.stride;
        for (int b = 0; b + 1 < Blocks; ++b) _mm512_storeu_si512(out + b * kBlock, sums[p][b]);
        _mm512_mask_storeu_epi32(out + (Blocks - 1) * kBlock, last, sums[p][Blocks - 1]);
    }
}

template <typename Dot, int Pixels, int Blocks>
BITSWATH_TARGET inline int64_t tiles(const ConvRow& row, int64_t p, int64_t o, const int8_t* w, __mmask16 last) {
    for (; p + Pixels <= row.pixels; p += Pixels)
        tile<Dot, Pixels, Blocks>(row, static_cast<const typename Dot::In*>(row.in) + p * row.step, w,
                                  static_cast<int32_t*>(row.acc) + p * row.stride + o, last);
    return p;
}

template <typename Dot>
BITSWATH_TARGET void conv(const ConvRow& row) {
    const auto* weights = static_cast<const int8_t*>(row.weights);
    for (int64_t o = 0; o < row.outputs;) {
        const int64_t left = row.outputs - o;
        const int blocks = left > kBlock ? 2 : 1;
        const int64_t in_last = left - (blocks - 1) * kBlock;
        const auto last = static_cast<__mmask16>(in_last >= kBlock ? 0xFFFF : (1 << in_last) - 1);
        const int8_t* w = weights + o / kBlock * row.depth * 64;
        if (blocks == 2) {
            int64_t p = tiles<Dot, 8, 2>(row, 0, o, w, last);
            p = tiles<Dot, 4, 2>(row, p, o, w, last);
            tiles<Dot, 1, 2>(row, p, o, w, last);
        } else {
            int64_t p = tiles<Dot, 16, 1>(row, 0, o, w, last);
            p = tiles<Dot, 4, 1>(row, p, o, w, last);
            tiles<Dot, 1, 1>(row, p, o, w, last);
        }
        o += blocks * kBlock;
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

}  // namespace

Kernels avx512vnni_kernels() {
    Kernels k = loops();
    k.name = "avx512vnni";
    k.u8_by_s8 = {conv<U8ByS8>, U8ByS8::lanes, kBlock, "vpdpbusd"};
    k.s16_by_s16 = {conv<S16ByS16>, S16ByS16::lanes, kBlock, "vpdpwssd"};
    k.affine[u8] = affine_u8;
    return k;
}

}  // namespace bitswath::emulator
#endif
