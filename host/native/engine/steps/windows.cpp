#include "engine/steps/windows.hpp"

#include <algorithm>

namespace bitswath::emulator {
namespace {

constexpr int64_t kBandWindows = 256;     // a call of the kernel should have
constexpr int64_t kBandBytes = 48 << 10;  // its accumulators should not exceed

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

}  // namespace

Tiling::Tiling(int64_t tile, int64_t windows, int64_t step, int64_t row, int64_t rows)
    : tile(tile), windows(windows), pitch(row % step == 0 ? row / step : 0), step(step), row(row) {
    const int64_t apart = tiles(rows);
    flat = pitch > 0;
    flat = flat && tiles(rows) < apart;
}

WindowStep::WindowStep(const StepContext& context, const SumForm& form, Finish finish)
    : in_(context.layouts[context.stage.inputs[0]]), out_(context.layouts[context.output]), form_(form),
      window_(context.stage.kernel), strides_(context.stage.strides), dilations_(context.stage.dilations),
      pads_(context.stage.pads), channels_(context.stage.values.shape[0]), windows_(context.sums().shape.w),
      finish_(std::move(finish)), pool_(context.kernels.pool2x2[form.acc]), pooled_(context.pool ? 2 : 1) {
    const int64_t rows = context.sums().shape.h, row_bytes = windows_ * rounded_up(channels_, form.block) * acc_bytes();
    const int64_t wanted = std::min((kBandWindows + windows_ - 1) / windows_, std::max<int64_t>(kBandBytes / row_bytes, 1));
    const int64_t together = std::max(pooled_, form.rows);
    band_ = std::min(rounded_up(wanted, together), rounded_up(rows, together));
    finish_.set_stride(channels_, stride());
}

void WindowStep::set_source(int64_t step, int64_t row, int64_t together) {
    together_ = together;
    tiling_ = Tiling(form_.tile, windows_ / together, step * together, row, band_);
    extra_at_ = sums_bytes() + pooled_bytes();
    for (int64_t t = 0; t < tiling_.tiles(band_); ++t) starts_.push_back(static_cast<int32_t>(tiling_.start(t)));
}

int64_t WindowStep::columns() const {
    return rounded_up((windows_ - 1) * strides_[1] + dilations_[1] * (window_[1] - 1) + 1, strides_[1]);
}

void WindowStep::run(const Frame& frame, int64_t first, int64_t last) const {
    for (int64_t y = first; y < last; y += band_ / pooled_) {
        const int64_t rows = std::min(last - y, band_ / pooled_);
        sum(frame, y * pooled_, rows * pooled_);
        for (int64_t r = 0; r < rows; ++r) finish(frame, y + r, r);
    }
}

void WindowStep::finish(const Frame& frame, int64_t y, int64_t r) const {
    const uint8_t* sums = frame.scratch + tiling_.sums(r * pooled_) * together_ * stride() * acc_bytes();
    if (pooled_ > 1 && !form_.pools) {
        const uint8_t* below = frame.scratch + tiling_.sums(r * pooled_ + 1) * together_ * stride() * acc_bytes();
        uint8_t* pooled = frame.scratch + extra_at_ - pooled_bytes();
        pool_(sums, below, pooled, out_.shape.w, stride());
        sums = pooled;
    }
    finish_.run(sums, out_.at(frame.arena, y), out_.shape.w, channels_, stride());
}

int64_t WindowStep::sums_bytes() const {
    const int64_t pixels = tiling_.tiles(band_) * form_.tile * together_;
    return rounded_up((pixels * stride() + kLineGroup + group_outputs()) * acc_bytes(), 64);
}

int64_t WindowStep::pooled_bytes() const {
    return pooled_ == 1 ? 0 : rounded_up((out_.shape.w * stride() + kLineGroup) * acc_bytes(), 64);
}

std::vector<int64_t> signs_of(const Stage& stage, const Stage* threshold) {
    std::vector<int64_t> signs(stage.values.shape[0], 1);
    for (size_t o = 0; threshold && o < signs.size(); ++o)
        signs[o] = threshold->directions[threshold->directions.size() > 1 ? o : 0];
    return signs;
}

Weights weights_of(const Stage& stage, int64_t output) {
    const int64_t count = stage.values.size() / stage.values.shape[0];
    const int64_t* first = stage.values.data + output * count;
    const auto [lo, hi] = std::minmax_element(first, first + count);
    return {first, count, std::min<int64_t>(*lo, 0), std::max<int64_t>(*hi, 0)};
}

bool make_finish(const StepContext& context, Type acc, std::vector<int64_t> most, const std::vector<int64_t>& signs,
                 Finish& finish, Factors& factors) {
    const Type out = context.layouts[context.output].type;
    factors.clear();
    if (context.threshold) {
        const Stage threshold = rising(*context.threshold);
        const Tensor sums = rising(context.sums(), signs);
        for (size_t o = 0; acc == s16 && context.pool && o < most.size(); ++o)  // sums are compared before biases
            most[o] = std::min(most[o], INT16_MAX / std::max<int64_t>({-sums.lo[o], sums.hi[o], 1}));
        const Headroom headroom{std::move(most), false, acc, context.stage.bound};
        if (Finish::narrow(context.kernels, threshold, sums, out, headroom, finish, factors)) {
            for (size_t o = 0; o < signs.size(); ++o) factors[o] *= signs[o];
            return true;
        }
        if (acc == s16) return false;
        finish = Finish::threshold(context.kernels, threshold, sums, acc, out);
    } else {
        finish = Finish::store(context.kernels, acc, out);
    }
    factors = signs;
    return true;
}

}  // namespace bitswath::emulator
