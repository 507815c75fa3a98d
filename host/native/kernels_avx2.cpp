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

// `Windows` x `Blocks` accumulator registers; `w` points to the first of the blocks.
template <typename Dot, int Windows, int Blocks>
BITSWATH_TARGET inline void tile(const ConvRows& rows, const typename Dot::In* in, const int8_t* w,
                                 int32_t* acc) {
    __m256i sums[Windows][Blocks];
    for (int b = 0; b < Blocks; ++b)
        for (int p = 0; p < Windows; ++p) sums[p][b] = _mm256_setzero_si256();
    const int64_t block_bytes = rows.depth * 32;
    for (int64_t k = 0; k < rows.depth; ++k, w += 32) {
        const auto* x = in + rows.offsets[k];
        __m256i weights[Blocks];
        for (int b = 0; b < Blocks; ++b)
            weights[b] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + b * block_bytes));
        for (int p = 0; p < Windows; ++p) {
            int32_t group;
            std::memcpy(&group, x + p * rows.step, 4);
            const __m256i broadcast = _mm256_set1_epi32(group);
            for (int b = 0; b < Blocks; ++b) sums[p][b] = Dot::dot(sums[p][b], broadcast, weights[b]);
        }
    }
    for (int p = 0; p < Windows; ++p)
        for (int b = 0; b < Blocks; ++b)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(acc + p * rows.stride + b * kBlock), sums[p][b]);
}

template <typename Dot, int Windows, int Blocks>
BITSWATH_TARGET inline void tiles(const ConvRows& rows, int64_t o) {
    const auto* weights = static_cast<const int8_t*>(rows.weights) + o / kBlock * rows.depth * 32;
    auto* acc = static_cast<int32_t*>(rows.acc) + o;
    for (int64_t t = 0; t < rows.tiles; ++t)
        tile<Dot, Windows, Blocks>(rows, static_cast<const typename Dot::In*>(rows.in) + rows.starts[t], weights,
                                   acc + t * Windows * rows.stride);
}

template <typename Dot, int Windows>
BITSWATH_TARGET void conv(const ConvRows& rows) {
    int64_t o = 0;
    for (; o + 2 * kBlock <= rows.outputs; o += 2 * kBlock) tiles<Dot, Windows, 2>(rows, o);
    if (o < rows.outputs) tiles<Dot, Windows, 1>(rows, o);
}

}  // namespace

Kernels avx2_kernels() {
    Kernels k = loops();
    k.convs = {
        {"vpmaddubsw", conv<U8ByS8, 4>, u8, s8, s32, 4, 4, kBlock, 4, false, true, 2},
        {"vpmaddubsw", conv<U8ByS8, 1>, u8, s8, s32, 4, 4, kBlock, 1, false, true, 1},
        {"vpmaddwd", conv<S16ByS16, 4>, s16, s16, s32, 2, 2, kBlock, 4, false, false, 2},
        {"vpmaddwd", conv<S16ByS16, 1>, s16, s16, s32, 2, 2, kBlock, 1, false, false, 1},
    };
    return k;
}

}  // namespace bitswath::emulator
#endif
