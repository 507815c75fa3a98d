// What all steps over windows share: the walk over the output in bands of rows, and what follows the sums.
#pragma once

#include <string>
#include <vector>

#include "common/buffer.hpp"
#include "engine/steps/requantize.hpp"
#include "engine/steps/step.hpp"

namespace bitswath::emulator {

// Where the windows of some rows of the output are and where their sums go. Tiles either start anew in each
// row, or run on over the junk between two rows' windows, whichever makes fewer.
struct Tiling {
    int64_t tile = 1, windows = 1, pitch = 0;  // windows from one row to the next, 0 if not a whole number
    bool flat = false;
    int64_t step = 0, row = 0;  // elements from one window, one row to the next

    Tiling() = default;
    Tiling(int64_t tile, int64_t windows, int64_t step, int64_t row, int64_t rows);
    int64_t tiles(int64_t rows) const {
        return flat ? rounded_up((rows - 1) * pitch + windows, tile) / tile : rows * (rounded_up(windows, tile) / tile);
    }
    int64_t start(int64_t t) const {
        const int64_t in_row = rounded_up(windows, tile) / tile;
        return flat ? t * tile * step : t / in_row * row + t % in_row * tile * step;
    }
    int64_t sums(int64_t row) const { return row * (flat ? pitch : rounded_up(windows, tile)); }
};

// How a step's kernel makes its sums.
struct SumForm {
    Type acc;
    int block, tile;
    int64_t groups;
    bool in_order = false;  // windows are written one after the other
    int64_t rows = 1;       // of windows that are made at once
    bool pools = false;     // sums of a pooled stage are pooled already, in every other row
};

// A convolution or dense step. Its heirs say where windows are and make the sums of a band; those are pooled
// and finished here. Scratch: sums, pooled sums, then `extra_bytes()` of the heir's at `extra()`.
class WindowStep : public Step {
public:
    int64_t rows() const override { return out_.shape.h; }
    int64_t scratch_bytes() const override { return sums_bytes() + pooled_bytes() + extra_bytes(); }
    void run(const Frame& frame, int64_t first, int64_t last) const override;
    std::string kernel() const override { return sums_name() + (pooled_ > 1 ? "+pool+" : "+") + finish_.name(); }

protected:
    WindowStep(const StepContext& context, const SumForm& form, Finish finish);
    // Elements from one window and one row of windows to the next in what the kernel reads; `together`: windows
    // that the kernel sees as one with so many times the outputs.
    void set_source(int64_t step, int64_t row, int64_t together = 1);

    virtual std::string sums_name() const = 0;
    // Sums of `count` rows from row y on, into the scratch.
    virtual void sum(const Frame& frame, int64_t y, int64_t count) const = 0;
    virtual int64_t extra_bytes() const { return 0; }

    uint8_t* extra(const Frame& frame) const { return frame.scratch + extra_at_; }
    int64_t acc_bytes() const { return static_cast<int64_t>(kTypeBytes[form_.acc]); }
    int64_t per_group() const { return channels_ / form_.groups; }
    int64_t group_outputs() const { return rounded_up(per_group(), form_.block); }
    // Sums from one window to the next; a lone block's surplus lies over the window after it, where kernels allow it.
    int64_t stride() const {
        const bool lone = form_.groups == 1 && group_outputs() == form_.block;
        return form_.in_order && lone ? channels_ : channels_ - per_group() + group_outputs();
    }
    // Input pixels that a row of windows spans, a whole number of strides.
    int64_t columns() const;
    const uint8_t* first_row(const Frame& frame, int64_t y) const {
        return in_.at(frame.arena, y * strides_[0] - pads_[0], -pads_[1]);
    }

    Layout in_, out_;
    SumForm form_;
    std::array<int64_t, 2> window_, strides_, dilations_;
    std::array<int64_t, 4> pads_;
    int64_t channels_, windows_, together_ = 1;  // outputs; windows of a row, and how many make one
    int64_t band_ = 1;                           // rows of windows at once
    Tiling tiling_;
    std::vector<int32_t> starts_;  // of a band's tiles

private:
    void finish(const Frame& frame, int64_t y, int64_t r) const;
    int64_t sums_bytes() const;
    int64_t pooled_bytes() const;

    Finish finish_;
    Pool2x2Kernel pool_;
    int64_t pooled_, extra_at_ = 0;
};

// -1 for the outputs that a threshold stage reads falling: their sums are negated, so that all rise.
std::vector<int64_t> signs_of(const Stage& stage, const Stage* threshold);

// Weights of one output channel.
struct Weights {
    const int64_t* first;
    int64_t count, lo, hi;  // lo <= 0 <= hi
};
Weights weights_of(const Stage& stage, int64_t output);

// A finish for sums of type `acc` that their kernel can multiply by up to most[o], and does by factors[o], negative
// for falling outputs; false if there is none.
bool make_finish(const StepContext& context, Type acc, std::vector<int64_t> most, const std::vector<int64_t>& signs,
                 Finish& finish, Factors& factors);

}  // namespace bitswath::emulator
