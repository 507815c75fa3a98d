#include "engine/steps/bits.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/steps/windows.hpp"
#include "engine/steps/winograd.hpp"

namespace bitswath::emulator {
namespace {

constexpr int64_t kMostFactor = 1 << 12;
constexpr int64_t kAround = 10;  // products of bytes in the time that packing a code and finishing a sum take more

// One output's weights as slope * u + level, u in 0..most.
struct Levels {
    int64_t slope = 1, level = 0, most = 0;
};

Levels levels_of(const Stage& stage, int64_t output) {
    const int64_t count = stage.values.size() / stage.values.shape[0];
    const int64_t* w = stage.values.data + output * count;
    const auto [lo, hi] = std::minmax_element(w, w + count);
    Levels levels{0, *lo, 0};
    for (int64_t i = 0; i < count; ++i) levels.slope = std::gcd(levels.slope, w[i] - *lo);
    if (levels.slope == 0) levels.slope = 1;
    levels.most = (*hi - *lo) / levels.slope;
    return levels;
}

// A stage as bit-serial kernels see it; `planes` is 0 where its weights have more than two bits.
struct BitStage {
    std::vector<Levels> levels;
    int64_t planes = 1, largest = 1, depth = 0;

    BitStage(const Stage& stage, const Tensor& in) : depth(stage.values.size() / stage.values.shape[0]) {
        for (int64_t o = 0; o < stage.values.shape[0]; ++o) {
            const Weights w = weights_of(stage, o);
            const bool narrow = w.lo >= -kLargestWeight && w.hi <= kLargestWeight;
            levels.push_back(narrow ? levels_of(stage, o) : Levels{1, 0, 4});
            if (levels.back().most > 1) planes = 2;
            if (levels.back().most > 3) {
                planes = 0;
                return;
            }
        }
        largest = std::max<int64_t>(in.max(), 1);
    }

    int64_t code_planes(const BitForm& form) const { return form.planes && largest > 1 ? 2 : 1; }
    int64_t most() const { return depth * largest * (planes > 1 ? 3 : 1); }

private:
    static constexpr int64_t kLargestWeight = 1 << 10;
};

int64_t groups_a_pixel(const Stage& stage, const BitForm& form) {
    return (stage.values.shape[3] + form.codes() - 1) / form.codes();
}

bool suits(const BitForm& form, const BitStage& bits, const StepContext& context) {
    const Stage& stage = context.stage;
    const Tensor& sums = context.sums();
    if (stage.groups > 1 && stage.values.shape[3] % form.codes() != 0) return false;
    if (form.acc == s16 && (sums.min() < -INT16_MAX || sums.max() > INT16_MAX)) return false;
    return bits.most() <= form.most;
}

// What a window costs, in products of the set's byte kernels.
double cost(const BitForm& form, const BitStage& bits, const Stage& stage) {
    const int64_t taps = stage.kernel[0] * stage.kernel[1], outputs = stage.values.shape[0] / stage.groups;
    const int64_t depth = taps * groups_a_pixel(stage, form) * form.codes() * bits.planes * bits.code_planes(form);
    const int64_t padded = rounded_up(outputs, form.block), together = form.block * form.blocks;
    const int64_t lone = padded % together * depth * stage.groups, rest = padded * depth * stage.groups - lone;
    const int64_t codes = stage.values.shape[3] * stage.groups * stage.strides[0] * stage.strides[1];
    return static_cast<double>(rest) / form.rate + static_cast<double>(lone) / form.lone_rate +
           static_cast<double>(kAround * (codes + stage.values.shape[0]));
}

// Packed codes of a band, the sums of their pixels, and those of the windows follow the sums in the scratch.
class BitStep : public WindowStep {
public:
    BitStep(const StepContext& context, const BitForm& form, const BitStage& bits, Finish finish, const Factors& factors)
        : WindowStep(context, {form.acc, form.block, form.tile, context.stage.groups}, std::move(finish)), bits_(form),
          group_bytes_(groups_a_pixel(context.stage, form) * form.bytes()) {
        const int64_t pixel = form_.groups * group_bytes_;
        set_source(strides_[1] * pixel, strides_[0] * columns() * pixel);
        for (int64_t y = 0; y < window_[0]; ++y)
            for (int64_t x = 0; x < window_[1]; ++x)
                taps_.push_back(static_cast<int32_t>(y * dilations_[0] * columns() + x * dilations_[1]));
        for (const int32_t tap : taps_)
            for (int64_t at = 0; at < group_bytes_; at += form.bytes())
                offsets_.push_back(static_cast<int32_t>(tap * pixel + at));
        rows_.step = tiling_.step;
        rows_.offsets = offsets_.data();
        rows_.depth = static_cast<int64_t>(offsets_.size());
        rows_.code_planes = bits.code_planes(form);
        rows_.plane = rounded_up(pixels() * pixel + static_cast<int64_t>(kOverread), 64);
        rows_.largest = bits.largest;
        rows_.weight_planes = bits.planes;
        rows_.outputs = group_outputs();
        rows_.stride = stride();
        pack(context.stage, bits);
        if (form.acc == s16)
            pack_lines<int16_t>(bits, factors);
        else
            pack_lines<int32_t>(bits, factors);
    }

protected:
    std::string sums_name() const override { return bits_.name; }

