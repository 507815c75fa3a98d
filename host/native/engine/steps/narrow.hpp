// The 16-bit form of a Threshold stage, see NarrowLine: its parameters, proved equal on every reachable sum.
#pragma once

#include "engine/steps/requantize.hpp"

namespace bitswath::emulator {

// Parameters of one channel: the step computes factor * x, the kernel the rest.
struct NarrowChannel {
    int64_t factor = 0, bias = 0;
    int16_t gain = 0, slice = 0;
};

// Codes are drawn as signed numbers around this one: half of the power of two that holds `count` + 1 codes.
int half_of(int64_t count);

// For all channels of a Threshold stage with rising directions; false if one has no such form.
bool narrow_channels(const Stage& stage, const Tensor& in, const Headroom& headroom,
                     std::vector<NarrowChannel>& channels);

}  // namespace bitswath::emulator
