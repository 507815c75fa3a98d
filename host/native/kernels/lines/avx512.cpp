#include "kernels/lines/lines.hpp"

#if defined(__x86_64__)
// GCC 12's own intrinsics start from an undefined register, and warn about it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#define BITSWATH_TARGET BITSWATH_FOR_AVX512VNNI
namespace bitswath::emulator {
namespace {

// From 64 sums to codes: `Sums` brings them to 16 bits in two registers and the codes back in order.
struct SumsS32 {
    using Acc = int32_t;
    BITSWATH_TARGET static inline __m512i sum(const Acc* x, const Acc* bias) {
        return _mm512_add_epi32(_mm512_loadu_si512(x), _mm512_loadu_si512(bias));
    }
    BITSWATH_TARGET static inline void load(const Acc* x, const Acc* bias, __m512i& x0, __m512i& x1) {
        x0 = _mm512_packs_epi32(sum(x, bias), sum(x + 16, bias + 16));
        x1 = _mm512_packs_epi32(sum(x + 32, bias + 32), sum(x + 48, bias + 48));
    }
    BITSWATH_TARGET static inline __m512i sorted(__m512i codes) {
        return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), codes);
    }
    // Each 128-bit lane of a packed pair holds four elements of either half.
    static int order(int element) {
        const int quad = element / 4 % 16, source = quad / 4, lane = quad % 4;
        return source / 2 * 32 + lane * 8 + source % 2 * 4 + element % 4;
    }
};

struct SumsS16 {
    using Acc = int16_t;
    BITSWATH_TARGET static inline void load(const Acc* x, const Acc* bias, __m512i& x0, __m512i& x1) {
        x0 = _mm512_add_epi16(_mm512_loadu_si512(x), _mm512_loadu_si512(bias));
        x1 = _mm512_add_epi16(_mm512_loadu_si512(x + 32), _mm512_loadu_si512(bias + 32));
    }
    BITSWATH_TARGET static inline __m512i sorted(__m512i codes) {
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), codes);
    }
};

struct LineParameters {
    __m512i gain0, gain1, slice0, slice1;
};

BITSWATH_TARGET inline LineParameters parameters_at(const NarrowLine& line, int64_t at) {
    return {_mm512_loadu_si512(line.gain + at), _mm512_loadu_si512(line.gain + at + 32),
            _mm512_loadu_si512(line.slice + at), _mm512_loadu_si512(line.slice + at + 32)};
}

template <typename Sums>
BITSWATH_TARGET inline __m512i line_codes(const NarrowLine& line, const LineParameters& p, const typename Sums::Acc* x,
                                          const typename Sums::Acc* bias) {
    __m512i x0, x1;
    Sums::load(x, bias, x0, x1);
    const __m512i y0 = _mm512_mulhi_epi16(_mm512_mulhrs_epi16(x0, p.gain0), p.slice0);
    const __m512i y1 = _mm512_mulhi_epi16(_mm512_mulhrs_epi16(x1, p.gain1), p.slice1);
    const __m512i low = _mm512_max_epi8(_mm512_packs_epi16(y0, y1), _mm512_set1_epi8(line.lo));
    const __m512i codes = _mm512_min_epi8(low, _mm512_set1_epi8(line.hi));
    return _mm512_add_epi8(Sums::sorted(codes), _mm512_set1_epi8(line.offset));
}

template <typename Sums>
BITSWATH_TARGET void line(const NarrowLine& line, const void* acc, uint8_t* out, int64_t count) {
    const auto *x = static_cast<const typename Sums::Acc*>(acc), *bias = static_cast<const typename Sums::Acc*>(line.bias);
    const bool one = line.period == 64;
    LineParameters p = parameters_at(line, 0);
    int64_t i = 0, at = 0;
    for (; i + 64 <= count; i += 64) {
        _mm512_storeu_si512(out + i, line_codes<Sums>(line, p, x + i, bias + at));
        if (one) continue;
        at = at + 64 == line.period ? 0 : at + 64;
        p = parameters_at(line, at);
    }
    if (i == count) return;
    const __mmask64 left = (__mmask64{1} << (count - i)) - 1;
    _mm512_mask_storeu_epi8(out + i, left, line_codes<Sums>(line, p, x + i, bias + at));
}

}  // namespace

LineKernels avx512_lines() { return {{line<SumsS16>, line<SumsS32>}, {in_order, SumsS32::order}}; }

}  // namespace bitswath::emulator
#endif
