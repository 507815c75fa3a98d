#include "requantize.hpp"

#include <algorithm>
#include <limits>

namespace bitswath::emulator {
namespace {

constexpr int64_t kMostCounted = 24;
constexpr int64_t kMostOnALine = 4096;
constexpr int64_t kMostThresholds = int64_t{1} << 26;  // of all channels together

// The thresholds of one channel on direction * x, cut to what x can reach.
struct Row {
    bool falling = false;
    int64_t always = 0;              // thresholds that every x reaches
    std::vector<int64_t> reachable;  // those that some x reaches and some does not
};

Row row_of(const Stage& stage, const Tensor& in, int64_t channel) {
    const int64_t count = stage.values.shape[1];
    const int64_t* first = stage.values.data + (stage.values.shape[0] > 1 ? channel * count : 0);
    Row row;
    row.falling = stage.directions[stage.directions.size() > 1 ? channel : 0] < 0;
    const int64_t lo = row.falling ? -in.hi[channel] : in.lo[channel];
    const int64_t hi = row.falling ? -in.lo[channel] : in.hi[channel];
    const int64_t* reached = std::upper_bound(first, first + count, lo);
    row.always = reached - first;
    row.reachable.assign(reached, std::upper_bound(reached, first + count, hi));
    return row;
}

bool fits_s32(int64_t value) {
    return value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max();
}

}  // namespace

// A line m * x + b, x counted from t[0] - 1, must be at least k << s at lower point k (x = t[k - 1]; x = 0 for
// k = 0) and below k << s at upper point k (x = t[k - 1] - 1; the last x for k = n + 1). For a given m the
// tightest lower and upper point bound b; if they contradict each other, the sign of the distance between the
// two tells whether m is too large or too small for every b. So bisection on m finds a line if there is one.
Line fit_line(const std::vector<int64_t>& thresholds, int shift) {
    const auto n = static_cast<int64_t>(thresholds.size());
    if (thresholds.front() < -kLargest / 2 || thresholds.back() > kLargest / 2) return {};
    const int64_t origin = thresholds.front() - 1, span = thresholds.back() - origin;
    int64_t least = 1, most = ((n + 1) << shift) / span;
    while (least <= most) {
        const int64_t gain = least + (most - least) / 2;
        int64_t lower = 0, lower_x = 0, upper = ((n + 1) << shift) - 1 - gain * span, upper_x = span;
        for (int64_t k = 1; k <= n; ++k) {
            const int64_t x = thresholds[k - 1] - origin, level = k << shift;
            if (level - gain * x > lower) lower = level - gain * x, lower_x = x;
            if (level - 1 - gain * (x - 1) < upper) upper = level - 1 - gain * (x - 1), upper_x = x - 1;
        }
        if (lower <= upper) return {true, gain, lower + (upper - lower) / 2};
        if (upper_x == lower_x) break;
        (upper_x > lower_x ? most : least) = upper_x > lower_x ? gain - 1 : gain + 1;
    }
    return {};
}

// Codes times 2^shift stay within `limit`, so that they never wrap around in a Word.
template <typename Acc, typename Word>
bool Finish::make_affine(const Stage& stage, const Tensor& in, int64_t limit) {
    const int64_t count = stage.values.shape[1], channels = in.shape.c;
    if (count >= kMostOnALine) return false;
    int shift = 0;
    while (count + 1 <= limit >> (shift + 1)) ++shift;
    auto& ends = std::get<std::vector<Acc>>(rows_);
    auto& lines = std::get<std::vector<Word>>(lines_);
    ends.assign(2 * channels, 0);
    lines.assign(2 * channels, 0);
    for (int64_t c = 0; c < channels; ++c) {
        const Row row = row_of(stage, in, c);
        uint64_t gain = 0, offset = static_cast<uint64_t>(row.always) << shift;
        if (!row.reachable.empty()) {
            const Line line = fit_line(row.reachable, shift);
            if (!line.found) return false;
            const int64_t first = row.reachable.front() - 1, last = row.reachable.back();
            ends[c] = static_cast<Acc>(row.falling ? -last : first);
            ends[channels + c] = static_cast<Acc>(row.falling ? -first : last);
            gain = static_cast<uint64_t>(row.falling ? -line.gain : line.gain);
            offset += static_cast<uint64_t>(line.offset) - static_cast<uint64_t>(line.gain) * static_cast<uint64_t>(first);
        }
        lines[c] = static_cast<Word>(gain);
        lines[channels + c] = static_cast<Word>(offset);
    }
    parameters_.shift = shift;
    parameters_.lo = ends.data();
    parameters_.hi = ends.data() + channels;
    parameters_.gain = lines.data();
    parameters_.offset = lines.data() + channels;
    return true;
}

template <typename Acc>
void Finish::make_rows(const Stage& stage, const Tensor& in) {
    auto& storage = std::get<std::vector<Acc>>(rows_);
    const int64_t channels = in.shape.c;
    int64_t columns = 0;
    std::vector<Row> rows;
    for (int64_t c = 0; c < channels; ++c) {
        rows.push_back(row_of(stage, in, c));
        columns = std::max(columns, rows.back().always + static_cast<int64_t>(rows.back().reachable.size()));
    }
    const bool search = columns > kMostCounted;
    if (search) {
        int64_t full = 1;
        while (full - 1 < columns) full *= 2;
        columns = full - 1;
    }
    if (columns > kMostThresholds / channels)
        throw NetworkFault("stage '" + stage.name + "': more thresholds than can be held");
    storage.assign(channels * (columns + 1), 0);
    Acc* thresholds = storage.data() + channels;
    for (int64_t c = 0; c < channels; ++c) {
        const Row& row = rows[c];
        const int64_t lo = row.falling ? -in.hi[c] : in.lo[c], hi = row.falling ? -in.lo[c] : in.hi[c];
        storage[c] = row.falling ? -1 : 0;
        for (int64_t t = 0; t < columns; ++t) {
            const int64_t from = t - row.always;
            const bool known = from < static_cast<int64_t>(row.reachable.size());
            const int64_t value = from < 0 ? lo : known ? row.reachable[from] : hi + 1;
            thresholds[search ? c * columns + t : t * channels + c] = static_cast<Acc>(value - row.falling);
        }
    }
    parameters_.columns = columns;
    parameters_.flip = storage.data();
    parameters_.thresholds = thresholds;
    name_ = search ? "search" : "count";
}

Finish Finish::store(const Kernels& kernels, bool wide, Type out) {
    Finish finish;
    finish.convert_ = kernels.convert[wide ? s64 : s32][out];
    return finish;
}

Finish Finish::threshold(const Kernels& kernels, const Stage& stage, const Tensor& in, bool wide, Type out) {
    Finish finish;
    finish.parameters_.base = stage.base;
    finish.parameters_.step = stage.step;
    constexpr int64_t largest = std::numeric_limits<int32_t>::max();
    const bool narrow = !wide && out != s64 && fits_s32(stage.base) && fits_s32(stage.step);
    if (narrow && finish.make_affine<int32_t, uint32_t>(stage, in, largest)) {
        finish.name_ = "affine";
        finish.requantize_ = kernels.affine[out];
        return finish;
    }
    if (wide ? finish.make_affine<int64_t, uint64_t>(stage, in, kLargest)
             : finish.make_affine<int32_t, uint64_t>(stage, in, kLargest)) {
        finish.name_ = "affine64";
        finish.requantize_ = kernels.affine64[wide][out];
        return finish;
    }
    if (wide)
        finish.make_rows<int64_t>(stage, in);
    else
        finish.make_rows<int32_t>(stage, in);
    finish.requantize_ = (finish.name_[0] == 's' ? kernels.search : kernels.count)[wide][out];
    return finish;
}

void Finish::run(const void* acc, void* out, int64_t pixels, int64_t channels) const {
    if (requantize_)
        requantize_(parameters_, acc, out, pixels, channels);
    else
        convert_(acc, out, pixels * channels);
}

}  // namespace bitswath::emulator
