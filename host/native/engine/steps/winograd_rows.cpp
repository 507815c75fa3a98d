#include "engine/steps/winograd_rows.hpp"

#include <algorithm>
#include <limits>

#include "engine/steps/windows.hpp"
#include "engine/steps/winograd.hpp"

namespace bitswath::emulator {
namespace {

constexpr int64_t kMostScale = 1 << 12;  // by which sums are multiplied
constexpr int64_t kPointBytes = 16;      // a point's channels are filled up to
constexpr int kSum = 1;                  // the point that adds two inputs
constexpr int kRows = 3;

// A stage as the form sees it, all of its weights transformed.
struct Transformed {
    int64_t outputs, inputs, lo, hi;  // of codes, and of their border of zeros
    std::vector<int64_t> values;      // [output][row][input][point]
    int64_t largest = 0;              // magnitude of the weights

    Transformed(const Stage& stage, const Tensor& in)
        : outputs(stage.values.shape[0]), inputs(stage.values.shape[3]), lo(std::min<int64_t>(in.min(), 0)),
          hi(std::max<int64_t>(in.max(), 0)) {
        for (int64_t row = 0; row < outputs * kRows; ++row) {
            const int64_t* g = stage.values.data + row * kRows * inputs;
            for (int64_t c = 0; c < inputs; ++c)
                for (const int64_t value : lengthened(g[c], g[c + inputs], g[c + 2 * inputs])) {
                    values.push_back(value);
                    largest = std::max(largest, std::abs(value));
                }
        }
    }

    // Added to V at a point, so that it is not negative.
    int64_t offset(int point) const { return point == kSum ? -2 * lo : hi - lo; }
    int64_t largest_input() const { return 2 * (hi - lo); }
    int64_t weight(int64_t output, int64_t row, int64_t input, int point) const {
        return values[((output * kRows + row) * inputs + input) * kRowPoints + point];
    }
    bool fits() const {
        return largest_input() <= UINT8_MAX && largest <= INT8_MAX &&
               largest_input() * largest * kRows * inputs <= INT32_MAX / kRowPoints;
    }
};

// Products of the direct way in whose time one window is done; a row's last tiles may be of windows that nobody reads.
double cost(const WinogradRowsForm& form, const Stage& stage, const Shape& out) {
    const auto outputs = static_cast<double>(rounded_up(stage.values.shape[0], form.conv.block));
    const auto inputs = static_cast<double>(rounded_up(stage.values.shape[3], form.conv.chunk));
    const double window = kRows * kRowPoints / 2 * inputs * outputs + form.input_cost * inputs + form.output_cost * outputs;
    return window * static_cast<double>(rounded_up(out.w, form.conv.tile)) / static_cast<double>(out.w);
}

class WinogradRowsStep : public WindowStep {
public:
    WinogradRowsStep(const StepContext& context, const WinogradRowsForm& form, const Transformed& weights, Finish finish,
                     const Factors& factors)
        : WindowStep(context, {form.conv.acc, form.conv.block, form.conv.tile, 1}, std::move(finish)), form_of_rows_(form),
          pitch_((windows_ + 1) / 2 * kRowPoints * rounded_up(weights.inputs, kPointBytes)) {
        input_.tiles = (windows_ + 1) / 2;
        input_.channels = weights.inputs;
        input_.point = rows_.point = rounded_up(weights.inputs, kPointBytes);
        input_.sum = static_cast<uint8_t>(weights.offset(kSum));
        input_.difference = static_cast<uint8_t>(weights.offset(0));
        set_source(kRowPoints / 2 * input_.point, pitch_);
        for (int row = 0; row < kRows; ++row)
            for (int64_t first = 0; first < weights.inputs; first += form.conv.chunk)
                offsets_.push_back(static_cast<int32_t>(row * pitch_ + first));
        rows_.depth = static_cast<int64_t>(offsets_.size());
        rows_.outputs = group_outputs();
        rows_.stride = stride();
        pack(weights);
        scales_ = Buffer(rows_.outputs * acc_bytes());
        context.kernels.convert[s64][form.conv.acc](factors.data(), scales_.data(), channels_);
    }

protected:
    std::string sums_name() const override { return std::string("winograd-rows-") + form_of_rows_.conv.name; }

