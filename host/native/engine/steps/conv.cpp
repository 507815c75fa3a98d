// Convolution and dense steps: choice of kernel, layout of windows and weights.
#include <algorithm>
#include <cstring>

#include "engine/steps/bits.hpp"
#include "engine/steps/reduction.hpp"
#include "engine/steps/windows.hpp"
#include "engine/steps/winograd.hpp"

namespace bitswath::emulator {
namespace {

constexpr int64_t kMostScale = 1 << 12;  // by which kernels multiply sums
constexpr int64_t kMostInterleavedChannels = 16, kMostInterleavedRows = 16;

bool is_depthwise(const Stage& stage) {
    return stage.groups > 1 && stage.groups == stage.values.shape[0] && stage.values.shape[3] == 1;
}

int64_t largest_product(const Weights& w, const Tensor& in) { return std::max(w.hi, -w.lo) * in.magnitude(); }

// The largest factor for one output's weights, 0 if not even 1 is exact.
int64_t most_factor(const ConvForm& form, const Weights& w, int64_t sign, const Tensor& in) {
    const int64_t lo = sign > 0 ? w.lo : -w.hi, hi = sign > 0 ? w.hi : -w.lo;
    const int64_t highest = std::min(kHighest[form.weights], kLargest);
    int64_t most = std::min(highest / std::max<int64_t>(hi, 1), (highest + 1) / std::max<int64_t>(-lo, 1));
    const int64_t largest = largest_product(w, in);
    if (form.pairs && largest) most = std::min(most, INT16_MAX / (form.together * largest));
    return form.scales && most > 0 ? kMostScale : most;
}

bool suits(const ConvForm& form, const Stage& stage, const Graph& graph, const std::vector<int64_t>& signs) {
    const Tensor& in = graph.tensors()[stage.inputs[0]];
    const Tensor& out = graph.tensors()[graph.tensor(stage.name)];
    if (form.depthwise != is_depthwise(stage) || out.shape.h * out.shape.w < form.least_windows) return false;
    if (out.shape.w > form.widest || stage.values.size() / stage.values.shape[0] > form.longest) return false;
    if (form.whole && stage.values.shape[0] / stage.groups % form.block) return false;
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
    const ConvForm form = ConvForm(depthwise ? "depthwise" : "loop", kernel, in, acc, acc).outputs(block);
    return depthwise ? ConvForm(form).channelwise() : form;
}

bool pays_to_interleave(const Stage& stage, const ConvForm& form, const Layout& in) {
    if (form.depthwise || stage.groups > 1 || stage.dilations[1] > 1) return false;
    if (stage.kernel[0] == 1 || stage.kernel[0] > kMostInterleavedRows) return false;
    if (kTypeBytes[form.in] > 1 || in.shape.c > kMostInterleavedChannels) return false;
    const int64_t chunks = Reduction(interleaved_runs(stage), form.chunk).depth();
    return 2 * Reduction(direct_runs(stage, in), form.chunk).depth() >= 3 * chunks;
}

// How many windows fit a kernel's chunks and its blocks of outputs side by side: loaded once for all of them, and
// without tiles that would run over the end of a row.
int64_t windows_together(const std::vector<Run>& runs, const ConvForm& form, const Stage& stage, int64_t step,
                         int64_t windows) {
    if (form.chunk == form.lanes || stage.groups > 1 || stage.values.shape[0] != form.block) return 1;
    for (const int64_t together : {4, 2})
        if (windows % (together * form.tile) == 0 &&
            Reduction(runs, form.chunk, step, together).depth() == Reduction(runs, form.chunk).depth())
            return together;
    return 1;
}

class ConvStep : public WindowStep {
public:
    ConvStep(const StepContext& context, const ConvForm& form, Finish finish, const Factors& factors)
        : WindowStep(context, {form.acc, form.block, form.tile, form.depthwise ? 1 : context.stage.groups, form.depthwise},
                     std::move(finish)),
          conv_(form), interleave_(pays_to_interleave(context.stage, form, in_) ? context.kernels.interleave : nullptr),
          interleaving_(interleave_ ? window_[0] : 1, interleave_ ? in_.shape.c : 1) {
        const std::vector<Run> runs = interleave_ ? interleaved_runs(context.stage) : direct_runs(context.stage, in_);
        pitch_ = columns() * cell();
        if (windows_ % conv_.tile == 0) pitch_ = rounded_up(pitch_, 64);  // no tile runs on from row to row
        const int64_t step = strides_[1] * (interleave_ ? cell() : in_.shape.c);
        const int64_t together = windows_together(runs, form, context.stage, step, windows_);
        reduction_ = Reduction(runs, form.chunk, step, together);
        set_source(step, interleave_ ? pitch_ : strides_[0] * in_.row, together);
        rows_.outputs = together * group_outputs();
        rows_.stride = together * stride();
        rows_.step = tiling_.step;
        if (form.scales) {
            pack_scales(context, factors);
            pack(context.stage, signs_of(context.stage, context.threshold));
        } else {
            pack(context.stage, factors);
        }
    }

protected:
    std::string sums_name() const override { return std::string(conv_.name) + (interleave_ ? "+interleave" : ""); }

