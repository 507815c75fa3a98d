// AVX2 kernels: two s16 x s16 products a lane and instruction; four u8 x s8 ones where the graph proves
// that no sum of two products saturates 16 bits.
#include "kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#define BITSWATH_TARGET __attribute__((target("avx2")))
namespace bitswath::emulator {
namespace {
#include "kernels_loops.hpp"

constexpr int kBlock = 8;

struct U8ByS8 {
    using In = uint8_t;
    static constexpr int lanes = 4;
    BITSWATH_TARGET static inline __m256i dot(__m256i acc, __m256i x, __m256i w) {
        const __m256i pairs = _mm256_maddubs_epi16(x, w);
        return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
};

struct S16ByS16 {
    using In = int16_t;
    static constexpr int lanes = 2;
    BITSWATH_TARGET static inline __m256i dot(__m256i acc, __m256i x, __m256i w) {
        return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
    }
};

// `Pixels` x `Blocks` accumulator registers; `w` points to the first of the blocks.
template <typename Dot, int Pixels, int Blocks>
BITSWATH_TARGET inline void tile(const ConvRow& row, const typename Dot::In* in, const int8_t* w, int32_t* acc,
                                 __m256i last) {
    __m256i sums[Pixels][Blocks];
    for (int p = 0; p < Pixels; ++p)
        for (int b = 0; b < Blocks; ++b) sums[p][b] = _mm256_setzero_si256();
    const int64_t block_bytes = row.depth * 32;
    for (int64_t k = 0; k < row.depth; ++k, w += 32) {
        const auto* x = in + row.offsets[k];
        __m256i weights[Blocks];
        for (int b = 0; b < Blocks; ++b)
            weights[b] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + b * block_bytes));
        for (int p = 0; p < Pixels; ++p) {
            int32_t group;
            std::memcpy(&group, x + p * row.step, 4);
            const __m256i broadcast = _mm256_set1_epi32(group);
            for (int b = 0; b < Blocks; ++b) sums[p][b] = Dot::dot(sums[p][b], broadcast, weights[b]);
        }
    }
    for (int p = 0; p < Pixels; ++p) {
        int32_t* out = acc + p * row.stride;
        for (int b = 0; b + 1 < Blocks; ++b)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + b * kBlock), sums[p][b]);
        _mm256_maskstore_epi32(out + (Blocks - 1) * kBlock, last, sums[p][Blocks - 1]);
    }
}

template <typename Dot, int Pixels, int Blocks>
BITSWATH_TARGET inline int64_t tiles(const ConvRow& row, int64_t p, int64_t o, const int8_t* w, __m256i last) {
    for (; p + Pixels <= row.pixels; p += Pixels)
        tile<Dot, Pixels, Blocks>(row, static_cast<const typename Dot::In*>(row.in) + p * row.step, w,
                                  static_cast<int32_t*>(row.acc) + p * row.stride + o, last);
    return p;
}

template <typename Dot>
BITSWATH_TARGET void conv(const ConvRow& row) {
    const auto* weights = static_cast<const int8_t*>(row.weights);
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (int64_t o = 0; o < row.outputs;) {
        const int64_t left = row.outputs - o;
        const int blocks = left > kBlock ? 2 : 1;
        const int64_t in_last = left - (blocks - 1) * kBlock;
        const __m256i last = _mm256_cmpgt_epi32(_mm256_set1_epi32(in_last < kBlock ? in_last : kBlock), index);
        const int8_t* w = weights + o / kBlock * row.depth * 32;
        if (blocks == 2)
            tiles<Dot, 1, 2>(row, tiles<Dot, 4, 2>(row, 0, o, w, last), o, w, last);
        else
            tiles<Dot, 1, 1>(row, tiles<Dot, 8, 1>(row, 0, o, w, last), o, w, last);
        o += blocks * kBlock;
    }
}

}  // namespace

Kernels avx2_kernels() {
    Kernels k = loops();
    k.name = "avx2";
    k.u8_by_s8 = {conv<U8ByS8>, U8ByS8::lanes, kBlock, "vpmaddubsw"};
    k.u8_pairs_s16 = true;
    k.s16_by_s16 = {conv<S16ByS16>, S16ByS16::lanes, kBlock, "vpmaddwd"};
    return k;
}

}  // namespace bitswath::emulator
#endif
