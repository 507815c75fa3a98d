// Windows' rows side by side, so that all of a window lies together.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace bitswath::emulator {

// The rows of a window side by side: out[x][r][c] = rows[r][x][c] of bytes, and how 64 bytes of `out` at a time come
// from 64 of each row. Byte j of group g is byte index[g * rows + r][j] from bases[g] on of the row r whose mask has
// bit j; after all groups, `out` goes on by a group's 64 bytes each and the rows by `advance`.
struct Interleaving {
    int64_t rows, channels;
    std::vector<std::array<uint8_t, 64>> index;
    std::vector<uint64_t> masks;
    std::vector<int64_t> bases;
    int64_t advance;

    Interleaving(int64_t rows, int64_t channels);
};
// May write up to 64 bytes past `pixels` cells of rows * channels bytes, and read as much past each row.
using InterleaveKernel = void (*)(const Interleaving&, const uint8_t* const* rows, int64_t pixels, uint8_t* out);

}  // namespace bitswath::emulator
