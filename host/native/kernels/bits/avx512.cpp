// Quads with AVX512BW, as with AVX2 for 64 outputs; planes with AVX512-VPOPCNTDQ, 16 outputs a register.
#include "kernels/bits/bits.hpp"

#if defined(__x86_64__)
// GCC 12's own intrinsics start from an undefined register, and warn about it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_AVX512
#define BITSWATH_POPCNT BITSWATH_FOR_AVX512VPOPCNTDQ
namespace bitswath::emulator {
namespace {

constexpr int kQuadBlock = 64, kQuadWindows = 8;
constexpr int kWordBlock = 16, kWordWindows = 4;

BITSWATH_TARGET inline void finish16(const BitRows& rows, int64_t o, int32_t total, __m512i sums, int16_t* acc) {
    const __m512i level = _mm512_mullo_epi16(_mm512_set1_epi16(static_cast<int16_t>(total)),
                                             _mm512_loadu_si512(static_cast<const int16_t*>(rows.level) + o));
    const __m512i line = _mm512_mullo_epi16(sums, _mm512_loadu_si512(static_cast<const int16_t*>(rows.slope) + o));
    _mm512_storeu_si512(acc + o, _mm512_add_epi16(line, level));
}

BITSWATH_TARGET inline __m512i line32(const BitRows& rows, int64_t o, int32_t total, __m512i sums) {
    const __m512i level = _mm512_mullo_epi32(_mm512_set1_epi32(total),
                                             _mm512_loadu_si512(static_cast<const int32_t*>(rows.level) + o));
    const __m512i line = _mm512_mullo_epi32(sums, _mm512_loadu_si512(static_cast<const int32_t*>(rows.slope) + o));
    return _mm512_add_epi32(line, level);
}

BITSWATH_TARGET inline __m256i load256(const int16_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

BITSWATH_TARGET inline void store256(int16_t* to, __m256i x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x);
}

BITSWATH_TARGET inline __m256i line16(const BitRows& rows, int64_t o, int32_t total, __m256i sums) {
    const __m256i level = _mm256_mullo_epi16(_mm256_set1_epi16(static_cast<int16_t>(total)),
                                             load256(static_cast<const int16_t*>(rows.level) + o));
    const __m256i line = _mm256_mullo_epi16(sums, load256(static_cast<const int16_t*>(rows.slope) + o));
    return _mm256_add_epi16(line, level);
}

// Sums of 64 outputs in 16 bits, modulo 2^16: `all` as if bytes were pairs, `odd` those of odd outputs.
struct Sums {
    __m512i all, odd;

    BITSWATH_TARGET void add(__m512i bytes) {
        all = _mm512_add_epi16(all, bytes);
        odd = _mm512_add_epi16(odd, _mm512_srli_epi16(bytes, 8));
    }
    BITSWATH_TARGET void twice() {
        all = _mm512_add_epi16(all, all);
        odd = _mm512_add_epi16(odd, odd);
    }
    // Outputs 0..31 and 32..63.
    BITSWATH_TARGET void in_order(__m512i& first, __m512i& second) const {
        const __m512i even = _mm512_sub_epi16(all, _mm512_slli_epi16(odd, 8));
        const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
        first = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high);
        second = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high);
    }
};

template <typename Acc>
BITSWATH_TARGET inline void finish(const BitRows& rows, int64_t o, int32_t total, const Sums& sums, Acc* acc) {
    __m512i halves[2];
    sums.in_order(halves[0], halves[1]);
    for (int i = 0; i < 2; ++i, o += 32) {
        if constexpr (sizeof(Acc) == 2) {
            finish16(rows, o, total, halves[i], acc);
        } else {
            const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(halves[i]));
            const __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(halves[i], 1));
            _mm512_storeu_si512(acc + o, line32(rows, o, total, low));
            _mm512_storeu_si512(acc + o + 16, line32(rows, o + 16, total, high));
        }
    }
}

