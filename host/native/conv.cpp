// Convolution and dense steps: choice of kernel, packing of weights, and the walk over the output.
#include <algorithm>
#include <cstring>

#include "plan.hpp"

namespace bitswath::emulator {
namespace {

constexpr int64_t kBandWindows = 256;            // a call of the kernel should have
constexpr int64_t kBandBytes = 48 << 10;        // its accumulators should not exceed
constexpr int64_t kMostInterleavedChannels = 16, kMostInterleavedRows = 16;

bool is_depthwise(const Stage& stage) {
    return stage.groups > 1 && stage.groups == stage.values.shape[0] && stage.values.shape[3] == 1;
}

int64_t rounded_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Weights of one output channel.
struct Weights {
    const int64_t* first;
    int64_t count, lo, hi;
};

Weights weights_of(const Stage& stage, int64_t output) {
    const int64_t count = stage.values.size() / stage.values.shape[0];
    const int64_t* first = stage.values.data + output * count;
    const auto [lo, hi] = std::minmax_element(first, first + count);
    return {first, count, std::min<int64_t>(*lo, 0), std::max<int64_t>(*hi, 0)};
}

// -1 for the outputs that a threshold stage reads falling: their sums are negated, so that all rise.
std::vector<int64_t> signs_of(const Stage& stage, const Stage* threshold) {
    std::vector<int64_t> signs(stage.values.shape[0], 1);
    for (size_t o = 0; threshold && o < signs.size(); ++o)
        signs[o] = threshold->directions[threshold->directions.size() > 1 ? o : 0];
    return signs;
}

// The largest factor for one output's weights, 0 if not even 1 is exact.
int64_t most_factor(const ConvForm& form, const Weights& w, int64_t sign, const Tensor& in) {
    const int64_t lo = sign > 0 ? w.lo : -w.hi, hi = sign > 0 ? w.hi : -w.lo;
    const int64_t highest = std::min(kHighest[form.weights], kLargest);
    int64_t most = std::min(highest / std::max<int64_t>(hi, 1), (highest + 1) / std::max<int64_t>(-lo, 1));
    const int64_t largest = std::max(hi, -lo) * in.magnitude();
    return form.pairs && largest ? std::min(most, INT16_MAX / (2 * largest)) : most;
}

bool suits(const ConvForm& form, const Stage& stage, const Graph& graph, const std::vector<int64_t>& signs) {
    const Tensor& in = graph.tensors()[stage.inputs[0]];
    const Tensor& out = graph.tensors()[graph.tensor(stage.name)];
    if (form.depthwise != is_depthwise(stage) || out.shape.h * out.shape.w < form.least_windows) return false;
    if (in.min() < kLowest[form.in] || in.max() > kHighest[form.in] || needs_s64(stage.bound)) return false;
    if (form.acc == s16 && (out.min() < -INT16_MAX || out.max() > INT16_MAX)) return false;
    for (int64_t o = 0; o < stage.values.shape[0]; ++o)
        if (most_factor(form, weights_of(stage, o), signs[o], in) < 1) return false;
    return true;
}

// The form that needs no particular CPU: any types, one window at a time.
ConvForm plain_form(const Kernels& kernels, const Stage& stage, Type in) {
    const bool depthwise = is_depthwise(stage), wide = needs_s64(stage.bound) || in == s64;
    const Type acc = wide ? s64 : s32;
    const int block = static_cast<int>(stage.values.shape[0] / (depthwise ? 1 : stage.groups));
    const ConvKernel kernel = (depthwise ? kernels.depthwise : kernels.conv)[in][wide];
    return {depthwise ? "depthwise" : "loop", kernel, in, acc, acc, 1, 1, block, 1, depthwise, false, 1};
}

// How one convolution walks a window: up to `chunk` neighbouring elements at each offset.
struct Reduction {
    std::vector<int32_t> offsets;
    std::vector<std::vector<int64_t>> weights;  // index of each element's weight

