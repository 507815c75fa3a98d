// Convolutions of 3 x 3 by Winograd's F(2 x 2, 3 x 3), see kernels/winograd/winograd.hpp.
#pragma once

#include <memory>

#include "engine/steps/step.hpp"

namespace bitswath::emulator {

// What a form of the kernels that is exact for this stage costs, in products of the set's byte kernels; infinite if none
// is. Counts only forms that fit any threshold if `any_threshold`.
double winograd_cost(const Stage& stage, const Graph& graph, const Kernels& kernels, bool any_threshold);
// Null unless the kernels have a form that is exact for this stage and, by what it costs, quicker than the direct way.
std::unique_ptr<Step> make_winograd(const StepContext& context);

}  // namespace bitswath::emulator