// `Windows` x `Blocks` registers of bytes; `o` is the first output.
template <typename Acc, int Windows, int Blocks>
BITSWATH_TARGET inline void quad_tile(const BitRows& rows, const uint8_t* in, int64_t o, const int32_t* totals,
                                      Acc* acc) {
    Sums sums[Windows][Blocks];
    for (auto& window : sums)
        for (Sums& sum : window) sum = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    const int64_t at_once = groups_a_byte(rows.largest, 4), depth = rows.depth;
    const int64_t block_bytes = rows.weight_planes * depth * kQuadBlock;
    const uint8_t* w = rows.weights + o / kQuadBlock * block_bytes;
    for (int64_t plane = 0; plane < rows.weight_planes; ++plane) {
        if (plane > 0)
            for (auto& window : sums)
                for (Sums& sum : window) sum.twice();
        for (int64_t first = 0; first < depth; first += at_once) {
            __m512i bytes[Windows][Blocks];
            for (auto& window : bytes)
                for (__m512i& byte : window) byte = _mm512_setzero_si512();
            for (int64_t k = first, last = std::min(depth, first + at_once); k < last; ++k, w += kQuadBlock) {
                const uint8_t* codes = in + rows.offsets[k];
                __m512i weights[Blocks];
                for (int b = 0; b < Blocks; ++b) weights[b] = _mm512_loadu_si512(w + b * block_bytes);
                for (int p = 0; p < Windows; ++p) {
                    const auto* entry = reinterpret_cast<const __m128i*>(kQuadSums.of[codes[p * rows.step]]);
                    const __m512i table = _mm512_broadcast_i32x4(_mm_load_si128(entry));
                    for (int b = 0; b < Blocks; ++b)
                        bytes[p][b] = _mm512_add_epi8(bytes[p][b], _mm512_shuffle_epi8(table, weights[b]));
                }
            }
            for (int p = 0; p < Windows; ++p)
                for (int b = 0; b < Blocks; ++b) sums[p][b].add(bytes[p][b]);
        }
    }
    for (int p = 0; p < Windows; ++p)
        for (int b = 0; b < Blocks; ++b)
            finish(rows, o + b * kQuadBlock, totals[p], sums[p][b], acc + p * rows.stride);
}

template <typename Acc, int Windows, int Blocks>
BITSWATH_TARGET inline void quad_tiles(const BitRows& rows, int64_t o) {
    for (int64_t t = 0; t < rows.tiles; ++t)
        for (int p = 0; p < kQuadWindows; p += Windows)
            quad_tile<Acc, Windows, Blocks>(rows, rows.in + rows.starts[t] + p * rows.step, o,
                                            rows.totals + t * kQuadWindows + p,
                                            static_cast<Acc*>(rows.acc) + (t * kQuadWindows + p) * rows.stride);
}

template <typename Acc>
BITSWATH_TARGET void quads(const BitRows& rows) {
    int64_t o = 0;
    for (; o + 2 * kQuadBlock <= rows.outputs; o += 2 * kQuadBlock) quad_tiles<Acc, 4, 2>(rows, o);
    if (o < rows.outputs) quad_tiles<Acc, 8, 1>(rows, o);
}

// Counts of the bits that one plane of the codes shares with one of the weights.
template <int Blocks>
BITSWATH_POPCNT inline void count(const BitRows& rows, const uint8_t* in, const uint8_t* w, int64_t block_bytes,
                                  __m512i (&sums)[kWordWindows][Blocks]) {
    for (int64_t k = 0; k < rows.depth; ++k, w += 64) {
        const uint8_t* codes = in + rows.offsets[k];
        __m512i weights[Blocks];
        for (int b = 0; b < Blocks; ++b) weights[b] = _mm512_loadu_si512(w + b * block_bytes);
        for (int p = 0; p < kWordWindows; ++p) {
            int32_t word;
            std::memcpy(&word, codes + p * rows.step, 4);
            const __m512i broadcast = _mm512_set1_epi32(word);
            for (int b = 0; b < Blocks; ++b)
                sums[p][b] = _mm512_add_epi32(sums[p][b],
                                              _mm512_popcnt_epi32(_mm512_and_si512(broadcast, weights[b])));
        }
    }
}

