#include "engine/steps/winograd_weights.hpp"

#include <array>
#include <numeric>

namespace bitswath::emulator {
namespace {

bool is_plain3x3(const Stage& stage) {
    const std::array<int64_t, 2> ones{1, 1};
    return stage.op == Op::conv && stage.kernel == std::array<int64_t, 2>{3, 3} && stage.strides == ones &&
           stage.dilations == ones && stage.groups == 1;
}

bool is_small(const Stage& stage) {
    const auto [lo, hi] = std::minmax_element(stage.values.data, stage.values.data + stage.values.size());
    return *lo >= INT8_MIN && *hi <= INT8_MAX;
}

// G times three weights.
std::array<int64_t, 4> lengthened(int64_t g0, int64_t g1, int64_t g2) { return {g0, g0 + g1 + g2, g0 - g1 + g2, g2}; }

}  // namespace

Transformed::Transformed(const Stage& stage, const Tensor& in)
    : outputs(stage.values.shape[0]), inputs(stage.values.shape[3]),
      codes{std::min<int64_t>(in.min(), 0), std::max<int64_t>(in.max(), 0)}, values(kPoints * outputs * inputs) {
    for (int64_t o = 0; o < outputs; ++o) {
        Range middle[2];
        for (int64_t c = 0; c < inputs; ++c) transform(stage.values.data + o * 9 * inputs + c, o, c, middle);
        rows.insert(rows.end(), middle, middle + 2);
    }
}

Range Transformed::products(int point, int64_t output) const {
    const Range v = point == kSumPoint ? Range{4 * codes.lo, 4 * codes.hi} : Range{-2 * span(), 2 * span()};
    Range range;
    for (int64_t c = 0; c < inputs; ++c) range.add(weights(point, output)[c], v);
    return range;
}

bool Transformed::fits_words(int point, int64_t run) const {
    for (int64_t o = 0; o < outputs; ++o)
        for (int64_t first = 0; first < inputs; first += run) {
            Range lanes[2];
            for (int64_t c = first; c < std::min(inputs, first + run); ++c)
                lanes[c / 2 % 2].add(weights(point, o)[c], {0, largest_input()});
            if (!lanes[0].fits_words() || !lanes[1].fits_words()) return false;
        }
    return true;
}

int64_t Transformed::start(int point, int64_t output) const {
    const int16_t* first = weights(point, output);
    return -offset(point) * std::accumulate(first, first + inputs, int64_t{0});
}

void Transformed::transform(const int64_t* g, int64_t o, int64_t c, Range (&middle)[2]) {
    const int64_t row = 3 * inputs;
    std::array<int64_t, 4> across[3];
    for (int y = 0; y < 3; ++y) {
        across[y] = lengthened(g[y * row], g[y * row + inputs], g[y * row + 2 * inputs]);
        middle[0].add(across[y][1], {2 * codes.lo, 2 * codes.hi});
        middle[1].add(across[y][2], {-span(), span()});
    }
    for (int b = 0; b < 4; ++b) {
        const auto column = lengthened(across[0][b], across[1][b], across[2][b]);
        for (int a = 0; a < 4; ++a) {
            values[((4 * a + b) * outputs + o) * inputs + c] = static_cast<int16_t>(column[a]);
            largest = std::max(largest, std::abs(column[a]));
        }
    }
}

std::unique_ptr<Transformed> transformed(const Stage& stage, const Tensor& in) {
    if (!is_plain3x3(stage) || in.min() < INT8_MIN || in.max() > UINT8_MAX || !is_small(stage)) return nullptr;
    auto weights = std::make_unique<Transformed>(stage, in);
    const bool fits = weights->largest_input() <= UINT8_MAX && weights->largest <= INT8_MAX;
    return fits ? std::move(weights) : nullptr;
}

}  // namespace bitswath::emulator