    void sum(const Frame& frame, int64_t y, int64_t count) const override {
        ConvRows rows = rows_;
        const uint8_t* in = first_row(frame, y);
        if (interleave_) in = interleave(frame, in, count);
        rows.starts = starts_.data();
        rows.tiles = tiling_.tiles(count);
        rows.offsets = reduction_.offsets().data();
        rows.depth = reduction_.depth();
        for (int64_t g = 0; g < form_.groups; ++g) {  // outputs that fill up a group's blocks are the next one's
            rows.in = in + g * (in_.shape.c / form_.groups) * static_cast<int64_t>(kTypeBytes[in_.type]);
            rows.weights = weights_.data() + g * group_bytes_;
            rows.scale = scales_.data() + g * rows_.outputs * acc_bytes();
            rows.acc = frame.scratch + g * per_group() * acc_bytes();
            conv_.kernel(rows);
        }
    }

    int64_t extra_bytes() const override {
        if (!interleave_) return 0;
        return rounded_up(band_ * pitch_ + kMostTile * tiling_.step + static_cast<int64_t>(kOverread), 64);
    }

private:
    int64_t cell() const { return window_[0] * in_.shape.c; }
    const uint8_t* interleave(const Frame& frame, const uint8_t* in, int64_t count) const {
        uint8_t* const out = extra(frame);
        std::array<const uint8_t*, kMostInterleavedRows> sources;
        for (int64_t r = 0; r < count; ++r) {
            for (int64_t i = 0; i < window_[0]; ++i) sources[i] = in + (r * strides_[0] + i * dilations_[0]) * in_.row;
            interleave_(interleaving_, sources.data(), columns(), out + r * pitch_);
        }
        return out;
    }

    void pack(const Stage& stage, const Factors& factors) {
        switch (conv_.weights) {
            case s8: pack_as<int8_t>(stage, factors); break;
            case s16: pack_as<int16_t>(stage, factors); break;
            case s32: pack_as<int32_t>(stage, factors); break;
            default: pack_as<int64_t>(stage, factors);
        }
    }

    template <typename T>
    void pack_as(const Stage& stage, const Factors& factors) {
        const int64_t count = stage.values.size() / channels_;
        group_bytes_ = rows_.outputs * reduction_.depth() * conv_.chunk * static_cast<int64_t>(sizeof(T));
        weights_ = Buffer(form_.groups * group_bytes_);
        auto* out = reinterpret_cast<T*>(weights_.data());
        const auto weight = [&](int64_t group, int64_t o, int64_t k, int64_t i) {
            const int64_t copy = o / group_outputs(), in_group = o % group_outputs();
            const int64_t index = reduction_.weight(k, i, copy), output = group * per_group() + in_group;
            if (index < 0 || in_group >= per_group()) return T{0};
            return static_cast<T>(stage.values.data[output * count + index] * factors[output]);
        };
        for (int64_t g = 0; g < form_.groups; ++g)
            for (int64_t first = 0; first < rows_.outputs; first += conv_.block)
                for (int64_t k = 0; k < reduction_.depth(); ++k)
                    for (int64_t lane = 0; lane < conv_.chunk; lane += conv_.lanes)
                        for (int64_t o = first; o < first + conv_.block; ++o)
                            for (int64_t i = lane; i < lane + conv_.lanes; ++i) *out++ = weight(g, o, k, i);
        if (conv_.crossed) cross(weights_.data(), form_.groups * group_bytes_);
    }

