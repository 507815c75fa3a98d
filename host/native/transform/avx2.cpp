// AVX2: 16 columns a register, two rows a multiply-add.
#include "transform/kernels.hpp"

#include "common/cpu.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <utility>

#define BITSWATH_TARGET BITSWATH_FOR_AVX2

namespace bitswath {
namespace {

struct Lines {
    __m256i at[kBlock];
};

BITSWATH_TARGET inline __m256i load(const int16_t* at) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
}

BITSWATH_TARGET inline void store(int16_t* at, __m256i value) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(at), value);
}

BITSWATH_TARGET inline __m256i pair(int16_t first, int16_t second) {
    return _mm256_set1_epi32(static_cast<int32_t>(static_cast<uint16_t>(first) |
                                                  static_cast<uint32_t>(static_cast<uint16_t>(second)) << 16));
}

BITSWATH_TARGET inline void transpose(Lines& a) {
    Lines b;
    for (int step = 0; step < 4; ++step) {  // rows i and i + 8 interleaved: after four times rows are columns
        for (int i = 0; i < 8; ++i) {
            const __m256i lo = _mm256_unpacklo_epi16(a.at[i], a.at[i + 8]);
            const __m256i hi = _mm256_unpackhi_epi16(a.at[i], a.at[i + 8]);
            b.at[2 * i] = _mm256_permute2x128_si256(lo, hi, 0x20);
            b.at[2 * i + 1] = _mm256_permute2x128_si256(lo, hi, 0x31);
        }
        a = b;
    }
}

// sums[u] = (sum over y of kDct[u][y] * lines[y] + half) >> shift
BITSWATH_TARGET inline void analyse(Lines& lines, int shift) {
    __m256i lo[8], hi[8];
    for (int i = 0; i < 8; ++i) {
        lo[i] = _mm256_unpacklo_epi16(lines.at[2 * i], lines.at[2 * i + 1]);
        hi[i] = _mm256_unpackhi_epi16(lines.at[2 * i], lines.at[2 * i + 1]);
    }
    const __m128i by = _mm_cvtsi32_si128(shift);
    const __m256i half = _mm256_set1_epi32(1 << (shift - 1));
    for (int u = 0; u < kBlock; ++u) {
        __m256i low = half, high = half;
        for (int i = 0; i < 8; ++i) {
            const __m256i factors = pair(kDct[u][2 * i], kDct[u][2 * i + 1]);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(lo[i], factors));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(hi[i], factors));
        }
        lines.at[u] = _mm256_packs_epi32(_mm256_sra_epi32(low, by), _mm256_sra_epi32(high, by));
    }
}

BITSWATH_TARGET void forward(BlockValues& block, int headroom) {
    Lines lines;
    for (int i = 0; i < kBlock; ++i) lines.at[i] = load(block.at + kBlock * i);
    analyse(lines, 4 + headroom);
    transpose(lines);
    analyse(lines, 10);
    transpose(lines);
    for (int i = 0; i < kBlock; ++i) store(block.at + kBlock * i, lines.at[i]);
}

// lines[y] = (sum over u < count of kDct[u][y] * lines[u] + half) >> shift; lines y and 15 - y share their even and
// odd frequencies' sums.
BITSWATH_TARGET inline void synthesize(Lines& lines, int count, int shift) {
    __m256i lo[8], hi[8];
    const int pairs = (count + 3) / 4;
    for (int i = 0; i < pairs; ++i)
        for (int odd = 0; odd < 2; ++odd) {
            const __m256i first = lines.at[4 * i + odd], second = lines.at[4 * i + 2 + odd];
            lo[2 * i + odd] = _mm256_unpacklo_epi16(first, second);
            hi[2 * i + odd] = _mm256_unpackhi_epi16(first, second);
        }
    const __m128i by = _mm_cvtsi32_si128(shift);
    const __m256i half = _mm256_set1_epi32(1 << (shift - 1));
    for (int y = 0; y < 8; ++y) {
        __m256i even_lo = half, even_hi = half, odd_lo = _mm256_setzero_si256(), odd_hi = odd_lo;
        for (int i = 0; i < pairs; ++i) {
            const __m256i evens = pair(kDct[4 * i][y], kDct[4 * i + 2][y]);
            const __m256i odds = pair(kDct[4 * i + 1][y], kDct[4 * i + 3][y]);
            even_lo = _mm256_add_epi32(even_lo, _mm256_madd_epi16(lo[2 * i], evens));
            even_hi = _mm256_add_epi32(even_hi, _mm256_madd_epi16(hi[2 * i], evens));
            odd_lo = _mm256_add_epi32(odd_lo, _mm256_madd_epi16(lo[2 * i + 1], odds));
            odd_hi = _mm256_add_epi32(odd_hi, _mm256_madd_epi16(hi[2 * i + 1], odds));
        }
        lines.at[y] = _mm256_packs_epi32(_mm256_sra_epi32(_mm256_add_epi32(even_lo, odd_lo), by),
                                         _mm256_sra_epi32(_mm256_add_epi32(even_hi, odd_hi), by));
        lines.at[15 - y] = _mm256_packs_epi32(_mm256_sra_epi32(_mm256_sub_epi32(even_lo, odd_lo), by),
                                              _mm256_sra_epi32(_mm256_sub_epi32(even_hi, odd_hi), by));
    }
}

BITSWATH_TARGET void inverse(BlockValues& block, int headroom, int rows, int columns) {
    Lines lines;
    for (int i = 0; i < (rows + 3) / 4 * 4; ++i) lines.at[i] = load(block.at + kBlock * i);
    synthesize(lines, rows, 6);
    transpose(lines);
    synthesize(lines, columns, 12 - headroom);
    transpose(lines);
    const __m256i least = _mm256_set1_epi16(-2048), most = _mm256_set1_epi16(2047);
    for (int i = 0; i < kBlock; ++i)
        store(block.at + kBlock * i, _mm256_max_epi16(least, _mm256_min_epi16(most, lines.at[i])));
}

