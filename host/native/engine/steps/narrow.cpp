#include "engine/steps/narrow.hpp"

#include <algorithm>
#include <cmath>

namespace bitswath::emulator {
namespace {

constexpr int kFitShift = 28;               // fraction bits of the line that guides the search
constexpr int64_t kReach = 7 * (INT16_MAX / 8);  // of scaled sums around the middle code
constexpr int64_t kMostFactor = 1 << 12;
constexpr int kLeastSliceShift = 2;
constexpr double kGainSlack = 1.0 / 8;   // of the guide, within which a gain is sought

// Real line through a channel's thresholds: codes a unit of x, and the x of the middle code.
struct Guide {
    double slope = 0, middle = 0;
};

bool guide(const ThresholdRow& row, int half, Guide& line) {
    const double first = static_cast<double>(row.reachable.front() - 1), codes = static_cast<double>(half - row.always);
    if (row.reachable.size() == 1) {  // any slope will do; a gentle one leaves room
        line.slope = 1.0 / 16;
        line.middle = first + (codes - 1 + line.slope) / line.slope;
        return true;
    }
    const Line fit = fit_line(row.reachable, kFitShift);
    if (!fit.found) return false;
    line.slope = std::ldexp(static_cast<double>(fit.gain), -kFitShift);
    line.middle = first + (codes - std::ldexp(static_cast<double>(fit.offset), -kFitShift)) / line.slope;
    return true;
}

// Scaled sums between a channel's first and last threshold must fit 16 bits, all of them if kept in so few.
int64_t most_factor(const ThresholdRow& row, const Guide& line, Type acc) {
    const int64_t first = acc == s16 ? row.lo : row.reachable.front() - 1;
    const int64_t last = acc == s16 ? row.hi : row.reachable.back();
    const double reach = std::max(std::abs(static_cast<double>(first) - line.middle),
                                  std::abs(static_cast<double>(last) - line.middle));
    return static_cast<int64_t>(std::min<double>(kMostFactor, kReach / std::max(reach, 1.0)));
}

int64_t divide_up(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

// Inclusive range of biases, and the codes whose beginnings bound it.
struct Interval {
    int64_t lo = INT32_MIN / 2, hi = INT32_MAX / 2;
    int64_t lo_code = 0, hi_code = 0;

    bool empty() const { return lo > hi; }
    void least(int64_t value, int64_t code = 0) {
        if (value > lo) lo = value, lo_code = code;
    }
    void most(int64_t value, int64_t code = 0) {
        if (value < hi) hi = value, hi_code = code;
    }
};

// The biases with which code k begins exactly at its threshold. The kernel gives a code of at least v to a
// 16-bit sum X if (X * gain + 2^14) >> 15 >= v << shift, so from X = ceil((v << shift + 15) - 2^14) / gain) on.
Interval biases(const ThresholdRow& row, int half, int64_t count, int64_t factor, int64_t gain, int shift) {
    const auto begin = [gain, shift](int64_t v) { return divide_up(v * (int64_t{1} << (shift + 15)) - (1 << 14), gain); };
    Interval bias;
    const auto n = static_cast<int64_t>(row.reachable.size());
    for (int64_t i = 1; i <= n; ++i) {
        const int64_t code = row.always + i - half, from = begin(code);
        if (from > INT16_MAX || from <= INT16_MIN) return {1, 0, 0, 0};
        bias.least(from - factor * row.reachable[i - 1], code);
        bias.most(from - 1 - factor * (row.reachable[i - 1] - 1), code);
    }
    const int64_t first = row.always - half, beyond = row.always + n + 1 - half;
    if (row.always > 0) bias.least(begin(first) - factor * row.lo, first);
    if (row.always + n < count) bias.most(begin(beyond) - 1 - factor * row.hi, beyond);
    return bias;
}

// Sums must stay within their type, partial ones too where that is not modular arithmetic of 16 bits.
void fit_type(const ThresholdRow& row, int64_t factor, const Headroom& headroom, Interval& bias) {
    if (headroom.acc == s16) {
        bias.least(INT16_MIN - factor * row.lo);
        bias.most(INT16_MAX - factor * row.hi);
    } else {
        const int64_t room = INT32_MAX - factor * headroom.bound;
        bias.least(-room);
        bias.most(room);
    }
}

bool solve(const ThresholdRow& row, int half, int64_t count, int64_t factor, const Headroom& headroom,
           NarrowChannel& channel) {
    Guide line;
    if (factor < 1 || !guide(row, half, line)) return false;
    const double spacing = static_cast<double>(factor) / line.slope;
    const int highest = 16 - static_cast<int>(std::lround(std::log2(2 * half)));
    const int shift = std::min(highest, static_cast<int>(std::floor(std::log2(spacing * INT16_MAX / 32768.0))));
    if (shift < kLeastSliceShift) return false;
    // Codes spread less the larger the gain: if the lower bound comes from a higher code than the upper one, a
    // larger gain brings them together, else a smaller one.
    const double ideal = std::ldexp(line.slope, 15 + shift) / static_cast<double>(factor);
    auto least = static_cast<int64_t>(ideal * (1 - kGainSlack)), most = static_cast<int64_t>(ideal * (1 + kGainSlack)) + 1;
    for (least = std::max<int64_t>(least, 1), most = std::min<int64_t>(most, INT16_MAX); least <= most;) {
        const int64_t gain = least + (most - least) / 2;
        Interval bias = biases(row, half, count, factor, gain, shift);
        const Interval line_only = bias;
        fit_type(row, factor, headroom, bias);
        if (!bias.empty()) {
            channel = {factor, bias.lo + (bias.hi - bias.lo) / 2, static_cast<int16_t>(gain),
                       static_cast<int16_t>(1 << (16 - shift))};
            return true;
        }
        if (!line_only.empty() || line_only.lo_code == line_only.hi_code) return false;
        if (line_only.lo_code > line_only.hi_code)
            least = gain + 1;
        else
            most = gain - 1;
    }
    return false;
}

// A channel with one code only: a constant sum, or one that always saturates.
bool constant(const ThresholdRow& row, int half, int64_t factor, const Headroom& headroom, NarrowChannel& channel) {
    const int64_t middle = (row.always - half) * (1 << kLeastSliceShift) + 2;
    channel.slice = 1 << (16 - kLeastSliceShift);
    channel.factor = factor;
    if (factor == 0) {
        channel.bias = middle;
        channel.gain = INT16_MAX;
        return true;
    }
    channel.bias = INT16_MAX - factor * row.lo;
    channel.gain = static_cast<int16_t>(middle);
    return headroom.acc == s32 && std::abs(channel.bias) <= INT32_MAX - factor * headroom.bound;
}

}  // namespace

int half_of(int64_t count) {
    int half = 1;
    while (2 * half < count + 1) half *= 2;
    return half;
}

bool narrow_channels(const Stage& stage, const Tensor& in, const Headroom& headroom,
                     std::vector<NarrowChannel>& channels) {
    const int64_t count = stage.values.shape[1];
    if (count < 1 || count > 255 || headroom.bound > INT32_MAX / 2) return false;
    const int half = half_of(count);
    std::vector<ThresholdRow> rows;
    std::vector<int64_t> factors;
    for (int64_t c = 0; c < in.shape.c; ++c) {
        rows.push_back(threshold_row(stage, in, c));
        const ThresholdRow& row = rows.back();
        if (row.falling) return false;
        Guide line;
        const int64_t room = headroom.bound ? (INT32_MAX / 2) / headroom.bound : kMostFactor;
        int64_t factor = std::min({headroom.most[c], kMostFactor, room});
        if (!row.reachable.empty()) {
            if (!guide(row, half, line)) return false;
            factor = std::min(factor, most_factor(row, line, headroom.acc));
        } else if (!headroom.uniform) {
            factor = 0;
        }
        factors.push_back(factor);
    }
    if (headroom.uniform) {
        const int64_t least = *std::min_element(factors.begin(), factors.end());
        std::fill(factors.begin(), factors.end(), least);
    }
    channels.resize(rows.size());
    for (size_t c = 0; c < rows.size(); ++c) {
        const bool found = rows[c].reachable.empty()
                               ? constant(rows[c], half, factors[c], headroom, channels[c])
                               : solve(rows[c], half, count, factors[c], headroom, channels[c]);
        if (!found) return false;
    }
    return true;
}

}  // namespace bitswath::emulator
