// Winograd's convolutions whose products stay in registers, see `WinogradTiles`.
#pragma once

#include <memory>

#include "engine/steps/step.hpp"

namespace bitswath::emulator {

// As `winograd_cost` and `make_winograd`.
double winograd_tiles_cost(const Stage& stage, const Graph& graph, const Kernels& kernels);
std::unique_ptr<Step> make_winograd_tiles(const StepContext& context);

}  // namespace bitswath::emulator
