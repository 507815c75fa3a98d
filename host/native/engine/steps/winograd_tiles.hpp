// Winograd's convolutions whose products stay in registers, see `WinogradTiles`.
#pragma once

#include <memory>

#include "engine/steps/requantize.hpp"
#include "engine/steps/step.hpp"
#include "engine/steps/winograd_weights.hpp"

namespace bitswath::emulator {

// Of a form that has kernels for tiles.
std::unique_ptr<Step> make_winograd_tiles(const StepContext& context, const WinogradForm& form, const Transformed& weights,
                                          Finish finish, const Factors& factors);

}  // namespace bitswath::emulator
