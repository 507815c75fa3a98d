#include "kernels/winograd/winograd.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "common/cpu.hpp"

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

#include "kernels/winograd/lanes.hpp"

}  // namespace

WinogradKernels avx2_winograd() { 
    return {input<32>, output<uint16_t, int16_t, 32>, output<uint16_t, int32_t, 32>, output<int32_t, int32_t, 32>};
 }

}  // namespace bitswath::emulator
#endif