    void add_run(int64_t offset, const std::vector<int64_t>& run, int chunk) {
        for (size_t i = 0; i < run.size(); i += chunk) {
            offsets.push_back(static_cast<int32_t>(offset + static_cast<int64_t>(i)));
            weights.emplace_back(run.begin() + i, run.begin() + std::min(run.size(), i + chunk));
        }
    }
};

int64_t weight_index(const Stage& stage, int64_t y, int64_t x, int64_t c) {
    return (y * stage.kernel[1] + x) * stage.values.shape[3] + c;
}

// Windows as they lie in the tensor; a kernel's row is one run where its pixels are neighbours.
Reduction direct(const Stage& stage, const Layout& in, int chunk) {
    const bool joined = stage.groups == 1 && stage.dilations[1] == 1;
    Reduction reduction;
    for (int64_t y = 0; y < stage.kernel[0]; ++y) {
        std::vector<int64_t> run;
        for (int64_t x = 0; x < stage.kernel[1]; ++x) {
            for (int64_t c = 0; c < stage.values.shape[3]; ++c) run.push_back(weight_index(stage, y, x, c));
            if (joined && x + 1 < stage.kernel[1]) continue;
            const int64_t column = joined ? 0 : x * stage.dilations[1] * in.shape.c;
            reduction.add_run(y * stage.dilations[0] * in.row + column, run, chunk);
            run.clear();
        }
    }
    return reduction;
}

// Windows whose rows were interleaved, so that all of a window is one run.
Reduction interleaved(const Stage& stage, int chunk) {
    std::vector<int64_t> run;
    for (int64_t x = 0; x < stage.kernel[1]; ++x)
        for (int64_t y = 0; y < stage.kernel[0]; ++y)
            for (int64_t c = 0; c < stage.values.shape[3]; ++c) run.push_back(weight_index(stage, y, x, c));
    Reduction reduction;
    reduction.add_run(0, run, chunk);
    return reduction;
}

bool pays_to_interleave(const Stage& stage, const ConvForm& form, const Layout& in) {
    if (form.depthwise || stage.groups > 1 || stage.dilations[1] > 1) return false;
    if (stage.kernel[0] == 1 || stage.kernel[0] > kMostInterleavedRows) return false;
    if (kTypeBytes[form.in] > 1 || in.shape.c > kMostInterleavedChannels) return false;
    const size_t steps = interleaved(stage, form.chunk).offsets.size();
    return 2 * direct(stage, in, form.chunk).offsets.size() >= 3 * steps;
}

// Where the windows of some rows of the output are and where their sums go. Tiles either start anew in each
// row, or run on over the junk between two rows' windows, whichever makes fewer.
struct Tiling {
    int64_t tile, windows, pitch;  // windows from one row to the next, 0 if not a whole number
    bool flat = false;
    int64_t step = 0, row = 0;  // elements from one window, one row to the next

    Tiling(int64_t tile, int64_t windows, int64_t step, int64_t row, int64_t rows)
        : tile(tile), windows(windows), pitch(row % step == 0 ? row / step : 0), step(step), row(row) {
        const int64_t apart = tiles(rows);
        flat = pitch > 0;
        flat = flat && tiles(rows) < apart;
    }

