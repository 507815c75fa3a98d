// The arithmetic of the transform codec on one block of 16 x 16, a set for each instruction set; all give the same
// integers. Shifts, saturation and rounding are those of docs/transform.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/cpu.hpp"

namespace bitswath {

constexpr int kBlock = 16;
constexpr int kBlockSize = kBlock * kBlock;

// HEVC's matrix (H.265, 8.6.4.2): 256 times the orthonormal DCT-II of 16 points, rows are frequencies.
extern const int16_t kDct[kBlock][kBlock];

struct alignas(64) BlockValues {
    int16_t at[kBlockSize];
};

// Which of a block's 256 values are not zero.
struct BlockMask {
    uint64_t words[4];
};

struct TransformKernels {
    // Components to coefficients, rows are vertical frequencies. `headroom`: bits given up so that 16 bits suffice.
    void (*forward)(BlockValues& block, int headroom);
    // Coefficients to components clamped to 12 bits; all rows from `rows` and columns from `columns` on are zero.
    void (*inverse)(BlockValues& block, int headroom, int rows, int columns);
    // levels = sign(y) * ((|y| * factor + offset) >> shift)
    BlockMask (*quantize)(const BlockValues& coefficients, uint32_t factor, uint32_t offset, int shift,
                          BlockValues& levels);
    // 16 pixels of `bands` samples to a row of 16 in each component block, and back; `matrix` (bands, bands) at 2^12.
    void (*to_components)(const uint8_t* pixels, int bands, const int16_t* matrix, BlockValues* components, int row);
    void (*to_pixels)(const BlockValues* components, int bands, const int16_t* matrix, int row, uint8_t* pixels);
};

// Names, the best last; the best for an empty one. Throws std::invalid_argument for one that is not there.
std::vector<std::string> transform_kernel_names();
const TransformKernels& transform_kernels(const std::string& name);

extern const TransformKernels kPlainTransform;
#if defined(__x86_64__)
extern const TransformKernels kAvx2Transform;
#endif
#if defined(BITSWATH_NEON)
extern const TransformKernels kNeonTransform;
#endif

}  // namespace bitswath
