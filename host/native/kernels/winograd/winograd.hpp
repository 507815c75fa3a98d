// Winograd's F(2 x 2, 3 x 3) in integers: the sums of 2 x 2 neighbouring windows from 16 products a channel instead of 36.
//
// A tile d of 4 x 4 inputs and a kernel g of 3 x 3 weights become V = B d B' and U = G g G' with
//   B = (1 0 -1 0), (0 1 1 0), (0 -1 1 0), (0 1 0 -1)        G = (1 0 0), (1 1 1), (1 -1 1), (0 0 1),
// and M, the sum over channels of their 16 products, the windows' sums Y = A M A' with
//   A = (1 1/2 1/2 0), (0 1/2 -1/2 -1),
// where only sums that are even are halved: those of products at 1 and 2 are 2 (d1 g1 + d2 (g0 + g2)). So all of it is
// exact. V spans four times what d spans, which for codes of up to six bits fits a byte: it is stored with an offset, a
// multiple of four, so that its part in Y is a whole number.
#pragma once

#include <cstdint>

#include "common/cpu.hpp"

namespace bitswath::emulator {

constexpr int kPoints = 16;  // of a tile, row by row

// V of neighbouring tiles of a row: byte c of point p of tile t goes to out[p * plane + t * pixel + c], as
//   V + sum at point (1, 1), which adds four inputs, and V + difference elsewhere, modulo 2^8.
struct WinogradInput {
    const uint8_t* rows[4];  // of inputs, from the first tile's first on
    int64_t tiles, channels;
    int64_t pixel, plane;  // bytes
    uint8_t sum, difference;
    uint8_t* out;
};
// May read 16 inputs beyond the channels and write 16 of their bytes. Or each pair of channels is written twice, one
// copy after the other.
using WinogradInputKernel = void (*)(const WinogradInput&);

// Y of neighbouring tiles of a row from M of the same: output o of window x goes to above[x * channels + o] and
// below[x * channels + o], multiplied by scale[o], all of one type.
// Of int32 products, Y is A M A' + bias[(2 * row + column) * channels + o].
// Of int16 products, all is modulo 2^16, and halves are (a + b + 1) >> 1 of unsigned numbers: such a and b, and the rows
// of A M at 1 and 2 which become so in turn, are offset by 2^15, see `kOffsetPoints`. Sums are int16, or, widened, int32.
struct WinogradOutput {
    const void* products;
    int64_t tiles, channels, plane;  // elements
    const int32_t* bias;
    const void* scale;
    void *above, *below;
};
// Whole blocks of outputs.
using WinogradOutputKernel = void (*)(const WinogradOutput&);

// Whether int16 products of a point come with 2^15 added, so that in the end Y comes without.
constexpr bool kOffsetPoints[kPoints] = {false, false, false, true, true, true, true, true,
                                         true,  true,  true,  true, true, true, true, false};

// Y from V of tiles in groups, row by row, whose products stay in registers, a row of points after the other, until they
// are a row of A M: output o of window x of row y goes to sums[y * row + x * stride + o], multiplied by scale[o]. Or only
// the largest of each tile's windows, to sums[y * row + x / 2 * stride + o] of even y. A last group is filled up with tiles
// of the rows below.
constexpr int64_t kGroupTiles = 4;
struct WinogradTiles {
    const uint8_t* in;
    int64_t plane, pixel;           // bytes from a point, from a tile to the next
    int64_t tiles, columns;         // all of them, those of a row
    int64_t pairs;                  // of chunks of four inputs
    // [outputs / 16][row of points][pair][point][2][16][4]; output o first has those of chunk o % 2, then of the other
    const int8_t* weights;
    const int32_t *start, *scale;   // what products start from, [outputs / 16][point][16]
    int64_t outputs;                // whole blocks of 16
    int32_t* sums;
    int64_t stride, row;
};
using WinogradTilesKernel = void (*)(const WinogradTiles&);

// Those that a set has forms for.
struct WinogradKernels {
    WinogradInputKernel input = nullptr, input_twice = nullptr;
    WinogradOutputKernel integers = nullptr, words = nullptr, widened = nullptr;  // of int32, int16, int16 to int32
    WinogradTilesKernel tiles = nullptr, pooled_tiles = nullptr;
};

#if defined(__x86_64__)
WinogradKernels avx2_winograd();
WinogradKernels avx512_winograd();
#endif
#if defined(BITSWATH_NEON)
WinogradKernels neon_winograd();
#endif

}  // namespace bitswath::emulator
