// Convolution and dense steps: kernel choice, weight packing, and the loop over rows.
#include <algorithm>
#include <cstring>

#include "plan.hpp"

namespace bitswath::emulator {
namespace {

struct Bounds {
    int64_t lo = 0, hi = 0;
};

Bounds weight_bounds(const Stage& stage) {
    const auto [lo, hi] = std::minmax_element(stage.values.data, stage.values.data + stage.values.size());
    return {*lo, *hi};
}

bool is_depthwise(const Stage& stage) {
    return stage.groups > 1 && stage.groups == stage.values.shape[0] && stage.values.shape[3] == 1;
}

bool suits_u8(const Stage& stage, const Tensor& in, const Kernels& kernels) {
    const Bounds w = weight_bounds(stage);
    if (!kernels.u8_by_s8.kernel || in.min() < 0 || in.max() > 255 || w.lo < -128 || w.hi > 127) return false;
    return !kernels.u8_pairs_s16 || 2 * in.max() * std::max(-w.lo, w.hi) <= 32767;
}

bool suits_s16(const Stage& stage, const Tensor& in, const Kernels& kernels) {
    const Bounds w = weight_bounds(stage);
    return kernels.s16_by_s16.kernel && in.min() >= -32768 && in.max() <= 32767 && w.lo >= -32768 && w.hi <= 32767;
}

// How one convolution walks its input: `lanes` neighbouring elements at each offset, whose weights
// start at the same place in one output's weights.
struct Reduction {
    std::vector<int32_t> offsets;
    std::vector<int64_t> starts;
    std::vector<int> used;  // lanes that count, the rest get weight zero
};

Reduction reduction_of(const Stage& stage, const Layout& in, int lanes) {
    const int64_t kernel_h = stage.kernel[0], kernel_w = stage.kernel[1], per_group = stage.values.shape[3];
    const bool joined = stage.groups == 1 && stage.dilations[1] == 1;  // a kernel row is contiguous
    const int64_t runs = joined ? 1 : kernel_w, length = joined ? kernel_w * per_group : per_group;
    Reduction reduction;
    for (int64_t y = 0; y < kernel_h; ++y)
        for (int64_t x = 0; x < runs; ++x) {
            const int64_t origin = y * stage.dilations[0] * in.row + x * stage.dilations[1] * in.shape.c;
            for (int64_t i = 0; i < length; i += lanes) {
                reduction.offsets.push_back(static_cast<int32_t>(origin + i));
                reduction.starts.push_back((y * kernel_w + x) * per_group + i);
                reduction.used.push_back(static_cast<int>(std::min<int64_t>(lanes, length - i)));
            }
        }
    return reduction;
}

int64_t packed_count(const Reduction& reduction, int64_t groups, int64_t outputs, int block, int lanes) {
    return groups * ((outputs + block - 1) / block) * static_cast<int64_t>(reduction.offsets.size()) * block * lanes;
}

// Weights as [group][outputs / block][k][block][lanes] of T.
template <typename T>
void pack(const Stage& stage, const Reduction& reduction, int64_t groups, int block, int lanes, T* out) {
    const int64_t outputs = stage.values.shape[0] / groups;
    const int64_t per_output = stage.values.size() / stage.values.shape[0];
    for (int64_t g = 0; g < groups; ++g)
        for (int64_t first = 0; first < outputs; first += block)
            for (size_t k = 0; k < reduction.offsets.size(); ++k)
                for (int64_t o = first; o < first + block; ++o)
                    for (int lane = 0; lane < lanes; ++lane, ++out) {
                        if (o >= outputs || lane >= reduction.used[k]) continue;
                        *out = static_cast<T>(
                            stage.values.data[(g * outputs + o) * per_output + reduction.starts[k] + lane]);
                    }
}

class ConvStep : public Step {
public:
    ConvStep(const StepContext& context, Type acc, Finish finish)
        : in_(context.layouts[context.stage.inputs[0]]),
          out_(context.layouts[context.output]), finish_(std::move(finish)), acc_(acc), scratch_(context.scratch),
          stride_h_(context.stage.strides[0]), top_(context.stage.pads[0]), left_(context.stage.pads[1]),
          outputs_(context.stage.values.shape[0]), weights_(0) {}

