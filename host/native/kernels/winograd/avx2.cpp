#include "kernels/winograd/winograd.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_AVX2

namespace bitswath::emulator {
namespace {

using Words = uint16_t __attribute__((vector_size(32)));
using Integers = int32_t __attribute__((vector_size(32)));

BITSWATH_TARGET inline Words half(Words a, Words b) {
    return reinterpret_cast<Words>(_mm256_avg_epu16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
BITSWATH_TARGET inline void widen(Words lanes, Integers (&wide)[2]) {
    const auto all = reinterpret_cast<__m256i>(lanes);
    wide[0] = reinterpret_cast<Integers>(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(all)));
    wide[1] = reinterpret_cast<Integers>(_mm256_cvtepi16_epi32(_mm256_extracti128_si256(all, 1)));
}
BITSWATH_TARGET inline Integers half(Integers a, Integers b) { return (a + b) >> 1; }

using Bytes32 = uint8_t __attribute__((vector_size(32)));
using Bytes16 = uint8_t __attribute__((vector_size(16)));

BITSWATH_TARGET inline void double_pairs(Bytes32 bytes, Bytes32 (&pairs)[2]) {
    const __m256i halves = _mm256_permute4x64_epi64(reinterpret_cast<__m256i>(bytes), 0xD8);
    pairs[0] = reinterpret_cast<Bytes32>(_mm256_unpacklo_epi16(halves, halves));
    pairs[1] = reinterpret_cast<Bytes32>(_mm256_unpackhi_epi16(halves, halves));
}
BITSWATH_TARGET inline void double_pairs(Bytes16 bytes, Bytes16 (&pairs)[2]) {
    const auto all = reinterpret_cast<__m128i>(bytes);
    pairs[0] = reinterpret_cast<Bytes16>(_mm_unpacklo_epi16(all, all));
    pairs[1] = reinterpret_cast<Bytes16>(_mm_unpackhi_epi16(all, all));
}

#include "kernels/winograd/lanes.hpp"

}  // namespace

WinogradKernels avx2_winograd() {
    return {input<32>, input<32, true>, output<int32_t, int32_t, 32>, output<uint16_t, int16_t, 32>,
            output<uint16_t, int32_t, 32>, nullptr, nullptr};
}

}  // namespace bitswath::emulator
#endif
