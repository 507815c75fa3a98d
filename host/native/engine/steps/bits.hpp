// Convolution and dense steps whose codes and weights have one or two bits.
#pragma once

#include <memory>

#include "engine/steps/step.hpp"

namespace bitswath::emulator {

// Null unless the kernels have a form that is exact for this stage and, by their rates, quicker than bytes.
std::unique_ptr<Step> make_bits(const StepContext& context);

}  // namespace bitswath::emulator
