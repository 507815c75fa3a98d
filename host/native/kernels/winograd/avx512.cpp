#include "kernels/winograd/winograd.hpp"

#if defined(__x86_64__)
// GCC 12's own intrinsics start from an undefined register, and warn about it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_AVX512VNNI

namespace bitswath::emulator {
namespace {

#include "kernels/winograd/lanes.hpp"

constexpr int kBlock = 16, kTiles = kGroupTiles;

// Two chunks in turns: even lanes have the first, odd ones the second.
BITSWATH_TARGET inline __m512i pair_of_chunks(const uint8_t* from) {
    int64_t pair;
    std::memcpy(&pair, from, 8);
    return _mm512_set1_epi64(pair);
}

BITSWATH_TARGET inline __m512i swapped(__m512i pair) { return _mm512_shuffle_epi32(pair, _MM_PERM_CDAB); }

// Written out, since GCC would copy every sum in every step.
BITSWATH_TARGET inline void add_products(__m512i& sum, __m512i x, __m512i w) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}

// The rows of A times four numbers.
BITSWATH_TARGET inline __m512i shortened0(__m512i x0, __m512i x1, __m512i x2) {
    return _mm512_add_epi32(x0, _mm512_srai_epi32(_mm512_add_epi32(x1, x2), 1));
}
BITSWATH_TARGET inline __m512i shortened1(__m512i x1, __m512i x2, __m512i x3) {
    return _mm512_sub_epi32(_mm512_srai_epi32(_mm512_sub_epi32(x1, x2), 1), x3);
}

// A row of M A' of a group of tiles: for their left and their right windows.
struct Halves {
    __m512i left[kTiles], right[kTiles];
};

[[gnu::always_inline]] BITSWATH_TARGET inline void row_of_points(const WinogradTiles& of, const uint8_t* in, const int8_t* w,
                                                                 const int32_t* start, int row, Halves& halves) {
    __m512i m[4][kTiles];
#pragma GCC unroll 4
    for (int p = 0; p < 4; ++p) {
        const __m512i from = _mm512_loadu_si512(start + (4 * row + p) * kBlock);
        for (__m512i& sum : m[p]) sum = from;
    }
    const int64_t plane = of.plane, pixel = of.pixel;
    in += 4 * row * plane;
    w += row * of.pairs * 4 * 128;
    for (int64_t k = 0; k < of.pairs; ++k, in += 8) {
        const uint8_t* x = in;
#pragma GCC unroll 4
        for (int p = 0; p < 4; ++p, x += plane, w += 128) {
            const __m512i own = _mm512_loadu_si512(w), other = _mm512_loadu_si512(w + 64);
#pragma GCC unroll 4
            for (int t = 0; t < kTiles; ++t) {  // a load for two products, since loads are what is scarcest
                const __m512i chunks = pair_of_chunks(x + t * pixel);
                add_products(m[p][t], chunks, own);
                add_products(m[p][t], swapped(chunks), other);
            }
        }
    }
#pragma GCC unroll 4  // else all sums go through memory
    for (int t = 0; t < kTiles; ++t) {
        halves.left[t] = shortened0(m[0][t], m[1][t], m[2][t]);
        halves.right[t] = shortened1(m[1][t], m[2][t], m[3][t]);
    }
}

BITSWATH_TARGET inline void store_two(int32_t* to, int64_t stride, __m512i left, __m512i right) {
    _mm512_storeu_si512(to, left);
    _mm512_storeu_si512(to + stride, right);
}

template <bool Pool>
BITSWATH_TARGET inline void group(const WinogradTiles& of, const uint8_t* in, const int8_t* w, const int32_t* start,
                                  __m512i scale, int32_t* const (&sums)[kTiles]) {
    Halves outer, first, second;
    row_of_points(of, in, w, start, 1, first);
    row_of_points(of, in, w, start, 2, second);
    row_of_points(of, in, w, start, 0, outer);
    __m512i largest[kTiles];
    for (int t = 0; t < kTiles; ++t) {
        const __m512i left = _mm512_mullo_epi32(shortened0(outer.left[t], first.left[t], second.left[t]), scale);
        const __m512i right = _mm512_mullo_epi32(shortened0(outer.right[t], first.right[t], second.right[t]), scale);
        largest[t] = _mm512_max_epi32(left, right);
        if (!Pool) store_two(sums[t], of.stride, left, right);
    }
    row_of_points(of, in, w, start, 3, outer);
    for (int t = 0; t < kTiles; ++t) {
        const __m512i left = _mm512_mullo_epi32(shortened1(first.left[t], second.left[t], outer.left[t]), scale);
        const __m512i right = _mm512_mullo_epi32(shortened1(first.right[t], second.right[t], outer.right[t]), scale);
        if (Pool)
            _mm512_storeu_si512(sums[t], _mm512_max_epi32(largest[t], _mm512_max_epi32(left, right)));
        else
            store_two(sums[t] + of.row, of.stride, left, right);
    }
}

template <bool Pool>
BITSWATH_TARGET void tiles(const WinogradTiles& of) {
    const int64_t across = (Pool ? 1 : 2) * of.stride, down = 2 * of.row - of.columns * across;
    for (int64_t o = 0; o < of.outputs; o += kBlock) {
        const int8_t* weights = of.weights + o * of.pairs * 8 * kPoints;
        const __m512i scale = _mm512_loadu_si512(of.scale + o);
        int32_t* sums = of.sums + o;
        int64_t left = of.columns;  // of the row
        for (int64_t first = 0; first < of.tiles; first += kTiles) {
            int32_t* to[kTiles];
            for (int32_t*& tile : to) {
                tile = sums;
                sums += across;
                if (--left == 0) sums += down, left = of.columns;
            }
            group<Pool>(of, of.in + first * of.pixel, weights, of.start + kPoints * o, scale, to);
        }
    }
}

}  // namespace

WinogradKernels avx512_winograd() {
    WinogradKernels kernels;
    kernels.input = input<64>;
    kernels.tiles = tiles<false>;
    kernels.pooled_tiles = tiles<true>;
    return kernels;
}

}  // namespace bitswath::emulator
#endif
