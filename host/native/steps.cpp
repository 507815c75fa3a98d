// Every step but convolution.
#include <algorithm>
#include <cstring>

#include "plan.hpp"

namespace bitswath::emulator {
namespace {

int64_t bytes_of(Type type) { return static_cast<int64_t>(kTypeBytes[type]); }

// Rows of accumulators first, then `Finish`.
class RowStep : public Step {
public:
    RowStep(const StepContext& context, const char* kind)
        : out_(context.layouts[context.output]), wide_(false), scratch_(context.scratch), kind_(kind) {
        for (int index : context.stage.inputs) {
            in_.push_back(context.layouts[index]);
            wide_ = wide_ || in_.back().type == s64;
        }
        wide_ = wide_ || needs_s64(context.stage.bound);
        const bool lone = context.stage.op == Op::threshold;
        const Stage* threshold = lone ? &context.stage : context.threshold;
        const auto& tensors = context.graph.tensors();
        const Tensor& sums = tensors[lone ? context.stage.inputs[0] : context.graph.tensor(context.stage.name)];
        finish_ = threshold ? Finish::threshold(context.kernels, *threshold, sums, wide_, out_.type)
                            : Finish::store(context.kernels, wide_, out_.type);
    }

    void run(uint8_t* arena) const override {
        for (int64_t y = 0; y < out_.shape.h; ++y) {
            fill(arena, y, arena + scratch_);
            finish_.run(arena + scratch_, out_.at(arena, y), out_.shape.w, out_.shape.c);
        }
    }

    std::string kernel() const override { return std::string(kind_) + "+" + finish_.name(); }

protected:
    virtual void fill(uint8_t* arena, int64_t y, uint8_t* acc) const = 0;
    Type acc_type() const { return wide_ ? s64 : s32; }

    std::vector<Layout> in_;
    Layout out_;
    bool wide_;
    int64_t scratch_;

private:
    const char* kind_;
    Finish finish_;
};

class ThresholdStep : public RowStep {
public:
    explicit ThresholdStep(const StepContext& context)
        : RowStep(context, "threshold"), convert_(context.kernels.convert[in_[0].type][acc_type()]) {}

protected:
    void fill(uint8_t* arena, int64_t y, uint8_t* acc) const override {
        convert_(in_[0].at(arena, y), acc, in_[0].width());
    }

private:
    ConvertKernel convert_;
};

class AddStep : public RowStep {
public:
    explicit AddStep(const StepContext& context) : RowStep(context, "add"), multipliers_(context.stage.multipliers) {
        for (const Layout& in : in_) add_.push_back(context.kernels.add[in.type][wide_]);
    }

protected:
    void fill(uint8_t* arena, int64_t y, uint8_t* acc) const override {
        std::memset(acc, 0, out_.width() * bytes_of(acc_type()));
        for (size_t i = 0; i < in_.size(); ++i) add_[i](in_[i].at(arena, y), acc, multipliers_[i], out_.width());
    }

private:
    std::vector<int64_t> multipliers_;
    std::vector<AddKernel> add_;
};

class LookupStep : public RowStep {
public:
    explicit LookupStep(const StepContext& context)
        : RowStep(context, "lookup"), lookup_(context.kernels.lookup[in_[0].type][wide_]),
          entries_(context.stage.values.shape[1]), depth_(context.stage.values.shape[2]),
          table_(context.stage.values.size() * bytes_of(acc_type())) {
        context.kernels.convert[s64][acc_type()](context.stage.values.data, table_.data(), context.stage.values.size());
    }

protected:
    void fill(uint8_t* arena, int64_t y, uint8_t* acc) const override {
        lookup_(in_[0].at(arena, y), table_.data(), acc, out_.shape.w, in_[0].shape.c, entries_, depth_);
    }

private:
    LookupKernel lookup_;
    int64_t entries_, depth_;
    Buffer table_;
};

// The part of a window that lies within 0..size.
struct Span {
    int64_t first, last;

    Span(int64_t out, int64_t stride, int64_t pad, int64_t kernel, int64_t size)
        : first(std::max<int64_t>(out * stride - pad, 0)), last(std::min(out * stride - pad + kernel, size)) {}
};

// Sums down the columns of the window rows, then along them.
class SumPoolStep : public RowStep {
public:
    explicit SumPoolStep(const StepContext& context)
        : RowStep(context, "sum_pool"), kernel_(context.stage.kernel), strides_(context.stage.strides),
          pads_(context.stage.pads), down_(context.kernels.add[in_[0].type][wide_]),
          along_(context.kernels.add[acc_type()][wide_]) {}

protected:
    void fill(uint8_t* arena, int64_t y, uint8_t* acc) const override {
        const Layout& in = in_[0];
        const int64_t pixel = in.shape.c * bytes_of(acc_type());
        uint8_t* columns = acc + out_.shape.w * pixel;
        std::memset(acc, 0, (out_.shape.w + in.shape.w) * pixel);
        const Span rows(y, strides_[0], pads_[0], kernel_[0], in.shape.h);
        for (int64_t i = rows.first; i < rows.last; ++i) down_(in.at(arena, i), columns, 1, in.width());
        for (int64_t x = 0; x < out_.shape.w; ++x) {
            const Span window(x, strides_[1], pads_[1], kernel_[1], in.shape.w);
            for (int64_t i = window.first; i < window.last; ++i)
                along_(columns + i * pixel, acc + x * pixel, 1, in.shape.c);
        }
    }

private:
    std::array<int64_t, 2> kernel_, strides_;
    std::array<int64_t, 4> pads_;
    AddKernel down_, along_;
};

class MaxPoolStep : public Step {
public:
    explicit MaxPoolStep(const StepContext& context)
        : in_(context.layouts[context.stage.inputs[0]]), out_(context.layouts[context.output]),
          kernel_(context.stage.kernel), strides_(context.stage.strides), pads_(context.stage.pads),
          scratch_(context.scratch), max_(context.kernels.max[in_.type]),
          convert_(context.kernels.convert[in_.type][out_.type]) {}

