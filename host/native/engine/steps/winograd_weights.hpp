// A stage as Winograd's forms see it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/buffer.hpp"
#include "engine/steps/step.hpp"

namespace bitswath::emulator {

// The range of sums of terms w * x, x from lo to hi.
struct Range {
    int64_t lo = 0, hi = 0;

    void add(int64_t w, const Range& x) {
        lo += std::min(w * x.lo, w * x.hi);
        hi += std::max(w * x.lo, w * x.hi);
    }
    bool fits_words() const { return lo >= INT16_MIN && hi <= INT16_MAX; }
};

constexpr int kSumPoint = 5;              // which adds four inputs
constexpr int64_t kMostScale = 1 << 12;   // by which sums are multiplied
constexpr int64_t kPixelBytes = 16;       // a tile's channels of a point are filled up to

// A stage with all of its weights transformed.
struct Transformed {
    int64_t outputs, inputs;
    Range codes;                  // of the input and its border of zeros
    std::vector<int16_t> values;  // [point][output][input]
    std::vector<Range> rows;      // of A M at 1 and 2, all outputs
    int64_t largest = 0;          // magnitude of the weights

    Transformed(const Stage& stage, const Tensor& in);
    int64_t span() const { return codes.hi - codes.lo; }
    // Added to V at a point; divisible by four, so that its part in Y is a whole number too.
    int64_t offset(int point) const { return point == kSumPoint ? -4 * codes.lo : rounded_up(2 * span(), 4); }
    int64_t largest_input() const { return offset(0) + 2 * span(); }
    const int16_t* weights(int point, int64_t output) const { return values.data() + (point * outputs + output) * inputs; }
    Range products(int point, int64_t output) const;
    // Whether sums of 32 bits, and their sums in Y, hold all products.
    bool fits_integers() const { return largest_input() * largest * inputs <= INT32_MAX / kPoints; }
    // Whether lanes of 16 bits hold the products of every run of so many inputs, a lane those of every other pair.
    bool fits_words(int point, int64_t run) const;
    // What the products of an output start from, so that they are those of V.
    int64_t start(int point, int64_t output) const;

private:
    void transform(const int64_t* g, int64_t o, int64_t c, Range (&middle)[2]);
};

// Null unless it is of 3 x 3, in steps of one, and bytes hold codes and weights, and tensors of them.
std::unique_ptr<Transformed> transformed(const Stage& stage, const Tensor& in);

}  // namespace bitswath::emulator