    int64_t tiles(int64_t rows) const {
        return flat ? rounded_up((rows - 1) * pitch + windows, tile) / tile : rows * (rounded_up(windows, tile) / tile);
    }
    int64_t start(int64_t t) const {
        const int64_t in_row = rounded_up(windows, tile) / tile;
        return flat ? t * tile * step : t / in_row * row + t % in_row * tile * step;
    }
    int64_t sums(int64_t row) const { return row * (flat ? pitch : rounded_up(windows, tile)); }
};

class ConvStep : public Step {
public:
    ConvStep(const StepContext& context, const ConvForm& form, Finish finish, const Scale& scale)
        : in_(context.layouts[context.stage.inputs[0]]), out_(context.layouts[context.output]),
          finish_(std::move(finish)), form_(form), stage_rows_(context.stage.kernel[0]),
          stride_h_(context.stage.strides[0]), dilation_h_(context.stage.dilations[0]), top_(context.stage.pads[0]),
          left_(context.stage.pads[1]), channels_(context.stage.values.shape[0]),
          groups_(form.depthwise ? 1 : context.stage.groups), pooled_(context.pool ? 2 : 1),
          interleave_(pays_to_interleave(context.stage, form, in_) ? context.kernels.interleave : nullptr),
          interleaving_(interleave_ ? stage_rows_ : 1, interleave_ ? in_.shape.c : 1),
          pool_(context.kernels.pool2x2[form.acc]),
          tiling_(make_tiling(context.stage, context.sums().shape)), weights_(0), bias_(0) {
        const int64_t per_group = channels_ / groups_;
        rows_.outputs = rounded_up(per_group, form.block);
        rows_.stride = (groups_ - 1) * per_group + rows_.outputs;
        rows_.step = tiling_.step;
        finish_.set_stride(channels_, rows_.stride);
        for (int64_t t = 0; t < tiling_.tiles(band_); ++t) starts_.push_back(static_cast<int32_t>(tiling_.start(t)));
        pack(context.stage, scale);
    }

    int64_t rows() const override { return out_.shape.h; }

    int64_t scratch_bytes() const override { return sums_bytes() + pooled_bytes() + interleaved_bytes(); }

    void run(const Frame& frame, int64_t first, int64_t last) const override {
        for (int64_t y = first; y < last; y += band_ / pooled_) {
            const int64_t rows = std::min(last - y, band_ / pooled_);
            sum(frame, y * pooled_, rows * pooled_);
            for (int64_t r = 0; r < rows; ++r) finish(frame, y + r, r);
        }
    }

    std::string kernel() const override {
        return std::string(form_.name) + (interleave_ ? "+interleave" : "") + (pooled_ > 1 ? "+pool" : "") + "+" +
               finish_.name();
    }

private:
    Tiling make_tiling(const Stage& stage, const Shape& sums) {
        const int64_t windows = sums.w, element = static_cast<int64_t>(kTypeBytes[form_.acc]);
        const int64_t row_bytes = windows * rounded_up(channels_, form_.block) * element;
        const int64_t wanted = std::min((kBandWindows + windows - 1) / windows, std::max<int64_t>(kBandBytes / row_bytes, 1));
        band_ = std::min(rounded_up(wanted, pooled_), rounded_up(sums.h, pooled_));
        cells_ = rounded_up((windows - 1) * stage.strides[1] + stage.kernel[1], stage.strides[1]);
        const int64_t cell = interleave_ ? stage.kernel[0] * in_.shape.c : in_.shape.c;
        return Tiling(form_.tile, windows, stage.strides[1] * cell, interleave_ ? cells_ * cell : stride_h_ * in_.row,
                      band_);
    }

    int64_t acc_bytes() const { return static_cast<int64_t>(kTypeBytes[form_.acc]); }
    int64_t cell() const { return stage_rows_ * in_.shape.c; }
    int64_t sums_bytes() const {
        const int64_t pixels = tiling_.tiles(band_) * form_.tile;
        return rounded_up((pixels * rows_.stride + kLineGroup + rows_.outputs) * acc_bytes(), 64);
    }
    int64_t pooled_bytes() const {
        return pooled_ == 1 ? 0 : rounded_up((out_.shape.w * rows_.stride + kLineGroup) * acc_bytes(), 64);
    }
    int64_t interleaved_bytes() const {
        if (!interleave_) return 0;
        return rounded_up((band_ * cells_ + kMostTile * tiling_.step) * cell() + static_cast<int64_t>(kOverread), 64);
    }

