#include "kernels/interleaving.hpp"

#include <numeric>

namespace bitswath::emulator {

Interleaving::Interleaving(int64_t rows, int64_t channels) : rows(rows), channels(channels) {
    const int64_t cell = rows * channels, bytes = std::lcm<int64_t>(cell, 64);
    advance = bytes / rows;
    for (int64_t first = 0; first < bytes; first += 64) {
        bases.push_back(first / cell * channels);
        for (int64_t r = 0; r < rows; ++r) {
            index.emplace_back();
            masks.push_back(0);
            for (int64_t j = 0; j < 64; ++j) {
                const int64_t at = first + j, pixel = at / cell, in_cell = at % cell;
                if (in_cell / channels != r) continue;
                index.back()[j] = static_cast<uint8_t>(pixel * channels + in_cell % channels - bases.back());
                masks.back() |= uint64_t{1} << j;
            }
        }
    }
}

}  // namespace bitswath::emulator
