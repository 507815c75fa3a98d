#include "kernels/winograd/winograd.hpp"

#if defined(__x86_64__)
#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_AVX512VNNI

namespace bitswath::emulator {
namespace {

using Integers = int32_t __attribute__((vector_size(64)));

BITSWATH_TARGET inline Integers half(Integers a, Integers b) { return (a + b) >> 1; }

#include "kernels/winograd/lanes.hpp"

}  // namespace

WinogradKernels avx512_winograd() {
    WinogradKernels kernels;
    kernels.input = input<64>;
    kernels.row = row<64>;
    kernels.integers = output<int32_t, int32_t, 64>;
    return kernels;
}

}  // namespace bitswath::emulator
#endif
