// Native code that the models in mvu.sv call; included in every file of a simulator that has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bitswath {

// Field `index` of `BITS` bits in a little-endian bit stream of at least that many whole bytes.
template <unsigned BITS> inline int32_t field(const uint8_t* bytes, size_t index, bool is_signed) {
    const size_t at = index * BITS;
    uint64_t value = 0;
    std::memcpy(&value, bytes + at / 8, (at % 8 + BITS + 7) / 8);
    value <<= 64 - BITS - at % 8;
    return static_cast<int32_t>(is_signed ? static_cast<int64_t>(value) >> (64 - BITS) : value >> (64 - BITS));
}

// Fields as wide in the weights as in the activations, in whole bytes: byte by byte, which compilers vectorize.
template <unsigned FIELDS, size_t BYTES, bool SIGNED>
inline int32_t dot_bytes(const uint8_t* weights, const uint8_t* activations) {
    constexpr unsigned BITS = 8 / FIELDS;
    int32_t sum = 0;
    for (unsigned f = 0; f < FIELDS; ++f)
        for (size_t b = 0; b < BYTES; ++b) {
            const auto weight = static_cast<int8_t>(static_cast<uint8_t>(weights[b] << (8 - BITS - f * BITS)));
            const auto value = static_cast<uint8_t>(activations[b] << (8 - BITS - f * BITS));
            const int16_t factor = SIGNED ? static_cast<int8_t>(value) >> (8 - BITS) : value >> (8 - BITS);
            sum += static_cast<int16_t>(weight >> (8 - BITS)) * factor;
        }
    return sum;
}

// Row `pe` of the weights, signed fields of WEIGHT_BITS, times the activations, modulo 2**32.
template <unsigned SIMD, unsigned WEIGHT_BITS, unsigned ACTIVATION_BITS, bool SIGNED, class Weights, class Activations>
inline uint32_t dot(const Weights& weights, const Activations& activations, uint32_t pe) {
    const auto weight = reinterpret_cast<const uint8_t*>(&weights);
    const auto value = reinterpret_cast<const uint8_t*>(&activations);
    constexpr size_t row_bits = size_t{SIMD} * WEIGHT_BITS;
    if constexpr (WEIGHT_BITS == ACTIVATION_BITS && 8 % WEIGHT_BITS == 0 && row_bits % 8 == 0) {
        return dot_bytes<8 / WEIGHT_BITS, row_bits / 8, SIGNED>(weight + pe * row_bits / 8, value);
    } else {
        uint32_t sum = 0;
        for (size_t s = 0; s < SIMD; ++s)
            sum += static_cast<uint32_t>(field<WEIGHT_BITS>(weight, size_t{pe} * SIMD + s, true)) *
                   static_cast<uint32_t>(field<ACTIVATION_BITS>(value, s, SIGNED));
        return sum;
    }
}

}  // namespace bitswath