    void run(uint8_t* arena) const override {
        const int64_t pixel = in_.shape.c * bytes_of(in_.type);
        uint8_t* columns = arena + scratch_;
        uint8_t* widest = columns + in_.shape.w * pixel;
        for (int64_t y = 0; y < out_.shape.h; ++y) {
            const Span rows(y, strides_[0], pads_[0], kernel_[0], in_.shape.h);
            std::memcpy(columns, in_.at(arena, rows.first), in_.shape.w * pixel);
            for (int64_t i = rows.first + 1; i < rows.last; ++i) max_(in_.at(arena, i), columns, in_.width());
            uint8_t* out = in_.type == out_.type ? out_.at(arena, y) : widest;
            for (int64_t x = 0; x < out_.shape.w; ++x) {
                const Span window(x, strides_[1], pads_[1], kernel_[1], in_.shape.w);
                std::memcpy(out + x * pixel, columns + window.first * pixel, pixel);
                for (int64_t i = window.first + 1; i < window.last; ++i)
                    max_(columns + i * pixel, out + x * pixel, in_.shape.c);
            }
            if (in_.type != out_.type) convert_(widest, out_.at(arena, y), out_.width());
        }
    }

    std::string kernel() const override { return "max_pool"; }

private:
    Layout in_, out_;
    std::array<int64_t, 2> kernel_, strides_;
    std::array<int64_t, 4> pads_;
    int64_t scratch_;
    MaxKernel max_;
    ConvertKernel convert_;
};

class ConcatStep : public Step {
public:
    explicit ConcatStep(const StepContext& context) : out_(context.layouts[context.output]) {
        for (int index : context.stage.inputs) {
            in_.push_back(context.layouts[index]);
            convert_.push_back(context.kernels.convert[in_.back().type][out_.type]);
        }
    }

    void run(uint8_t* arena) const override {
        int64_t first = 0;
        for (size_t i = 0; i < in_.size(); ++i) {
            for (int64_t y = 0; y < out_.shape.h; ++y)
                for (int64_t x = 0; x < out_.shape.w; ++x)
                    convert_[i](in_[i].at(arena, y, x), out_.at(arena, y, x) + first * bytes_of(out_.type),
                                in_[i].shape.c);
            first += in_[i].shape.c;
        }
    }

    std::string kernel() const override { return "concat"; }

private:
    std::vector<Layout> in_;
    Layout out_;
    std::vector<ConvertKernel> convert_;
};

class ArgMaxStep : public Step {
public:
    explicit ArgMaxStep(const StepContext& context)
        : in_(context.layouts[context.stage.inputs[0]]), out_(context.layouts[context.output]),
          scratch_(context.scratch), widen_(context.kernels.convert[in_.type][s64]),
          narrow_(context.kernels.convert[s64][out_.type]) {}

    void run(uint8_t* arena) const override {
        auto* values = reinterpret_cast<int64_t*>(arena + scratch_);
        widen_(in_.at(arena, 0), values, in_.shape.c);
        const int64_t index = std::max_element(values, values + in_.shape.c) - values;
        narrow_(&index, out_.at(arena, 0), 1);
    }

    std::string kernel() const override { return "arg_max"; }

private:
    Layout in_, out_;
    int64_t scratch_;
    ConvertKernel widen_, narrow_;
};

}  // namespace

// Two rows of accumulators (or of any narrower type) of the widest of a stage's tensors.
int64_t scratch_bytes(const Stage& stage, const Graph& graph) {
    const auto& tensors = graph.tensors();
    const Shape& out = tensors[graph.tensor(stage.name)].shape;
    int64_t width = out.w * out.c;
    for (int index : stage.inputs) width = std::max(width, tensors[index].shape.w * tensors[index].shape.c);
    return 2 * width * bytes_of(s64);
}

std::unique_ptr<Step> make_step(const StepContext& context) {
    switch (context.stage.op) {
        case Op::conv:
        case Op::dense: return make_conv(context);
        case Op::threshold: return std::make_unique<ThresholdStep>(context);
        case Op::max_pool: return std::make_unique<MaxPoolStep>(context);
        case Op::sum_pool: return std::make_unique<SumPoolStep>(context);
        case Op::add: return std::make_unique<AddStep>(context);
        case Op::concat: return std::make_unique<ConcatStep>(context);
        case Op::lookup: return std::make_unique<LookupStep>(context);
        case Op::arg_max: return std::make_unique<ArgMaxStep>(context);
        case Op::input: break;
    }
    throw NetworkFault("stage '" + context.stage.name + "': unknown operator");
}

}  // namespace bitswath::emulator