    void run(uint8_t* arena) const override {
        const int64_t acc_bytes = static_cast<int64_t>(kTypeBytes[acc_]);
        const int64_t in_bytes = static_cast<int64_t>(kTypeBytes[in_.type]);
        const int64_t per_group = in_.shape.c / groups_;
        ConvRow row = row_;
        row.offsets = reduction_.offsets.data();
        for (int64_t y = 0; y < out_.shape.h; ++y) {
            const uint8_t* in = in_.at(arena, y * stride_h_ - top_, -left_);
            for (int64_t g = 0; g < groups_; ++g) {
                row.in = in + g * per_group * in_bytes;
                row.weights = weights_.data() + g * group_bytes_;
                row.acc = arena + scratch_ + g * row.outputs * acc_bytes;
                kernel_(row);
            }
            finish_.run(arena + scratch_, out_.at(arena, y), row.pixels, outputs_);
        }
    }

    std::string kernel() const override { return std::string(kernel_name_) + "+" + finish_.name(); }

    void use(const Stage& stage, ConvKernel kernel, const char* name, int block, int lanes, int weight_bytes) {
        const bool depthwise = is_depthwise(stage) && lanes == 1;
        kernel_ = kernel;
        kernel_name_ = name;
        groups_ = depthwise ? 1 : stage.groups;
        row_.outputs = outputs_ / groups_;
        row_.pixels = out_.shape.w;
        row_.step = stage.strides[1] * in_.shape.c;
        row_.stride = outputs_;
        if (block == 0) block = static_cast<int>(row_.outputs);
        reduction_ = reduction_of(stage, in_, lanes);
        row_.depth = static_cast<int64_t>(reduction_.offsets.size());
        const int64_t count = packed_count(reduction_, groups_, row_.outputs, block, lanes);
        group_bytes_ = count / groups_ * weight_bytes;
        weights_ = Buffer(count * weight_bytes);
        uint8_t* out = weights_.data();
        switch (weight_bytes) {
            case 1: return pack(stage, reduction_, groups_, block, lanes, reinterpret_cast<int8_t*>(out));
            case 2: return pack(stage, reduction_, groups_, block, lanes, reinterpret_cast<int16_t*>(out));
            case 4: return pack(stage, reduction_, groups_, block, lanes, reinterpret_cast<int32_t*>(out));
            default: return pack(stage, reduction_, groups_, block, lanes, reinterpret_cast<int64_t*>(out));
        }
    }

private:
    Layout in_, out_;
    Finish finish_;
    Type acc_;
    int64_t scratch_, stride_h_, top_, left_, outputs_;
    int64_t groups_ = 1, group_bytes_ = 0;
    ConvKernel kernel_ = nullptr;
    const char* kernel_name_ = "";
    ConvRow row_{};
    Reduction reduction_;
    Buffer weights_;
};

}  // namespace

bool packed_input(const Stage& stage, const Tensor& in, const Kernels& kernels, Type& type) {
    if (needs_s64(stage.bound) || is_depthwise(stage)) return false;
    if (suits_u8(stage, in, kernels)) return type = u8, true;
    if (suits_s16(stage, in, kernels)) return type = s16, true;
    return false;
}

std::unique_ptr<Step> make_conv(const StepContext& context) {
    const Stage& stage = context.stage;
    const Kernels& kernels = context.kernels;
    const Tensor& in = context.graph.tensors()[stage.inputs[0]];
    const Layout& from = context.layouts[stage.inputs[0]];
    const Type to = context.layouts[context.output].type;
    // An input kept in s64 needs s64 products even where every weight is zero.
    const bool wide = needs_s64(stage.bound) || from.type == s64;
    const Tensor& sums = context.graph.tensors()[context.graph.tensor(stage.name)];
    Finish finish = context.threshold ? Finish::threshold(kernels, *context.threshold, sums, wide, to)
                                      : Finish::store(kernels, wide, to);
    auto step = std::make_unique<ConvStep>(context, wide ? s64 : s32, std::move(finish));
    const bool narrow = !wide && !is_depthwise(stage);
    if (narrow && from.type == u8 && suits_u8(stage, in, kernels)) {
        const PackedConv& packed = kernels.u8_by_s8;
        step->use(stage, packed.kernel, packed.name, packed.block, packed.lanes, 1);
    } else if (narrow && from.type == s16 && suits_s16(stage, in, kernels)) {
        const PackedConv& packed = kernels.s16_by_s16;
        step->use(stage, packed.kernel, packed.name, packed.block, packed.lanes, 2);
    } else {
        const bool depthwise = is_depthwise(stage);
        const auto kernel = (depthwise ? kernels.depthwise : kernels.conv)[from.type][wide];
        step->use(stage, kernel, depthwise ? "depthwise" : "loop", 0, 1, wide ? 8 : 4);
    }
    return step;
}

}  // namespace bitswath::emulator