    // Sums of `count` rows from row y on, into the scratch.
    void sum(const Frame& frame, int64_t y, int64_t count) const {
        ConvRows rows = rows_;
        const uint8_t* in = in_.at(frame.arena, y * stride_h_ - top_, -left_);
        if (interleave_) in = interleave(frame, in, count);
        rows.starts = starts_.data();
        rows.tiles = tiling_.tiles(count);
        rows.offsets = reduction_.offsets.data();
        rows.depth = static_cast<int64_t>(reduction_.offsets.size());
        const int64_t per_group = channels_ / groups_;
        for (int64_t g = 0; g < groups_; ++g) {  // outputs that fill up a group's blocks are the next one's
            rows.in = in + g * (in_.shape.c / groups_) * static_cast<int64_t>(kTypeBytes[in_.type]);
            rows.weights = weights_.data() + g * group_bytes_;
            rows.bias = bias_.data() + g * rows_.outputs * acc_bytes();
            rows.acc = frame.scratch + g * per_group * acc_bytes();
            form_.kernel(rows);
        }
    }

    const uint8_t* interleave(const Frame& frame, const uint8_t* in, int64_t count) const {
        uint8_t* const out = frame.scratch + sums_bytes() + pooled_bytes();
        std::array<const uint8_t*, kMostInterleavedRows> sources;
        for (int64_t r = 0; r < count; ++r) {
            for (int64_t i = 0; i < stage_rows_; ++i) sources[i] = in + (r * stride_h_ + i * dilation_h_) * in_.row;
            interleave_(interleaving_, sources.data(), cells_, out + r * cells_ * cell());
        }
        return out;
    }

    void finish(const Frame& frame, int64_t y, int64_t r) const {
        const uint8_t* sums = frame.scratch + tiling_.sums(r * pooled_) * rows_.stride * acc_bytes();
        if (pooled_ > 1) {
            const uint8_t* below = frame.scratch + tiling_.sums(r * pooled_ + 1) * rows_.stride * acc_bytes();
            uint8_t* pooled = frame.scratch + sums_bytes();
            pool_(sums, below, pooled, out_.shape.w, rows_.stride);
            sums = pooled;
        }
        finish_.run(sums, out_.at(frame.arena, y), out_.shape.w, channels_, rows_.stride);
    }

    void pack(const Stage& stage, const Scale& scale) {
        reduction_ = interleave_ ? interleaved(stage, form_.chunk) : direct(stage, in_, form_.chunk);
        switch (form_.weights) {
            case s8: pack_as<int8_t>(stage, scale); break;
            case s16: pack_as<int16_t>(stage, scale); break;
            case s32: pack_as<int32_t>(stage, scale); break;
            default: pack_as<int64_t>(stage, scale);
        }
        switch (form_.acc) {
            case s16: return pack_bias<int16_t>(scale);
            case s32: return pack_bias<int32_t>(scale);
            default: return pack_bias<int64_t>(scale);
        }
    }

    template <typename T>
    void pack_as(const Stage& stage, const Scale& scale) {
        const int64_t per_group = channels_ / groups_, depth = static_cast<int64_t>(reduction_.offsets.size());
        group_bytes_ = rows_.outputs * depth * form_.chunk * static_cast<int64_t>(sizeof(T));
        weights_ = Buffer(groups_ * group_bytes_);
        auto* out = reinterpret_cast<T*>(weights_.data());
        for (int64_t g = 0; g < groups_; ++g)
            for (int64_t first = 0; first < rows_.outputs; first += form_.block)
                for (const auto& run : reduction_.weights)
                    for (int64_t lane = 0; lane < form_.chunk; lane += form_.lanes)
                        for (int64_t o = first; o < first + form_.block; ++o)
                            for (int64_t i = lane; i < lane + form_.lanes; ++i, ++out) {
                                if (o >= per_group || i >= static_cast<int64_t>(run.size())) continue;
                                const int64_t output = g * per_group + o;
                                *out = static_cast<T>(weights_of(stage, output).first[run[i]] * scale.factor[output]);
                            }
    }