template <typename Acc, int Blocks>
BITSWATH_POPCNT inline void word_tile(const BitRows& rows, const uint8_t* in, int64_t o, const int32_t* totals,
                                      Acc* acc) {
    __m512i sums[kWordWindows][Blocks];
    for (auto& window : sums)
        for (__m512i& sum : window) sum = _mm512_setzero_si512();
    const int64_t plane_bytes = rows.depth * 64, block_bytes = rows.weight_planes * plane_bytes;
    const uint8_t* w = rows.weights + o / kWordBlock * block_bytes;
    const int64_t top = rows.weight_planes + rows.code_planes - 2;
    for (int64_t weight = top; weight >= 0; --weight) {  // planes i and j count 2^(i + j)
        if (weight < top)
            for (auto& window : sums)
                for (__m512i& sum : window) sum = _mm512_add_epi32(sum, sum);
        for (int64_t i = 0; i < rows.code_planes; ++i) {
            const int64_t j = weight - i;
            if (j < 0 || j >= rows.weight_planes) continue;
            count<Blocks>(rows, in + i * rows.plane, w + (rows.weight_planes - 1 - j) * plane_bytes, block_bytes, sums);
        }
    }
    for (int p = 0; p < kWordWindows; ++p)
        for (int b = 0; b < Blocks; ++b) {
            const int64_t at = o + b * kWordBlock;
            Acc* to = acc + p * rows.stride + at;
            if constexpr (sizeof(Acc) == 4)
                _mm512_storeu_si512(to, line32(rows, at, totals[p], sums[p][b]));
            else
                store256(to, line16(rows, at, totals[p], _mm512_cvtepi32_epi16(sums[p][b])));
        }
}

template <typename Acc, int Blocks>
BITSWATH_POPCNT inline void word_tiles(const BitRows& rows, int64_t o) {
    for (int64_t t = 0; t < rows.tiles; ++t)
        word_tile<Acc, Blocks>(rows, rows.in + rows.starts[t], o, rows.totals + t * kWordWindows,
                               static_cast<Acc*>(rows.acc) + t * kWordWindows * rows.stride);
}

template <typename Acc>
BITSWATH_POPCNT void words(const BitRows& rows) {
    int64_t o = 0;
    for (; o + 4 * kWordBlock <= rows.outputs; o += 4 * kWordBlock) word_tiles<Acc, 4>(rows, o);
    for (; o + 2 * kWordBlock <= rows.outputs; o += 2 * kWordBlock) word_tiles<Acc, 2>(rows, o);
    if (o < rows.outputs) word_tiles<Acc, 1>(rows, o);
}

BITSWATH_POPCNT void pack_words(const uint8_t* in, int64_t pixels, int64_t channels, int64_t planes, int64_t plane,
                                uint8_t* out, int32_t* sums) {
    for (int64_t p = 0; p < pixels; ++p, in += channels) {
        __m512i sum = _mm512_setzero_si512();
        for (int64_t c = 0; c < channels; c += 64) {
            const int64_t count = channels - c;
            const __m512i codes = _mm512_maskz_loadu_epi8(count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1, in + c);
            sum = _mm512_add_epi64(sum, _mm512_sad_epu8(codes, _mm512_setzero_si512()));
            for (int64_t i = 0; i < planes; ++i) {
                const uint64_t bits = _mm512_test_epi8_mask(codes, _mm512_set1_epi8(static_cast<char>(1 << i)));
                std::memcpy(out + i * plane, &bits, count > 32 ? 8 : 4);
            }
            out += count > 32 ? 8 : 4;
        }
        sums[p] = static_cast<int32_t>(_mm512_reduce_add_epi64(sum));
    }
}

}  // namespace

BitForm avx512_bits(Type acc) {
    BitForm form = avx2_bits(acc);
    form.name = "quads512";
    form.kernel = acc == s16 ? quads<int16_t> : quads<int32_t>;
    form.block = kQuadBlock;
    form.tile = kQuadWindows;
    form.rate = 2.25;
    return form;
}

BitForm vpopcntdq_bits(Type acc) {
    BitForm form;
    form.name = "vpopcntd";
    form.kernel = acc == s16 ? words<int16_t> : words<int32_t>;
    form.pack = pack_words;
    form.acc = acc;
    form.block = kWordBlock;
    form.tile = kWordWindows;
    form.blocks = 4;
    form.rate = 2.9;
    form.lone_rate = 1.7;
    return form;
}

}  // namespace bitswath::emulator
#endif