    void sum(const Frame& frame, int64_t y, int64_t count) const override {
        uint8_t* const codes = extra(frame);
        auto* const pixel_sums = reinterpret_cast<int32_t*>(codes + rows_.code_planes * rows_.plane);
        auto* const totals = pixel_sums + pixels() * form_.groups;
        const int64_t groups = form_.groups, tiles = tiling_.tiles(count);
        for (int64_t r = 0; r < source_rows(count); ++r)
            bits_.pack(first_row(frame, y) + r * in_.row, columns() * groups, in_.shape.c / groups, rows_.code_planes,
                       rows_.plane, codes + r * columns() * groups * group_bytes_,
                       pixel_sums + r * columns() * groups);
        BitRows rows = rows_;
        rows.starts = starts_.data();
        rows.tiles = tiles;
        rows.totals = totals;
        for (int64_t g = 0; g < groups; ++g) {  // outputs that fill up a group's blocks are the next one's
            if (levels_) total(pixel_sums + g, tiles, totals);
            rows.in = codes + g * group_bytes_;
            rows.weights = weights_.data() + g * weights_bytes();
            const auto line = [this, g](int i) { return lines_.data() + (i * form_.groups + g) * line_bytes(); };
            rows.slope = line(0);
            rows.level = line(1);
            rows.acc = frame.scratch + g * per_group() * acc_bytes();
            bits_.kernel(rows);
        }
    }

    int64_t extra_bytes() const override {
        const int64_t sums = pixels() * form_.groups + tiling_.tiles(band_) * form_.tile;
        return rows_.code_planes * rows_.plane + rounded_up(sums * static_cast<int64_t>(sizeof(int32_t)), 64);
    }

private:
    int64_t source_rows(int64_t count) const {
        return (count - 1) * strides_[0] + dilations_[0] * (window_[0] - 1) + 1;
    }
    int64_t pixels() const { return source_rows(band_) * columns() + kMostTile * strides_[1]; }
    int64_t line_bytes() const { return group_outputs() * acc_bytes(); }
    int64_t weights_bytes() const { return group_outputs() * rows_.weight_planes * rows_.depth * bits_.bytes(); }