    template <typename T>
    void pack_bias(const Scale& scale) {
        bias_ = Buffer(groups_ * rows_.outputs * static_cast<int64_t>(sizeof(T)));
        auto* out = reinterpret_cast<T*>(bias_.data());
        for (int64_t o = 0; o < channels_; ++o)
            out[o / (channels_ / groups_) * rows_.outputs + o % (channels_ / groups_)] = static_cast<T>(scale.bias[o]);
    }

    Layout in_, out_;
    Finish finish_;
    ConvForm form_;
    int64_t stage_rows_, stride_h_, dilation_h_, top_, left_, channels_, groups_, pooled_;
    InterleaveKernel interleave_;
    Interleaving interleaving_;
    Pool2x2Kernel pool_;
    int64_t band_ = 1, cells_ = 0, group_bytes_ = 0;
    Tiling tiling_;
    ConvRows rows_{};
    std::vector<int32_t> starts_;
    Reduction reduction_;
    Buffer weights_, bias_;
};

// A threshold stage and the sums it reads, with falling channels negated.
Stage rising(const Stage& threshold) {
    Stage stage = threshold;
    stage.directions = {1};
    return stage;
}

Tensor rising(const Tensor& sums, const std::vector<int64_t>& signs) {
    Tensor tensor = sums;
    for (size_t c = 0; c < signs.size(); ++c)
        if (signs[c] < 0) {
            tensor.lo[c] = -sums.hi[c];
            tensor.hi[c] = -sums.lo[c];
        }
    return tensor;
}

// A finish for one form's sums; false if this form has none.
bool make_finish(const StepContext& context, const ConvForm& form, const std::vector<int64_t>& signs, Finish& finish,
                 Scale& scale) {
    const Type out = context.layouts[context.output].type;
    if (context.threshold) {
        const Stage threshold = rising(*context.threshold);
        const Tensor sums = rising(context.sums(), signs);
        Headroom headroom{{}, false, form.acc, context.stage.bound};
        for (int64_t o = 0; o < context.stage.values.shape[0]; ++o)
            headroom.most.push_back(most_factor(form, weights_of(context.stage, o), signs[o],
                                                context.tensor(context.stage.inputs[0])));
        if (Finish::narrow(context.kernels, threshold, sums, out, headroom, finish, scale)) {
            for (size_t o = 0; o < signs.size(); ++o) scale.factor[o] *= signs[o];
            return true;
        }
        if (form.acc == s16) return false;
        finish = Finish::threshold(context.kernels, threshold, sums, form.acc, out);
    } else {
        finish = Finish::store(context.kernels, form.acc, out);
    }
    scale = {signs, std::vector<int64_t>(signs.size(), 0)};
    return true;
}

}  // namespace

bool wanted_input(const Stage& stage, const Graph& graph, const Kernels& kernels, Type& type) {
    const std::vector<int64_t> signs(stage.values.shape[0], 1);
    for (const ConvForm& form : kernels.convs)
        if (suits(form, stage, graph, signs)) return type = form.in, true;
    return false;
}

std::unique_ptr<Step> make_conv(const StepContext& context) {
    const Stage& stage = context.stage;
    const Type in = context.layouts[stage.inputs[0]].type;
    const std::vector<int64_t> signs = signs_of(stage, context.threshold);
    Finish finish;
    Scale scale;
    for (const ConvForm& form : context.kernels.convs)
        if (form.in == in && suits(form, stage, context.graph, signs) &&
            make_finish(context, form, signs, finish, scale))
            return std::make_unique<ConvStep>(context, form, std::move(finish), scale);
    const ConvForm plain = plain_form(context.kernels, stage, in);
    make_finish(context, plain, signs, finish, scale);
    return std::make_unique<ConvStep>(context, plain, std::move(finish), scale);
}

}  // namespace bitswath::emulator