BITSWATH_TARGET BlockMask quantize(const BlockValues& coefficients, uint32_t factor, uint32_t offset, int shift,
                                   BlockValues& levels) {
    BlockMask mask{};
    const __m256i factors = _mm256_set1_epi32(static_cast<int32_t>(factor));
    const __m256i offsets = _mm256_set1_epi32(static_cast<int32_t>(offset));
    const __m128i by = _mm_cvtsi32_si128(shift);
    const __m256i zero = _mm256_setzero_si256();
    for (int i = 0; i < kBlock; ++i) {
        const __m256i values = load(coefficients.at + kBlock * i), sizes = _mm256_abs_epi16(values);
        __m256i low = _mm256_unpacklo_epi16(sizes, zero), high = _mm256_unpackhi_epi16(sizes, zero);
        low = _mm256_srl_epi32(_mm256_add_epi32(_mm256_mullo_epi32(low, factors), offsets), by);
        high = _mm256_srl_epi32(_mm256_add_epi32(_mm256_mullo_epi32(high, factors), offsets), by);
        const __m256i level = _mm256_packs_epi32(low, high);
        store(levels.at + kBlock * i, _mm256_sign_epi16(level, values));
        const __m256i zeros = _mm256_cmpeq_epi16(level, zero);
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(zeros, zero), 0x08);
        const auto bits = ~static_cast<uint32_t>(_mm256_movemask_epi8(bytes)) & 0xffff;
        mask.words[i / 4] |= uint64_t{bits} << 16 * (i % 4);
    }
    return mask;
}

// Rows of 16 samples, a band each.
BITSWATH_TARGET inline void split(const uint8_t* pixels, int bands, int16_t* planes) {
    for (int b = 0; b < bands; ++b)
        for (int x = 0; x < kBlock; ++x) planes[b * kBlock + x] = static_cast<int16_t>(pixels[x * bands + b] - 128);
}

// (sum over i of factors[i * step] * rows[i] + half) >> 12
BITSWATH_TARGET inline __m256i weighted(const int16_t* rows, int stride, int count, const int16_t* factors, int step) {
    __m256i low = _mm256_set1_epi32(1 << 11), high = low;
    for (int i = 0; i < count; i += 2) {
        const bool both = i + 1 < count;
        const __m256i a = load(rows + i * stride), b = both ? load(rows + (i + 1) * stride) : _mm256_setzero_si256();
        const __m256i by = pair(factors[i * step], both ? factors[(i + 1) * step] : int16_t{0});
        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), by));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), by));
    }
    return _mm256_packs_epi32(_mm256_srai_epi32(low, 12), _mm256_srai_epi32(high, 12));
}

constexpr int kMostBands = 255;

BITSWATH_TARGET void to_components(const uint8_t* pixels, int bands, const int16_t* matrix, BlockValues* components,
                                   int row) {
    alignas(32) int16_t planes[kMostBands * kBlock];
    split(pixels, bands, planes);
    const __m256i least = _mm256_set1_epi16(-2048), most = _mm256_set1_epi16(2047);
    for (int c = 0; c < bands; ++c) {
        const __m256i sums = weighted(planes, kBlock, bands, matrix + c * bands, 1);
        store(components[c].at + row * kBlock, _mm256_max_epi16(least, _mm256_min_epi16(most, sums)));
    }
}

// 16 bytes of three bands each to 48 interleaved.
BITSWATH_TARGET inline void interleave(__m128i r, __m128i g, __m128i b, uint8_t* pixels) {
    alignas(16) static constexpr int8_t kPlaces[3][3][16] = {
        {{0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5},
         {-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1},
         {-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1}},
        {{-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1},
         {5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10},
         {-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1}},
        {{-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1},
         {-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1},
         {10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15}}};
    for (int part = 0; part < 3; ++part) {
        const auto* at = reinterpret_cast<const __m128i*>(kPlaces[part]);
        const __m128i merged = _mm_or_si128(
            _mm_or_si128(_mm_shuffle_epi8(r, _mm_load_si128(at)), _mm_shuffle_epi8(g, _mm_load_si128(at + 1))),
            _mm_shuffle_epi8(b, _mm_load_si128(at + 2)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(pixels + 16 * part), merged);
    }
}

BITSWATH_TARGET inline __m128i samples(const BlockValues* components, int bands, const int16_t* matrix, int row,
                                       int band) {
    const __m256i sums = weighted(components->at + row * kBlock, kBlockSize, bands, matrix + band, bands);
    const __m256i shifted = _mm256_adds_epi16(sums, _mm256_set1_epi16(128));
    return _mm_packus_epi16(_mm256_castsi256_si128(shifted), _mm256_extracti128_si256(shifted, 1));
}

BITSWATH_TARGET void to_pixels(const BlockValues* components, int bands, const int16_t* matrix, int row,
                               uint8_t* pixels) {
    if (bands == 3) {
        interleave(samples(components, 3, matrix, row, 0), samples(components, 3, matrix, row, 1),
                   samples(components, 3, matrix, row, 2), pixels);
        return;
    }
    for (int b = 0; b < bands; ++b) {
        alignas(16) uint8_t plane[kBlock];
        _mm_store_si128(reinterpret_cast<__m128i*>(plane), samples(components, bands, matrix, row, b));
        for (int x = 0; x < kBlock; ++x) pixels[x * bands + b] = plane[x];
    }
}

}  // namespace

const TransformKernels kAvx2Transform = {forward, inverse, quantize, to_components, to_pixels};

}  // namespace bitswath
#endif
