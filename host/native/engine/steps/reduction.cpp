#include "engine/steps/reduction.hpp"

namespace bitswath::emulator {
namespace {

int64_t weight_index(const Stage& stage, int64_t y, int64_t x, int64_t c) {
    return (y * stage.kernel[1] + x) * stage.values.shape[3] + c;
}

}  // namespace

std::vector<Run> direct_runs(const Stage& stage, const Layout& in) {
    const bool joined = stage.groups == 1 && stage.dilations[1] == 1;
    std::vector<Run> runs;
    for (int64_t y = 0; y < stage.kernel[0]; ++y)
        for (int64_t x = 0; x < stage.kernel[1]; ++x) {
            if (!joined || x == 0)
                runs.push_back({y * stage.dilations[0] * in.row + x * stage.dilations[1] * in.shape.c, {}});
            for (int64_t c = 0; c < stage.values.shape[3]; ++c)
                runs.back().weights.push_back(weight_index(stage, y, x, c));
        }
    return runs;
}

std::vector<Run> interleaved_runs(const Stage& stage) {
    Run run{0, {}};
    for (int64_t x = 0; x < stage.kernel[1]; ++x)
        for (int64_t y = 0; y < stage.kernel[0]; ++y)
            for (int64_t c = 0; c < stage.values.shape[3]; ++c) run.weights.push_back(weight_index(stage, y, x, c));
    return {run};
}

Reduction::Reduction(std::vector<Run> runs, int64_t chunk, int64_t step, int64_t together)
    : runs_(std::move(runs)), step_(step) {
    for (size_t r = 0; r < runs_.size(); ++r) {
        const int64_t length = static_cast<int64_t>(runs_[r].weights.size()) + (together - 1) * step;
        for (int64_t first = 0; first < length; first += chunk) {
            chunks_.push_back({r, first});
            offsets_.push_back(static_cast<int32_t>(runs_[r].offset + first));
        }
    }
}

int64_t Reduction::weight(int64_t k, int64_t i, int64_t copy) const {
    const auto& weights = runs_[chunks_[k].run].weights;
    const int64_t at = chunks_[k].first + i - copy * step_;
    return at >= 0 && at < static_cast<int64_t>(weights.size()) ? weights[at] : -1;
}

}  // namespace bitswath::emulator