    // Runs of neighbouring windows: the whole band, or its rows.
    void total(const int32_t* __restrict pixel_sums, int64_t tiles, int32_t* __restrict totals) const {
        const int64_t pixel = form_.groups * group_bytes_, windows = tiles * form_.tile;
        const int64_t run = tiling_.flat ? windows : rounded_up(tiling_.windows, form_.tile);
        const int64_t step = strides_[1] * form_.groups;
        std::memset(totals, 0, windows * sizeof(int32_t));
        for (int64_t first = 0; first < windows; first += run, totals += run)
            for (const int32_t tap : taps_) {
                const int32_t* sums = pixel_sums + (starts_[first / form_.tile] / pixel + tap) * form_.groups;
                if (step == 1)
                    for (int64_t i = 0; i < run; ++i) totals[i] += sums[i];
                else
                    for (int64_t i = 0; i < run; ++i) totals[i] += sums[i * step];
            }
    }

    void pack(const Stage& stage, const BitStage& bits) {
        weights_ = Buffer(form_.groups * weights_bytes());
        uint8_t* out = weights_.data();
        const int64_t inputs = stage.values.shape[3], count = stage.values.size() / channels_;
        for (int64_t g = 0; g < form_.groups; ++g)
            for (int64_t first = 0; first < group_outputs(); first += form_.block)
                for (int64_t plane = bits.planes - 1; plane >= 0; --plane)
                    for (size_t tap = 0; tap < taps_.size(); ++tap)
                        for (int64_t c = 0; c < inputs; c += bits_.codes())
                            for (int64_t o = first; o < first + form_.block; ++o, out += bits_.bytes()) {
                                if (o >= per_group()) continue;
                                const int64_t output = g * per_group() + o;
                                const int64_t* w = stage.values.data + output * count + static_cast<int64_t>(tap) * inputs;
                                const Levels& levels = bits.levels[output];
                                for (int64_t i = c; i < std::min<int64_t>(inputs, c + bits_.codes()); ++i)
                                    out[(i - c) / 8] |= ((w[i] - levels.level) / levels.slope >> plane & 1) << (i - c) % 8;
                            }
    }

    template <typename T>
    void pack_lines(const BitStage& bits, const Factors& factors) {
        lines_ = Buffer(2 * form_.groups * line_bytes());
        auto* out = reinterpret_cast<T*>(lines_.data());
        for (int64_t o = 0; o < channels_; ++o) {
            const int64_t at = o / per_group() * group_outputs() + o % per_group();
            const int64_t all = form_.groups * group_outputs();
            out[at] = static_cast<T>(factors[o] * bits.levels[o].slope);
            out[all + at] = static_cast<T>(factors[o] * bits.levels[o].level);
            levels_ = levels_ || bits.levels[o].level != 0;
        }
    }

    BitForm bits_;
    int64_t group_bytes_;  // packed codes of a pixel that one group of channels reads
    bool levels_ = false;
    std::vector<int32_t> taps_, offsets_;
    BitRows rows_{};
    Buffer weights_{0}, lines_{0};  // lines: slopes, then levels
};

}  // namespace

std::unique_ptr<Step> make_bits(const StepContext& context) {
    const Stage& stage = context.stage;
    const Tensor& in = context.tensor(stage.inputs[0]);
    if (context.layouts[stage.inputs[0]].type != u8 || in.max() > 3 || needs_s64(context.stage.bound)) return nullptr;
    const BitStage bits(stage, in);
    if (bits.planes == 0) return nullptr;
    const std::vector<int64_t> signs = signs_of(stage, context.threshold), most(signs.size(), kMostFactor);
    const BitForm* best = nullptr;
    Finish finish, candidate;
    Factors factors, candidate_factors;
    double least = std::min(static_cast<double>(stage.values.size()),
                            winograd_cost(stage, context.graph, context.kernels, false));
    for (const BitForm& form : context.kernels.bits) {
        if (!suits(form, bits, context) || cost(form, bits, stage) >= least) continue;
        if (!make_finish(context, form.acc, most, signs, candidate, candidate_factors)) continue;
        best = &form;
        least = cost(form, bits, stage);
        finish = std::move(candidate);
        factors = candidate_factors;
    }
    return best ? std::make_unique<BitStep>(context, *best, bits, std::move(finish), factors) : nullptr;
}

}  // namespace bitswath::emulator
