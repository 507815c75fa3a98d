// How a convolution walks a window: runs of neighbouring elements, cut into chunks that a kernel takes at once.
#pragma once

#include <vector>

#include "engine/steps/step.hpp"

namespace bitswath::emulator {

// Elements next to each other in what the kernel reads, and the index of each one's weight in its output's.
struct Run {
    int64_t offset;
    std::vector<int64_t> weights;
};

// Windows as they lie in the tensor; a kernel's row is one run where its pixels are neighbours.
std::vector<Run> direct_runs(const Stage& stage, const Layout& in);
// Windows whose rows were interleaved, so that all of a window is one run.
std::vector<Run> interleaved_runs(const Stage& stage);

// `together` neighbouring windows, `step` elements apart, are taken as one with so many times the outputs.
class Reduction {
public:
    Reduction() = default;
    Reduction(std::vector<Run> runs, int64_t chunk, int64_t step = 0, int64_t together = 1);

    const std::vector<int32_t>& offsets() const { return offsets_; }
    int64_t depth() const { return static_cast<int64_t>(offsets_.size()); }
    // Index of the weight of element i of chunk k for window `copy`, or -1 if it has none.
    int64_t weight(int64_t k, int64_t i, int64_t copy) const;

private:
    struct Chunk {
        size_t run;
        int64_t first;
    };
    std::vector<Run> runs_;
    std::vector<Chunk> chunks_;
    std::vector<int32_t> offsets_;
    int64_t step_ = 0;
};

}  // namespace bitswath::emulator
