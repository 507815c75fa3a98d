// Convolutions of 3 x 3 by Winograd's F(2, 3) along rows, see kernels/winograd/winograd.hpp.
#pragma once

#include <memory>

#include "engine/steps/step.hpp"

namespace bitswath::emulator {

// As `winograd_cost` and `make_winograd`.
double winograd_rows_cost(const Stage& stage, const Graph& graph, const Kernels& kernels);
std::unique_ptr<Step> make_winograd_rows(const StepContext& context);

}  // namespace bitswath::emulator
