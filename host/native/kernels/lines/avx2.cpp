#include "kernels/lines/lines.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_AVX2
namespace bitswath::emulator {
namespace {

BITSWATH_TARGET inline __m256i load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

BITSWATH_TARGET inline void store(void* to, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }

// From 32 sums to codes: `Sums` brings them to 16 bits in two registers and the codes back in order.
struct SumsS32 {
    using Acc = int32_t;
    static constexpr int kBiases = 4;
    BITSWATH_TARGET static inline void in_words(const Acc* x, const __m256i* bias, __m256i (&words)[2]) {
        for (int i = 0; i < 2; ++i) {
            const Acc* half = x + 16 * i;
            words[i] = _mm256_packs_epi32(_mm256_add_epi32(load(half), bias[2 * i]),
                                          _mm256_add_epi32(load(half + 8), bias[2 * i + 1]));
        }
    }
    BITSWATH_TARGET static inline __m256i sorted(__m256i codes) {
        return _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    }
    // Each 128-bit lane of a packed pair holds four elements of either half.
    static int order(int element) {
        const int quad = element / 4 % 8;
        return element / 32 * 32 + quad / 4 * 16 + quad % 2 * 8 + quad % 4 / 2 * 4 + element % 4;
    }
};

struct SumsS16 {
    using Acc = int16_t;
    static constexpr int kBiases = 2;
    BITSWATH_TARGET static inline void in_words(const Acc* x, const __m256i* bias, __m256i (&words)[2]) {
        for (int i = 0; i < 2; ++i) words[i] = _mm256_add_epi16(load(x + 16 * i), bias[i]);
    }
    BITSWATH_TARGET static inline __m256i sorted(__m256i codes) { return _mm256_permute4x64_epi64(codes, 0xD8); }
};

constexpr int kLineBlock = 32;

// The parameters of neighbouring elements.
template <typename Sums>
struct LineBlock {
    using Acc = typename Sums::Acc;
    __m256i bias[Sums::kBiases], gain[2], slice[2], lo, hi, offset;

    BITSWATH_TARGET LineBlock(const NarrowLine& line, int64_t at)
        : lo(_mm256_set1_epi8(line.lo)), hi(_mm256_set1_epi8(line.hi)), offset(_mm256_set1_epi8(line.offset)) {
        const Acc* biases = static_cast<const Acc*>(line.bias) + at;
        for (int i = 0; i < Sums::kBiases; ++i) bias[i] = load(biases + i * kLineBlock / Sums::kBiases);
        for (int i = 0; i < 2; ++i) {
            gain[i] = load(line.gain + at + 16 * i);
            slice[i] = load(line.slice + at + 16 * i);
        }
    }

    BITSWATH_TARGET inline void run(const Acc* x, uint8_t* out) const {
        __m256i words[2];
        Sums::in_words(x, bias, words);
        for (int i = 0; i < 2; ++i)
            words[i] = _mm256_mulhi_epi16(_mm256_mulhrs_epi16(words[i], gain[i]), slice[i]);
        const __m256i codes = _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(words[0], words[1]), lo), hi);
        store(out, _mm256_add_epi8(Sums::sorted(codes), offset));
    }
};

// Whole periods by blocks, whose parameters stay in registers; then what is left.
template <typename Sums>
BITSWATH_TARGET void line(const NarrowLine& line, const void* acc, uint8_t* out, int64_t count) {
    const auto* x = static_cast<const typename Sums::Acc*>(acc);
    const int64_t whole = count / line.period * line.period;
    for (int64_t at = 0; at < line.period && whole; at += kLineBlock) {
        const LineBlock<Sums> block(line, at);
        for (int64_t i = at; i < whole; i += line.period) block.run(x + i, out + i);
    }
    for (int64_t i = whole; i < count; i += kLineBlock) {
        const LineBlock<Sums> block(line, i - whole);
        if (i + kLineBlock <= count) {
            block.run(x + i, out + i);
        } else {
            uint8_t rest[kLineBlock];
            block.run(x + i, rest);
            std::memcpy(out + i, rest, count - i);
        }
    }
}

}  // namespace

LineKernels avx2_lines() { return {{line<SumsS16>, line<SumsS32>}, {in_order, SumsS32::order}}; }

}  // namespace bitswath::emulator
#endif
