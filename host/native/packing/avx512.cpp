// AVX512-VBMI: 64 codes a step, for any width the same few instructions.
#include "packing/kernels.hpp"

#if defined(__x86_64__)
// GCC 12's own intrinsics start from an undefined register, and warn about it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

#define BITSWATH_TARGET BITSWATH_FOR_AVX512VBMI

namespace bitswath {
namespace {

constexpr __mmask64 first(int64_t count) { return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1; }

// Byte `p` of the stream is byte p % B of 64-bit lane p / B.
template <int B>
constexpr Bytes64 from_lanes() {
    Bytes64 index;
    for (int p = 0; p < 8 * B; ++p) index.at[p] = static_cast<uint8_t>(8 * (p / B) + p % B);
    return index;
}

// The inverse: each 64-bit lane gets the bytes that hold its eight codes.
template <int B>
constexpr Bytes64 to_lanes() {
    Bytes64 index;
    for (int p = 0; p < 64; ++p) index.at[p] = static_cast<uint8_t>(B * (p / 8) + p % 8);
    return index;
}

// Where code j of a lane starts.
template <int B>
constexpr Bytes64 first_bits() {
    Bytes64 index;
    for (int p = 0; p < 64; ++p) index.at[p] = static_cast<uint8_t>(p % 8 * B);
    return index;
}

template <int B>
constexpr Bytes64 kFromLanes = from_lanes<B>();
template <int B>
constexpr Bytes64 kToLanes = to_lanes<B>();
template <int B>
constexpr Bytes64 kFirstBits = first_bits<B>();

// Codes and the factors 1, 2^B make pairs in 16 bits; pairs and 1, 4^B make quads in 32 bits.
template <int B>
BITSWATH_TARGET inline __m512i squeeze(__m512i codes) {
    const __m512i pairs = _mm512_maddubs_epi16(_mm512_set1_epi16(1 | 1 << (B + 8)), codes);
    const __m512i quads = _mm512_madd_epi16(pairs, _mm512_set1_epi32(1 | 1 << (2 * B + 16)));
    const __m512i lower = _mm512_set1_epi64((1LL << 4 * B) - 1);
    const __m512i octets = _mm512_ternarylogic_epi64(lower, quads, _mm512_srli_epi64(quads, 32 - 4 * B), 0xCA);
    return _mm512_permutexvar_epi8(_mm512_load_si512(kFromLanes<B>.at), octets);
}

template <int B>
BITSWATH_TARGET inline __m512i spread(__m512i bytes) {
    const __m512i lanes = _mm512_permutexvar_epi8(_mm512_load_si512(kToLanes<B>.at), bytes);
    const __m512i codes = _mm512_multishift_epi64_epi8(_mm512_load_si512(kFirstBits<B>.at), lanes);
    return _mm512_and_si512(codes, _mm512_set1_epi8((1 << B) - 1));
}

template <int B>
BITSWATH_TARGET uint64_t pack(const uint8_t* codes, int64_t count, uint8_t* bytes) {
    __m512i seen = _mm512_setzero_si512();
    const int64_t whole = whole_steps(count, B, 64, 64);
    for (int64_t i = 0; i < whole; ++i, codes += 64, bytes += 8 * B) {
        const __m512i x = _mm512_loadu_si512(codes);
        seen = _mm512_or_si512(seen, x);
        _mm512_storeu_si512(bytes, squeeze<B>(x));
    }
    for (int64_t left = count - 64 * whole; left > 0; left -= 64, codes += 64, bytes += 8 * B) {
        const __m512i x = _mm512_maskz_loadu_epi8(first(left), codes);
        seen = _mm512_or_si512(seen, x);
        _mm512_mask_storeu_epi8(bytes, first(left < 64 ? packed_bytes(left, B) : 8 * B), squeeze<B>(x));
    }
    return static_cast<uint64_t>(_mm512_reduce_or_epi64(seen));
}

template <>
BITSWATH_TARGET uint64_t pack<1>(const uint8_t* codes, int64_t count, uint8_t* bytes) {
    __m512i seen = _mm512_setzero_si512();
    for (; count >= 64; count -= 64, codes += 64, bytes += 8) {
        const __m512i x = _mm512_loadu_si512(codes);
        seen = _mm512_or_si512(seen, x);
        const __mmask64 bits = _mm512_test_epi8_mask(x, _mm512_set1_epi8(1));
        __builtin_memcpy(bytes, &bits, 8);
    }
    return static_cast<uint64_t>(_mm512_reduce_or_epi64(seen)) | pack_plain<1>(codes, count, bytes);
}

template <int B>
BITSWATH_TARGET void unpack(const uint8_t* bytes, int64_t count, uint8_t* codes) {
    const int64_t whole = whole_steps(count, B, 64, 64);
    for (int64_t i = 0; i < whole; ++i, codes += 64, bytes += 8 * B)
        _mm512_storeu_si512(codes, spread<B>(_mm512_loadu_si512(bytes)));
    for (int64_t left = count - 64 * whole; left > 0; left -= 64, codes += 64, bytes += 8 * B) {
        const __m512i x = _mm512_maskz_loadu_epi8(first(left < 64 ? packed_bytes(left, B) : 8 * B), bytes);
        _mm512_mask_storeu_epi8(codes, first(left), spread<B>(x));
    }
}

template <int... B>
void fill(PackingKernels& kernels) {
    ((kernels.pack[B] = pack<B>, kernels.unpack[B] = unpack<B>), ...);
}

}  // namespace

PackingKernels avx512_packing() {
    PackingKernels kernels = plain_packing();
    kernels.name = "avx512vbmi";
    fill<1, 2, 3, 4, 5, 6, 7>(kernels);
    return kernels;
}

}  // namespace bitswath
#endif
