// From accumulators to the codes of the output tensor: stored as they are, or through thresholds.
#pragma once

#include <tuple>
#include <vector>

#include "engine/graph.hpp"
#include "kernels/kernels.hpp"

namespace bitswath::emulator {

// What a step must multiply its accumulators by, for each channel.
using Factors = std::vector<int64_t>;

// How far a step can scale its accumulators of type `acc`: up to most[c] per channel, all alike if `uniform`;
// `bound` is the largest magnitude of any partial sum before scaling.
struct Headroom {
    std::vector<int64_t> most;
    bool uniform;
    Type acc;
    int64_t bound;
};

class Finish {
public:
    Finish() = default;
    Finish(Finish&&) = default;  // parameters point into the vectors, which a move keeps in place
    Finish& operator=(Finish&&) = default;

    // Stores accumulators as `out`.
    static Finish store(const Kernels& kernels, Type acc, Type out);
    // Applies a Threshold stage to accumulators (s32 or s64) within the ranges of `in`. Chooses the affine form
    // where it is proved to give the same code for every accumulator, else counts (few thresholds) or searches.
    static Finish threshold(const Kernels& kernels, const Stage& stage, const Tensor& in, Type acc, Type out);
    // The narrow form on accumulators scaled by what `factors` comes to say; false where it is not proved equal.
    static bool narrow(const Kernels& kernels, const Stage& stage, const Tensor& in, Type out,
                       const Headroom& headroom, Finish& finish, Factors& factors);

    // `stride`: accumulators from one pixel to the next; may read kLineGroup accumulators past the last.
    void run(const void* acc, uint8_t* out, int64_t pixels, int64_t channels, int64_t stride) const;
    const char* name() const { return name_; }
    // Before the first run.
    void set_stride(int64_t channels, int64_t stride);

private:
    template <typename Acc, typename Word>
    bool make_affine(const Stage& stage, const Tensor& in, int64_t limit);
    template <typename Acc>
    void make_rows(const Stage& stage, const Tensor& in);

    const char* name_ = "store";
    int64_t acc_bytes_ = 4, out_bytes_ = 1;
    ConvertKernel convert_ = nullptr;
    RequantizeKernel requantize_ = nullptr;
    Requantizer parameters_;
    std::tuple<std::vector<int32_t>, std::vector<int64_t>> rows_;    // as the accumulators
    std::tuple<std::vector<uint32_t>, std::vector<uint64_t>> lines_;
    LineKernel line_ = nullptr;
    LineOrder line_order_ = nullptr;
    NarrowLine narrow_;
    // For each channel, then for each element of the period once the stride is set.
    std::vector<int64_t> biases_;
    std::vector<int16_t> gains_, slices_;
    std::vector<uint8_t> bias_bytes_;
};

// The thresholds of one channel on direction * x, cut to what x can reach.
struct ThresholdRow {
    bool falling = false;
    int64_t lo = 0, hi = 0;          // of direction * x
    int64_t always = 0;              // thresholds that every x reaches
    std::vector<int64_t> reachable;  // those that some x reaches and some does not
};
ThresholdRow threshold_row(const Stage& stage, const Tensor& in, int64_t channel);

// The line (x * gain + offset) >> shift that equals #{k : x >= thresholds[k]} for every x in
// thresholds.front() - 1 .. thresholds.back(); found false if there is none.
struct Line {
    bool found = false;
    int64_t gain = 0, offset = 0;  // offset for x counted from thresholds.front() - 1
};
Line fit_line(const std::vector<int64_t>& thresholds, int shift);

}  // namespace bitswath::emulator
