// Native code that the models in models/ call; included in every file of a simulator that has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SSSE3__)
#include <immintrin.h>
#endif

namespace bitswath {

// What `BITS` bits stand for.
enum Kind : unsigned { UNSIGNED = 0, SIGNED = 1, BIPOLAR = 2 };  // bipolar: 0 is -1, 1 is 1

template <unsigned BITS, Kind KIND> inline int32_t number(uint32_t value) {
    if constexpr (KIND == BIPOLAR) return 2 * static_cast<int32_t>(value) - 1;
    if constexpr (KIND == SIGNED) return static_cast<int32_t>(value << (32 - BITS)) >> (32 - BITS);
    return static_cast<int32_t>(value);
}

// Field `index` of `BITS` bits in a little-endian bit stream of at least that many whole bytes.
template <unsigned BITS> inline uint32_t field(const uint8_t* bytes, size_t index) {
    const size_t at = index * BITS;
    uint64_t value = 0;
    std::memcpy(&value, bytes + at / 8, (at % 8 + BITS + 7) / 8);
    return static_cast<uint32_t>(value << (64 - BITS - at % 8) >> (64 - BITS));
}

// Fields as wide in the weights as in the activations, in whole bytes: byte by byte, which compilers vectorize.
template <unsigned FIELDS, size_t BYTES, Kind WEIGHTS, Kind ACTIVATIONS>
inline int32_t dot_bytes(const uint8_t* weights, const uint8_t* activations) {
    constexpr unsigned BITS = 8 / FIELDS, MASK = (1u << BITS) - 1;
    int32_t sum = 0;
    for (unsigned f = 0; f < FIELDS; ++f)
        for (size_t b = 0; b < BYTES; ++b) {
            const auto weight = static_cast<int16_t>(number<BITS, WEIGHTS>(weights[b] >> (f * BITS) & MASK));
            const auto value = static_cast<int16_t>(number<BITS, ACTIVATIONS>(activations[b] >> (f * BITS) & MASK));
            sum += weight * value;
        }
    return sum;
}

#if defined(__SSSE3__)
// The same for two fields a byte, the activations unsigned.
template <size_t BYTES, Kind WEIGHTS> inline int32_t dot_nibbles(const uint8_t* weights, const uint8_t* activations) {
    const __m128i mask = _mm_set1_epi8(15), ones = _mm_set1_epi16(1), sign = _mm_set1_epi8(WEIGHTS == SIGNED ? 8 : 0);
    const auto number = [=](__m128i nibble) { return _mm_sub_epi8(_mm_xor_si128(nibble, sign), sign); };
    __m128i sum = _mm_setzero_si128();
    for (size_t b = 0; b < BYTES; b += 16) {
        __m128i w = _mm_setzero_si128(), a = w;
        std::memcpy(&w, weights + b, BYTES - b < 16 ? BYTES - b : 16);
        std::memcpy(&a, activations + b, BYTES - b < 16 ? BYTES - b : 16);
        const __m128i low = _mm_maddubs_epi16(a & mask, number(w & mask));
        const __m128i high = _mm_maddubs_epi16(_mm_srli_epi16(a, 4) & mask, number(_mm_srli_epi16(w, 4) & mask));
        sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_add_epi16(low, high), ones));
    }
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1)));
}
#endif

// Row `pe` of the weights times a vector of activations, the `lane`th, modulo 2**32.
template <unsigned SIMD, unsigned WEIGHT_BITS, unsigned WEIGHTS, unsigned ACTIVATION_BITS, unsigned ACTIVATIONS,
          class WeightWord, class ActivationWord>
inline uint32_t dot(const WeightWord& weights, const ActivationWord& activations, uint32_t pe, uint32_t lane) {
    const auto weight = reinterpret_cast<const uint8_t*>(&weights);
    const auto value = reinterpret_cast<const uint8_t*>(&activations);
    constexpr size_t row_bits = size_t{SIMD} * WEIGHT_BITS;
#if defined(__SSSE3__)
    if constexpr (WEIGHT_BITS == 4 && ACTIVATION_BITS == 4 && ACTIVATIONS == UNSIGNED && row_bits % 8 == 0)
        return dot_nibbles<row_bits / 8, Kind{WEIGHTS}>(weight + pe * row_bits / 8, value + lane * row_bits / 8);
    else if constexpr (WEIGHT_BITS == 4 && ACTIVATION_BITS == 4 && ACTIVATIONS == UNSIGNED && row_bits <= 32) {
        const uint32_t row = field<row_bits>(weight, pe), vector = field<row_bits>(value, lane);
        return dot_nibbles<4, Kind{WEIGHTS}>(reinterpret_cast<const uint8_t*>(&row),
                                             reinterpret_cast<const uint8_t*>(&vector));
    } else
#endif
    if constexpr (WEIGHT_BITS == ACTIVATION_BITS && 8 % WEIGHT_BITS == 0 && row_bits % 8 == 0) {
        return dot_bytes<8 / WEIGHT_BITS, row_bits / 8, Kind{WEIGHTS}, Kind{ACTIVATIONS}>(
            weight + pe * row_bits / 8, value + lane * row_bits / 8);
    } else {
        uint32_t sum = 0;
        for (size_t s = 0; s < SIMD; ++s)
            sum += static_cast<uint32_t>(
                number<WEIGHT_BITS, Kind{WEIGHTS}>(field<WEIGHT_BITS>(weight, size_t{pe} * SIMD + s)) *
                number<ACTIVATION_BITS, Kind{ACTIVATIONS}>(field<ACTIVATION_BITS>(value, size_t{lane} * SIMD + s)));
        return sum;
    }
}

}  // namespace bitswath
