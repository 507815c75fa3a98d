// Every step but convolution.
#include <algorithm>
#include <cstring>

#include "common/buffer.hpp"
#include "engine/steps/requantize.hpp"
#include "engine/steps/step.hpp"

namespace bitswath::emulator {
namespace {

int64_t bytes_of(Type type) { return static_cast<int64_t>(kTypeBytes[type]); }

constexpr int64_t kMostMultiplier = 1 << 12;

// Rows of accumulators first, which `fill` makes of what the stage computes times the finish's factor, then `Finish`.
class RowStep : public Step {
public:
    // `narrowest`: the least type of accumulators that the stage can work in.
    RowStep(const StepContext& context, const char* kind, Type narrowest)
        : out_(context.layouts[context.output]), kind_(kind) {
        Type widest = needs_s64(context.stage.bound) ? s64 : s32;
        for (int index : context.stage.inputs) {
            in_.push_back(context.layouts[index]);
            if (in_.back().type > s16) narrowest = std::max(narrowest, s32);
            widest = std::max(widest, in_.back().type);
        }
        if (context.stage.bound > INT16_MAX) narrowest = std::max(narrowest, s32);
        acc_ = widest == s64 ? s64 : narrowest;
        if (!make_finish(context)) {
            acc_ = s32;
            make_finish(context);
        }
        finish_.set_stride(out_.shape.c, out_.shape.c);
    }

    int64_t rows() const override { return out_.shape.h; }

    void run(const Frame& frame, int64_t first, int64_t last) const override {
        for (int64_t y = first; y < last; ++y) {
            fill(frame.arena, y, frame.scratch);
            finish_.run(frame.scratch, out_.at(frame.arena, y), out_.shape.w, out_.shape.c, out_.shape.c);
        }
    }

    std::string kernel() const override { return std::string(kind_) + "+" + finish_.name(); }
    int64_t scratch_bytes() const override { return row_bytes() + kLineGroup * bytes_of(acc_); }

protected:
    virtual void fill(uint8_t* arena, int64_t y, uint8_t* acc) const = 0;

    void clear(uint8_t* acc) const { std::memset(acc, 0, row_bytes()); }
    int64_t factor() const { return factors_.empty() ? 1 : factors_[0]; }
    int64_t pixel_bytes() const { return out_.shape.c * bytes_of(acc_); }
    int64_t row_bytes() const { return out_.shape.w * pixel_bytes(); }

    std::vector<Layout> in_;
    Layout out_;
    Type acc_;

private:
    // False if there is none for sums of 16 bits; there always is for wider ones.
    bool make_finish(const StepContext& context) {
        const bool lone = context.stage.op == Op::threshold;
        const Stage* threshold = lone ? &context.stage : context.threshold;
        const Tensor& sums = lone ? context.tensor(context.stage.inputs[0]) : context.sums();
        factors_.clear();
        finish_ = Finish::store(context.kernels, acc_, out_.type);
        if (!threshold) return true;
        const Headroom headroom{std::vector<int64_t>(sums.shape.c, kMostMultiplier), true, acc_, context.stage.bound};
        if (Finish::narrow(context.kernels, *threshold, sums, out_.type, headroom, finish_, factors_)) return true;
        if (acc_ == s16) return false;
        factors_.clear();
        finish_ = Finish::threshold(context.kernels, *threshold, sums, acc_, out_.type);
        return true;
    }

