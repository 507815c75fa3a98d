// AVX2: 32 codes a step, 16 in each half of a register.
#include "packing/kernels.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#define BITSWATH_TARGET BITSWATH_FOR_AVX2

namespace bitswath {
namespace {

struct alignas(32) Bytes32 {
    uint8_t at[32] = {};
};

struct alignas(32) Words16 {
    int16_t at[16] = {};
};

// Byte `p` of a half's stream is byte p % B of its 64-bit lane p / B; the rest of it zero.
template <int B>
constexpr Bytes32 from_lanes() {
    Bytes32 index;
    for (int p = 0; p < 32; ++p)
        index.at[p] = static_cast<uint8_t>(p % 16 < 2 * B ? 8 * (p % 16 / B) + p % 16 % B : 0x80);
    return index;
}

// Each 16-bit lane gets the two bytes in which every second code begins, from code `odd` on ...
template <int B, int odd>
constexpr Bytes32 to_lanes() {
    Bytes32 index;
    for (int p = 0; p < 32; ++p) index.at[p] = static_cast<uint8_t>((p % 16 / 2 * 2 + odd) * B / 8 + p % 2);
    return index;
}

// ... and the factor that moves this code to the lane's upper byte.
template <int B, int odd>
constexpr Words16 factors() {
    Words16 factor;
    for (int i = 0; i < 16; ++i) factor.at[i] = static_cast<int16_t>(1 << (8 - (i % 8 * 2 + odd) * B % 8));
    return factor;
}

template <int B>
constexpr Bytes32 kFromLanes = from_lanes<B>();
template <int B, int odd>
constexpr Bytes32 kToLanes = to_lanes<B, odd>();
template <int B, int odd>
constexpr Words16 kFactors = factors<B, odd>();

BITSWATH_TARGET inline __m256i constant(const void* at) { return _mm256_load_si256(static_cast<const __m256i*>(at)); }

// Codes and the factors 1, 2^B make pairs in 16 bits; pairs and 1, 4^B make quads in 32 bits.
template <int B>
BITSWATH_TARGET inline __m256i squeeze(__m256i codes) {
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi16(1 | 1 << (B + 8)), codes);
    const __m256i quads = _mm256_madd_epi16(pairs, _mm256_set1_epi32(1 | 1 << (2 * B + 16)));
    const __m256i lower = _mm256_set1_epi64x((1LL << 4 * B) - 1);
    const __m256i upper = _mm256_andnot_si256(lower, _mm256_srli_epi64(quads, 32 - 4 * B));
    return _mm256_shuffle_epi8(_mm256_or_si256(_mm256_and_si256(quads, lower), upper), constant(kFromLanes<B>.at));
}

template <int B, int odd>
BITSWATH_TARGET inline __m256i in_upper_bytes(__m256i bytes) {
    return _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, constant(kToLanes<B, odd>.at)),
                              constant(kFactors<B, odd>.at));
}

template <int B>
BITSWATH_TARGET inline __m256i spread(__m256i bytes) {
    const __m256i even = _mm256_srli_epi16(in_upper_bytes<B, 0>(bytes), 8);
    const __m256i odd = _mm256_and_si256(in_upper_bytes<B, 1>(bytes), _mm256_set1_epi16(-256));
    return _mm256_and_si256(_mm256_or_si256(even, odd), _mm256_set1_epi8((1 << B) - 1));
}

BITSWATH_TARGET inline uint64_t any_of(__m256i x) {
    uint64_t lanes[4];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), x);
    return lanes[0] | lanes[1] | lanes[2] | lanes[3];
}

template <int B>
BITSWATH_TARGET uint64_t pack(const uint8_t* codes, int64_t count, uint8_t* bytes) {
    __m256i seen = _mm256_setzero_si256();
    const int64_t whole = whole_steps(count, B, 32, 16 + 2 * B);
    for (int64_t i = 0; i < whole; ++i, codes += 32, bytes += 4 * B) {
        const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
        seen = _mm256_or_si256(seen, x);
        const __m256i packed = squeeze<B>(x);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), _mm256_castsi256_si128(packed));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + 2 * B), _mm256_extracti128_si256(packed, 1));
    }
    return any_of(seen) | pack_plain<B>(codes, count - 32 * whole, bytes);
}

template <>
BITSWATH_TARGET uint64_t pack<1>(const uint8_t* codes, int64_t count, uint8_t* bytes) {
    __m256i seen = _mm256_setzero_si256();
    for (; count >= 32; count -= 32, codes += 32, bytes += 4) {
        const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
        seen = _mm256_or_si256(seen, x);
        const int bits = _mm256_movemask_epi8(_mm256_slli_epi16(x, 7));
        __builtin_memcpy(bytes, &bits, 4);
    }
    return any_of(seen) | pack_plain<1>(codes, count, bytes);
}

template <int B>
BITSWATH_TARGET void unpack(const uint8_t* bytes, int64_t count, uint8_t* codes) {
    const int64_t whole = whole_steps(count, B, 32, 16 + 2 * B);
    for (int64_t i = 0; i < whole; ++i, codes += 32, bytes += 4 * B) {
        const __m128i lower = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
        const __m128i upper = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 2 * B));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), spread<B>(_mm256_set_m128i(upper, lower)));
    }
    unpack_plain<B>(bytes, count - 32 * whole, codes);
}

template <int... B>
void fill(PackingKernels& kernels) {
    ((kernels.pack[B] = pack<B>, kernels.unpack[B] = unpack<B>), ...);
}

}  // namespace

PackingKernels avx2_packing() {
    PackingKernels kernels = plain_packing();
    kernels.name = "avx2";
    fill<1, 2, 3, 4, 5, 6, 7>(kernels);
    return kernels;
}

}  // namespace bitswath
#endif
