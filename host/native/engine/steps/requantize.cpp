#include "engine/steps/requantize.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "engine/steps/narrow.hpp"

namespace bitswath::emulator {
namespace {

constexpr int64_t kMostCounted = 24;
constexpr int64_t kMostOnALine = 4096;
constexpr int64_t kMostThresholds = int64_t{1} << 26;  // of all channels together

bool fits_s32(int64_t value) {
    return value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max();
}

}  // namespace

ThresholdRow threshold_row(const Stage& stage, const Tensor& in, int64_t channel) {
    const int64_t count = stage.values.shape[1];
    const int64_t* first = stage.values.data + (stage.values.shape[0] > 1 ? channel * count : 0);
    ThresholdRow row;
    row.falling = stage.directions[stage.directions.size() > 1 ? channel : 0] < 0;
    row.lo = row.falling ? -in.hi[channel] : in.lo[channel];
    row.hi = row.falling ? -in.lo[channel] : in.hi[channel];
    const int64_t* reached = std::upper_bound(first, first + count, row.lo);
    row.always = reached - first;
    row.reachable.assign(reached, std::upper_bound(reached, first + count, row.hi));
    return row;
}

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
        const ThresholdRow row = threshold_row(stage, in, c);
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
    std::vector<ThresholdRow> rows;
    for (int64_t c = 0; c < channels; ++c) {
        rows.push_back(threshold_row(stage, in, c));
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
        const ThresholdRow& row = rows[c];
        storage[c] = row.falling ? -1 : 0;
        for (int64_t t = 0; t < columns; ++t) {
            const int64_t from = t - row.always;
            const bool known = from < static_cast<int64_t>(row.reachable.size());
            const int64_t value = from < 0 ? row.lo : known ? row.reachable[from] : row.hi + 1;
            thresholds[search ? c * columns + t : t * channels + c] = static_cast<Acc>(value - row.falling);
        }
    }
    parameters_.columns = columns;
    parameters_.flip = storage.data();
    parameters_.thresholds = thresholds;
    name_ = search ? "search" : "count";
}

Finish Finish::store(const Kernels& kernels, Type acc, Type out) {
    Finish finish;
    finish.convert_ = kernels.convert[acc][out];
    finish.acc_bytes_ = static_cast<int64_t>(kTypeBytes[acc]);
    finish.out_bytes_ = static_cast<int64_t>(kTypeBytes[out]);
    return finish;
}

Finish Finish::threshold(const Kernels& kernels, const Stage& stage, const Tensor& in, Type acc, Type out) {
    const bool wide = acc == s64;
    Finish finish = store(kernels, acc, out);
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

bool Finish::narrow(const Kernels& kernels, const Stage& stage, const Tensor& in, Type out, const Headroom& headroom,
                    Finish& finish, Factors& factors) {
    if ((out != u8 && out != s8) || stage.step != 1 || headroom.acc == s64) return false;
    std::vector<NarrowChannel> channels;
    if (!narrow_channels(stage, in, headroom, channels)) return false;
    const int half = half_of(stage.values.shape[1]);
    finish = store(kernels, headroom.acc, out);
    finish.name_ = "narrow";
    finish.line_ = kernels.lines.line[headroom.acc == s32];
    finish.line_order_ = kernels.lines.order[headroom.acc == s32];
    finish.narrow_.lo = static_cast<int8_t>(-half);
    finish.narrow_.hi = static_cast<int8_t>(stage.values.shape[1] - half);
    finish.narrow_.offset = static_cast<int8_t>(half + stage.base);
    for (const NarrowChannel& channel : channels) {
        factors.push_back(channel.factor);
        finish.biases_.push_back(channel.bias);
        finish.gains_.push_back(channel.gain);
        finish.slices_.push_back(channel.slice);
    }
    return true;
}

// Where pixels lie back to back, a row is one run of elements, and parameters repeat.
void Finish::set_stride(int64_t channels, int64_t stride) {
    if (!line_) return;
    const int64_t group = kLineGroup;
    narrow_.period = channels == stride ? std::lcm(channels, group) : (channels + group - 1) / group * group;
    const auto spread = [this, channels](const std::vector<int16_t>& values) {
        std::vector<int16_t> out(narrow_.period);
        for (int64_t i = 0; i < narrow_.period; ++i)
            out[i / kLineGroup * kLineGroup + line_order_(static_cast<int>(i % kLineGroup))] = values[i % channels];
        return out;
    };
    gains_ = spread(gains_);
    slices_ = spread(slices_);
    bias_bytes_.resize(narrow_.period * acc_bytes_);
    for (int64_t i = 0; i < narrow_.period; ++i)  // little-endian: the low bytes are the value modulo their width
        std::memcpy(bias_bytes_.data() + i * acc_bytes_, &biases_[i % channels], acc_bytes_);
    narrow_.bias = bias_bytes_.data();
    narrow_.gain = gains_.data();
    narrow_.slice = slices_.data();
}

void Finish::run(const void* acc, uint8_t* out, int64_t pixels, int64_t channels, int64_t stride) const {
    const bool joined = stride == channels;
    const int64_t runs = joined ? 1 : pixels, length = joined ? pixels : 1;
    const auto* from = static_cast<const uint8_t*>(acc);
    for (int64_t i = 0; i < runs; ++i, from += stride * acc_bytes_, out += channels * out_bytes_) {
        if (line_)
            line_(narrow_, from, out, length * channels);
        else if (requantize_)
            requantize_(parameters_, from, out, length, channels);
        else
            convert_(from, out, length * channels);
    }
}

}  // namespace bitswath::emulator