    const char* kind_;
    Finish finish_;
    Factors factors_;
};

class ThresholdStep : public RowStep {
public:
    explicit ThresholdStep(const StepContext& context)
        : RowStep(context, "threshold", s16), add_(context.kernels.add[in_[0].type][acc_index(acc_)]) {}

protected:
    void fill(uint8_t* arena, int64_t y, uint8_t* acc) const override {
        clear(acc);
        add_(in_[0].at(arena, y), acc, factor(), in_[0].width());
    }

private:
    AddKernel add_;
};

class AddStep : public RowStep {
public:
    explicit AddStep(const StepContext& context) : RowStep(context, "add", s16), multipliers_(context.stage.multipliers) {
        for (const Layout& in : in_) add_.push_back(context.kernels.add[in.type][acc_index(acc_)]);
        for (int64_t& multiplier : multipliers_)  // a large one, of an input that is always 0, may wrap
            multiplier = static_cast<int64_t>(static_cast<uint64_t>(multiplier) * static_cast<uint64_t>(factor()));
    }

protected:
    void fill(uint8_t* arena, int64_t y, uint8_t* acc) const override {
        clear(acc);
        for (size_t i = 0; i < in_.size(); ++i) add_[i](in_[i].at(arena, y), acc, multipliers_[i], out_.width());
    }

private:
    std::vector<int64_t> multipliers_;
    std::vector<AddKernel> add_;
};

class LookupStep : public RowStep {
public:
    explicit LookupStep(const StepContext& context)
        : RowStep(context, "lookup", s32), lookup_(context.kernels.lookup[in_[0].type][acc_ == s64]),
          entries_(context.stage.values.shape[1]), depth_(context.stage.values.shape[2]),
          table_(context.stage.values.size() * bytes_of(acc_)) {
        std::vector<int64_t> table(context.stage.values.data, context.stage.values.data + context.stage.values.size());
        for (int64_t& value : table) value *= factor();
        context.kernels.convert[s64][acc_](table.data(), table_.data(), context.stage.values.size());
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
        : RowStep(context, "sum_pool", s16), kernel_(context.stage.kernel), strides_(context.stage.strides),
          pads_(context.stage.pads), down_(context.kernels.add[in_[0].type][acc_index(acc_)]),
          along_(context.kernels.add[acc_][acc_index(acc_)]) {}

    int64_t scratch_bytes() const override {
        return RowStep::scratch_bytes() + in_[0].shape.w * pixel_bytes();
    }

protected:
    void fill(uint8_t* arena, int64_t y, uint8_t* acc) const override {
        const Layout& in = in_[0];
        const int64_t pixel = pixel_bytes();
        uint8_t* columns = acc + RowStep::scratch_bytes();
        clear(acc);
        std::memset(columns, 0, in.shape.w * pixel);
        const Span rows(y, strides_[0], pads_[0], kernel_[0], in.shape.h);
        for (int64_t i = rows.first; i < rows.last; ++i) down_(in.at(arena, i), columns, factor(), in.width());
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
          max_(context.kernels.max[in_.type]),
          convert_(context.kernels.convert[in_.type][out_.type]) {}

    int64_t rows() const override { return out_.shape.h; }
    int64_t scratch_bytes() const override { return (in_.width() + out_.width()) * bytes_of(in_.type); }

    void run(const Frame& frame, int64_t first, int64_t last) const override {
        uint8_t* const arena = frame.arena;
        const int64_t pixel = in_.shape.c * bytes_of(in_.type);
        uint8_t* columns = frame.scratch;
        uint8_t* widest = columns + in_.shape.w * pixel;
        for (int64_t y = first; y < last; ++y) {
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

    int64_t rows() const override { return out_.shape.h; }

    void run(const Frame& frame, int64_t first, int64_t last) const override {
        uint8_t* const arena = frame.arena;
        int64_t channel = 0;
        for (size_t i = 0; i < in_.size(); ++i) {
            for (int64_t y = first; y < last; ++y)
                for (int64_t x = 0; x < out_.shape.w; ++x)
                    convert_[i](in_[i].at(arena, y, x), out_.at(arena, y, x) + channel * bytes_of(out_.type),
                                in_[i].shape.c);
            channel += in_[i].shape.c;
        }
    }

    std::string kernel() const override { return "concat"; }

private:
    std::vector<Layout> in_;
    Layout out_;
    std::vector<ConvertKernel> convert_;
};

// Copies runs of values that lie behind each other in both tensors.
class TakeStep : public Step {
public:
    explicit TakeStep(const StepContext& context)
        : in_(context.layouts[context.stage.inputs[0]]), out_(context.layouts[context.output]),
          convert_(context.kernels.convert[in_.type][out_.type]) {
        const int64_t* index = context.stage.values.data;
        int64_t most = 0;
        for (int64_t y = 0; y < out_.shape.h; ++y, index += out_.width()) {
            starts_.push_back(runs_.size());
            for (int64_t x = 0; x < out_.width(); x += runs_.back().count) {
                add_run(index + x, out_.width() - x);
                if (runs_.back().source < 0) most = std::max<int64_t>(most, runs_.back().count);
            }
        }
        starts_.push_back(runs_.size());
        const std::vector<int64_t> fills(most, context.stage.fill);
        fills_ = Buffer(most * bytes_of(out_.type));
        context.kernels.convert[s64][out_.type](fills.data(), fills_.data(), most);
    }

    int64_t rows() const override { return out_.shape.h; }

    void run(const Frame& frame, int64_t first, int64_t last) const override {
        const int64_t from = bytes_of(in_.type), to = bytes_of(out_.type);
        const uint8_t* source = in_.at(frame.arena, 0);
        for (int64_t y = first; y < last; ++y) {
            uint8_t* out = out_.at(frame.arena, y);
            for (size_t r = starts_[y]; r < starts_[y + 1]; ++r) {
                const Run& run = runs_[r];
                if (run.source < 0)
                    std::memcpy(out, fills_.data(), run.count * to);
                else if (in_.type == out_.type)
                    std::memcpy(out, source + run.source * from, run.count * from);
                else
                    convert_(source + run.source * from, out, run.count);
                out += run.count * to;
            }
        }
    }

    std::string kernel() const override { return "take"; }

private:
    struct Run {
        int32_t source, count;  // elements from the input's first, or -1: the fill
    };

    // The run that starts at an index, of at most `most` values; it ends where a row of the input does.
    void add_run(const int64_t* index, int64_t most) {
        const int64_t first = *index, row = first < 0 ? 0 : first / in_.width();
        const int64_t end = first < 0 ? most : std::min(most, (row + 1) * in_.width() - first);
        int64_t count = 1;
        while (count < end && index[count] == (first < 0 ? first : first + count)) ++count;
        const int64_t source = first < 0 ? -1 : row * in_.row + first % in_.width();
        runs_.push_back({static_cast<int32_t>(source), static_cast<int32_t>(count)});
    }

    Layout in_, out_;
    ConvertKernel convert_;
    std::vector<Run> runs_;
    std::vector<size_t> starts_;  // of each row's runs
    Buffer fills_{0};
};

class ArgMaxStep : public Step {
public:
    explicit ArgMaxStep(const StepContext& context)
        : in_(context.layouts[context.stage.inputs[0]]), out_(context.layouts[context.output]),
          widen_(context.kernels.convert[in_.type][s64]),
          narrow_(context.kernels.convert[s64][out_.type]) {}

    int64_t scratch_bytes() const override { return in_.shape.c * bytes_of(s64); }

    void run(const Frame& frame, int64_t first, int64_t last) const override {
        if (first == last) return;
        auto* values = reinterpret_cast<int64_t*>(frame.scratch);
        widen_(in_.at(frame.arena, 0), values, in_.shape.c);
        const int64_t index = std::max_element(values, values + in_.shape.c) - values;
        narrow_(&index, out_.at(frame.arena, 0), 1);
    }

    std::string kernel() const override { return "arg_max"; }

private:
    Layout in_, out_;
    ConvertKernel widen_, narrow_;
};

}  // namespace

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
        case Op::take: return std::make_unique<TakeStep>(context);
        case Op::arg_max: return std::make_unique<ArgMaxStep>(context);
        case Op::input: break;
    }
    throw NetworkFault("stage '" + context.stage.name + "': unknown operator");
}

}  // namespace bitswath::emulator
