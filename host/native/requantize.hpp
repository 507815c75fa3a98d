// From a row of accumulators to a row of the output tensor: stored as they are, or through thresholds.
#pragma once

#include <tuple>
#include <vector>

#include "graph.hpp"
#include "kernels.hpp"

namespace bitswath::emulator {

class Finish {
public:
    Finish() = default;
    Finish(Finish&&) = default;  // parameters point into the vectors, which a move keeps in place
    Finish& operator=(Finish&&) = default;

    // Stores accumulators (`wide`: s64, else s32) as `out`.
    static Finish store(const Kernels& kernels, bool wide, Type out);
    // Applies a Threshold stage to accumulators within the ranges of `in`. Chooses the affine form where
    // it is proved to give the same code for every accumulator, else counts (few thresholds) or searches.
    static Finish threshold(const Kernels& kernels, const Stage& stage, const Tensor& in, bool wide, Type out);

    void run(const void* acc, void* out, int64_t pixels, int64_t channels) const;
    const char* name() const { return name_; }

private:
    template <typename Acc, typename Word>
    bool make_affine(const Stage& stage, const Tensor& in, int64_t limit);
    template <typename Acc>
    void make_rows(const Stage& stage, const Tensor& in);

    const char* name_ = "store";
    ConvertKernel convert_ = nullptr;
    RequantizeKernel requantize_ = nullptr;
    Requantizer parameters_;
    std::tuple<std::vector<int32_t>, std::vector<int64_t>> rows_;    // as the accumulators
    std::tuple<std::vector<uint32_t>, std::vector<uint64_t>> lines_;
};

// The line (x * gain + offset) >> shift that equals #{k : x >= thresholds[k]} for every x in
// thresholds.front() - 1 .. thresholds.back(); found false if there is none.
struct Line {
    bool found = false;
    int64_t gain = 0, offset = 0;  // offset for x counted from thresholds.front() - 1
};
Line fit_line(const std::vector<int64_t>& thresholds, int shift);

}  // namespace bitswath::emulator
