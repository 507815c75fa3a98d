// Bounds of the model's queues and how full they have been, for models with gauges, which ask through DPI.

#pragma once

#include "options.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

inline std::vector<uint32_t> capacities, high_waters;

inline void prepare_queues(size_t streams) {
    const std::string& listed = options["capacities"];
    for (size_t at = 0; at < listed.size(); at = std::min(listed.find(',', at), listed.size() - 1) + 1)
        capacities.push_back(static_cast<uint32_t>(std::strtoul(listed.c_str() + at, nullptr, 10)));
    high_waters.resize(streams);
}

#ifdef BITSWATH_GAUGES
extern "C" unsigned int bitswath_capacity(int index) {
    return static_cast<size_t>(index) < capacities.size() ? capacities[index] : 0;
}
extern "C" void bitswath_high_water(int index, unsigned int beats) { high_waters[index] = beats; }
#endif
