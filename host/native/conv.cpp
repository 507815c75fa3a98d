// Convolution and dense steps: choice of kernel and packing of weights.
#include <algorithm>
#include <cstring>

#include "windows.hpp"

namespace bitswath::emulator {
namespace {

constexpr int64_t kMostInterleavedChannels = 16, kMostInterleavedRows = 16;

bool is_depthwise(const Stage& stage) {
    return stage.groups > 1 && stage.groups == stage.values.shape[0] && stage.values.shape[3] == 1;
}

// The largest factor for one output's weights, 0 if not even 1 is exact.
int64_t most_factor(const ConvForm& form, const Weights& w, int64_t sign, const Tensor& in) {
    const int64_t lo = sign > 0 ? w.lo : -w.hi, hi = sign > 0 ? w.hi : -w.lo;
    const int64_t highest = std::min(kHighest[form.weights], kLargest);
    int64_t most = std::min(highest / std::max<int64_t>(hi, 1), (highest + 1) / std::max<int64_t>(-lo, 1));
    const int64_t largest = std::max(hi, -lo) * in.magnitude();
    return form.pairs && largest ? std::min(most, INT16_MAX / (form.together * largest)) : most;
}

bool suits(const ConvForm& form, const Stage& stage, const Graph& graph, const std::vector<int64_t>& signs) {
    const Tensor& in = graph.tensors()[stage.inputs[0]];
    const Tensor& out = graph.tensors()[graph.tensor(stage.name)];
    if (form.depthwise != is_depthwise(stage) || out.shape.h * out.shape.w < form.least_windows) return false;
    if (in.min() < kLowest[form.in] || in.max() > std::min(kHighest[form.in], form.highest) || needs_s64(stage.bound)) return false;
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

class ConvStep : public WindowStep {
public:
    ConvStep(const StepContext& context, const ConvForm& form, Finish finish, const Scale& scale)
        : WindowStep(context, {form.acc, form.block, form.tile, form.depthwise ? 1 : context.stage.groups},
                     std::move(finish)),
          conv_(form), interleave_(pays_to_interleave(context.stage, form, in_) ? context.kernels.interleave : nullptr),
          interleaving_(interleave_ ? window_[0] : 1, interleave_ ? in_.shape.c : 1) {
        if (interleave_)
            set_source(strides_[1] * cell(), columns() * cell());
        else
            set_source(strides_[1] * in_.shape.c, strides_[0] * in_.row);
        rows_.outputs = group_outputs();
        rows_.stride = stride();
        rows_.step = tiling_.step;
        pack(context.stage, scale);
    }

protected:
    std::string sums_name() const override { return std::string(conv_.name) + (interleave_ ? "+interleave" : ""); }

    void sum(const Frame& frame, int64_t y, int64_t count) const override {
        ConvRows rows = rows_;
        const uint8_t* in = first_row(frame, y);
        if (interleave_) in = interleave(frame, in, count);
        rows.starts = starts_.data();
        rows.tiles = tiling_.tiles(count);
        rows.offsets = reduction_.offsets.data();
        rows.depth = static_cast<int64_t>(reduction_.offsets.size());
        for (int64_t g = 0; g < form_.groups; ++g) {  // outputs that fill up a group's blocks are the next one's
            rows.in = in + g * (in_.shape.c / form_.groups) * static_cast<int64_t>(kTypeBytes[in_.type]);
            rows.weights = weights_.data() + g * group_bytes_;
            rows.bias = bias_.data() + g * rows_.outputs * acc_bytes();
            rows.acc = frame.scratch + g * per_group() * acc_bytes();
            conv_.kernel(rows);
        }
    }

    int64_t extra_bytes() const override {
        if (!interleave_) return 0;
        return rounded_up((band_ * columns() + kMostTile * tiling_.step) * cell() + static_cast<int64_t>(kOverread), 64);
    }

private:
    int64_t cell() const { return window_[0] * in_.shape.c; }

    const uint8_t* interleave(const Frame& frame, const uint8_t* in, int64_t count) const {
        uint8_t* const out = extra(frame);
        std::array<const uint8_t*, kMostInterleavedRows> sources;
        for (int64_t r = 0; r < count; ++r) {
            for (int64_t i = 0; i < window_[0]; ++i) sources[i] = in + (r * strides_[0] + i * dilations_[0]) * in_.row;
            interleave_(interleaving_, sources.data(), columns(), out + r * columns() * cell());
        }
        return out;
    }

    void pack(const Stage& stage, const Scale& scale) {
        reduction_ = interleave_ ? interleaved(stage, conv_.chunk) : direct(stage, in_, conv_.chunk);
        switch (conv_.weights) {
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
        const auto depth = static_cast<int64_t>(reduction_.offsets.size());
        const int64_t count = stage.values.size() / channels_;
        group_bytes_ = rows_.outputs * depth * conv_.chunk * static_cast<int64_t>(sizeof(T));
        weights_ = Buffer(form_.groups * group_bytes_);
        auto* out = reinterpret_cast<T*>(weights_.data());
        for (int64_t g = 0; g < form_.groups; ++g)
            for (int64_t first = 0; first < rows_.outputs; first += conv_.block)
                for (const auto& run : reduction_.weights)
                    for (int64_t lane = 0; lane < conv_.chunk; lane += conv_.lanes)
                        for (int64_t o = first; o < first + conv_.block; ++o)
                            for (int64_t i = lane; i < lane + conv_.lanes; ++i, ++out) {
                                if (o >= per_group() || i >= static_cast<int64_t>(run.size())) continue;
                                const int64_t output = g * per_group() + o;
                                *out = static_cast<T>(stage.values.data[output * count + run[i]] * scale.factor[output]);
                            }
    }

    template <typename T>
    void pack_bias(const Scale& scale) {
        bias_ = Buffer(form_.groups * rows_.outputs * static_cast<int64_t>(sizeof(T)));
        auto* out = reinterpret_cast<T*>(bias_.data());
        for (int64_t o = 0; o < channels_; ++o)
            out[o / per_group() * rows_.outputs + o % per_group()] = static_cast<T>(scale.bias[o]);
    }

    ConvForm conv_;
    InterleaveKernel interleave_;
    Interleaving interleaving_;
    int64_t group_bytes_ = 0;
    ConvRows rows_{};
    Reduction reduction_;
    Buffer weights_{0}, bias_{0};
};

std::vector<int64_t> most_factors(const ConvForm& form, const Stage& stage, const std::vector<int64_t>& signs,
                                  const Tensor& in) {
    std::vector<int64_t> most;
    for (int64_t o = 0; o < stage.values.shape[0]; ++o)
        most.push_back(most_factor(form, weights_of(stage, o), signs[o], in));
    return most;
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
    const Tensor& tensor = context.tensor(stage.inputs[0]);
    const Type in = context.layouts[stage.inputs[0]].type;
    const std::vector<int64_t> signs = signs_of(stage, context.threshold);
    Finish finish;
    Scale scale;
    for (const ConvForm& form : context.kernels.convs)
        if (form.in == in && suits(form, stage, context.graph, signs) &&
            make_finish(context, form.acc, most_factors(form, stage, signs, tensor), signs, finish, scale))
            return std::make_unique<ConvStep>(context, form, std::move(finish), scale);
    const ConvForm plain = plain_form(context.kernels, stage, in);
    make_finish(context, plain.acc, most_factors(plain, stage, signs, tensor), signs, finish, scale);
    return std::make_unique<ConvStep>(context, plain, std::move(finish), scale);
}

}  // namespace bitswath::emulator