    // Blocks of 16 outputs with four inputs each, bytes, see `ConvForm::crossed`.
    static void cross(uint8_t* weights, int64_t bytes) {
        constexpr int kOutputs = 16, kPairs = 2, kBlock = kOutputs * kPairs * 2;
        std::array<uint8_t, kBlock> block;
        for (; bytes > 0; bytes -= kBlock, weights += kBlock) {
            std::copy(weights, weights + kBlock, block.begin());
            for (int o = 0; o < kOutputs; ++o)
                for (int pair = 0; pair < kPairs; ++pair) {
                    const int lane = (o + pair) % 2 * kOutputs + o / 2 * 2 + pair;
                    std::copy_n(&block[2 * (kPairs * o + pair)], 2, weights + 2 * lane);
                }
        }
    }

    // The factors apart from the weights, and how many pairs of products fit 16 bits without them.
    void pack_scales(const StepContext& context, const Factors& factors) {
        scales_ = Buffer(form_.groups * rows_.outputs * acc_bytes());
        int64_t largest = 1;
        for (int64_t o = 0; o < channels_; ++o) {
            const Weights w = weights_of(context.stage, o);
            largest = std::max(largest, largest_product(w, context.tensor(context.stage.inputs[0])));
        }
        rows_.run = INT16_MAX / (2 * largest);
        for (int64_t g = 0; g < form_.groups; ++g)
            for (int64_t o = 0; o < rows_.outputs; ++o) {
                if (o % group_outputs() >= per_group()) continue;
                const int64_t factor = std::abs(factors[g * per_group() + o % group_outputs()]);
                context.kernels.convert[s64][form_.acc](&factor, scales_.data() + (g * rows_.outputs + o) * acc_bytes(), 1);
            }
    }

    ConvForm conv_;
    InterleaveKernel interleave_;
    Interleaving interleaving_;
    int64_t pitch_ = 0, group_bytes_ = 0;  // of interleaved rows; of a group's weights
    ConvRows rows_{};
    Reduction reduction_;
    Buffer weights_{0}, scales_{0};
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
    if (winograd_cost(stage, graph, kernels, true) < static_cast<double>(stage.values.size())) return false;
    const std::vector<int64_t> signs(stage.values.shape[0], 1);
    for (const ConvForm& form : kernels.convs)
        if (suits(form, stage, graph, signs)) return type = form.in, true;
    return false;
}

std::unique_ptr<Step> make_conv(const StepContext& context) {
    if (auto step = make_bits(context)) return step;
    if (auto step = make_winograd(context)) return step;
    const Stage& stage = context.stage;
    const Tensor& tensor = context.tensor(stage.inputs[0]);
    const Type in = context.layouts[stage.inputs[0]].type;
    const std::vector<int64_t> signs = signs_of(stage, context.threshold);
    Finish finish;
    Factors factors;
    for (const ConvForm& form : context.kernels.convs)
        if (form.in == in && suits(form, stage, context.graph, signs) &&
            make_finish(context, form.acc, most_factors(form, stage, signs, tensor), signs, finish, factors))
            return std::make_unique<ConvStep>(context, form, std::move(finish), factors);
    const ConvForm plain = plain_form(context.kernels, stage, in);
    make_finish(context, plain.acc, most_factors(plain, stage, signs, tensor), signs, finish, factors);
    return std::make_unique<ConvStep>(context, plain, std::move(finish), factors);
}

}  // namespace bitswath::emulator
