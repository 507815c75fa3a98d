// What tensors and accumulators are stored as.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitswath::emulator {

enum Type : int { u8, s8, s16, s32, s64 };
constexpr int kTypes = 5;
constexpr size_t kTypeBytes[kTypes] = {1, 1, 2, 4, 8};

constexpr int64_t kLowest[kTypes] = {0, INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN};
constexpr int64_t kHighest[kTypes] = {UINT8_MAX, INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX};

}  // namespace bitswath::emulator