    void sum(const Frame& frame, int64_t y, int64_t count) const override {
        WinogradRow input = input_;
        for (int64_t i = 0; i < count + kRows - 1; ++i) {
            input.row = first_row(frame, y + i);
            input.out = extra(frame) + i * pitch_;
            form_of_rows_.input(input);
        }
        ConvRows rows = rows_;
        rows.in = extra(frame);
        rows.starts = starts_.data();
        rows.tiles = tiling_.tiles(count);
        rows.offsets = offsets_.data();
        rows.weights = weights_.data();
        rows.start = starts_of_sums_.data();
        rows.scale = scales_.data();
        rows.acc = frame.scratch;
        form_of_rows_.conv.kernel(rows);
    }

    int64_t extra_bytes() const override {
        const int64_t beyond = kMostTile * tiling_.step + static_cast<int64_t>(kOverread);
        return rounded_up((band_ + kRows - 1) * pitch_ + beyond, 64);
    }

private:
    void pack(const Transformed& weights) {
        const ConvForm& conv = form_of_rows_.conv;
        weights_ = Buffer(rows_.outputs * rows_.depth * kRowPoints * conv.chunk);
        starts_of_sums_.resize(rows_.outputs * kRowPoints);
        auto* out = reinterpret_cast<int8_t*>(weights_.data());
        for (int64_t first = 0; first < rows_.outputs; first += conv.block)
            for (int row = 0; row < kRows; ++row)
                for (int64_t c = 0; c < weights.inputs; c += conv.chunk)
                    for (int point = 0; point < kRowPoints; ++point)
                        for (int64_t o = first; o < first + conv.block; ++o)
                            for (int64_t i = c; i < c + conv.chunk; ++i, ++out) {
                                if (o >= weights.outputs || i >= weights.inputs) continue;
                                const int64_t weight = weights.weight(o, row, i, point);
                                *out = static_cast<int8_t>(weight);
                                starts_of_sums_[first * kRowPoints + point * conv.block + o - first] -=
                                    static_cast<int32_t>(weight * weights.offset(point));
                            }
    }

    WinogradRowsForm form_of_rows_;
    int64_t pitch_;  // bytes of a row of V
    WinogradRow input_{};
    ConvRows rows_{};
    std::vector<int32_t> offsets_, starts_of_sums_;
    Buffer weights_{0}, scales_{0};
};

}  // namespace

double winograd_rows_cost(const Stage& stage, const Graph& graph, const Kernels& kernels) {
    const Tensor& in = graph.tensors()[stage.inputs[0]];
    if (kernels.winograd_rows.empty() || !suits_winograd(stage, in) || !Transformed(stage, in).fits())
        return std::numeric_limits<double>::infinity();
    return cost(kernels.winograd_rows.front(), stage, graph.tensors()[graph.tensor(stage.name)].shape);
}

std::unique_ptr<Step> make_winograd_rows(const StepContext& context) {
    const Stage& stage = context.stage;
    if (kTypeBytes[context.layouts[stage.inputs[0]].type] > 1) return nullptr;
    if (winograd_rows_cost(stage, context.graph, context.kernels) >= static_cast<double>(stage.values.size())) return nullptr;
    const WinogradRowsForm& form = context.kernels.winograd_rows.front();
    const std::vector<int64_t> signs = signs_of(stage, context.threshold), most(signs.size(), kMostScale);
    Finish finish;
    Factors factors;
    if (!make_finish(context, form.conv.acc, most, signs, finish, factors)) return nullptr;
    const Transformed weights(stage, context.tensor(stage.inputs[0]));
    return std::make_unique<WinogradRowsStep>(context, form, weights, std::move(finish), factors);
}

}  // namespace bitswath::emulator
