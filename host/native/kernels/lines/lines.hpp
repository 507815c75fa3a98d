// Codes from sums by a line in 16 bits.
#pragma once

#include <cstdint>

#include "common/cpu.hpp"

namespace bitswath::emulator {

// The narrow form of affine, on sums x that were scaled when they were made:
//   z = (saturated to 16 bits(x + bias) * gain + 2^14) >> 15,  y = clamp((z * slice) >> 16, lo, hi) + offset
// with int16 gain and slice (2^n) and bias (as the accumulators, modulo their width) per element, repeated to `period`
// elements, and y modulo 2^8.
struct NarrowLine {
    const void* bias = nullptr;
    const int16_t *gain = nullptr, *slice = nullptr;
    int64_t period = 0;
    int8_t lo = 0, hi = 0, offset = 0;
};
// Elements whose parameters a kernel takes at once; `period` is a multiple.
constexpr int64_t kLineGroup = 64;
// May read and write no more than `count` elements of `out`; reads accumulators up to a multiple of kLineGroup.
using LineKernel = void (*)(const NarrowLine&, const void* acc, uint8_t* out, int64_t count);
// Where in a group of kLineGroup gains and slices each kernel wants those of element i; biases are in order.
using LineOrder = int (*)(int element);

// Of a set, by accumulators: s16, s32.
struct LineKernels {
    LineKernel line[2];
    LineOrder order[2];
};

#if defined(__x86_64__)
LineKernels avx2_lines();
LineKernels avx512_lines();
#endif
#if defined(BITSWATH_NEON)
LineKernels neon_lines();
#endif

inline int in_order(int element) { return element; }

}  // namespace bitswath::emulator
