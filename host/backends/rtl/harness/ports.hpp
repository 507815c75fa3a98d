// The model's ports as bytes, and its probes as words of bits.

#pragma once

#include "Vtop.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

template <class Port> inline void put(Port& port, const uint8_t* bytes, size_t count) {
    std::memcpy(reinterpret_cast<uint8_t*>(&port), bytes, count);
}

template <class Port> inline void get(const Port& port, uint8_t* bytes, size_t count) {
    std::memcpy(bytes, reinterpret_cast<const uint8_t*>(&port), count);
}

using Probe = std::remove_reference_t<decltype(std::declval<Vtop&>().probe_valid)>;
constexpr size_t PROBE_WORDS = (sizeof(Probe) + 7) / 8;
using Bits = std::array<uint64_t, PROBE_WORDS>;

inline Bits bits_of(const Probe& probe) {
    Bits bits{};
    std::memcpy(bits.data(), &probe, sizeof(Probe));
    return bits;
}
