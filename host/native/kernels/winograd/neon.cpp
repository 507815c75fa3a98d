#include "kernels/winograd/winograd.hpp"

#if defined(BITSWATH_NEON)
#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_NEON

namespace bitswath::emulator {
namespace {

using Integers = int32_t __attribute__((vector_size(16)));

BITSWATH_TARGET inline Integers half(Integers a, Integers b) { return (a + b) >> 1; }

#include "kernels/winograd/lanes.hpp"

}  // namespace

WinogradKernels neon_winograd() {
    WinogradKernels kernels;
    kernels.input = input<16>;
    kernels.integers = output<int32_t, int32_t, 16>;
    return kernels;
}

}  // namespace bitswath::emulator
#endif
