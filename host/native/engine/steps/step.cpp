#include "engine/steps/step.hpp"

namespace bitswath::emulator {

Type narrowest(const Tensor& tensor) {
    const int64_t lo = tensor.min(), hi = tensor.max();
    if (lo >= 0 && hi <= 255) return u8;
    if (lo >= -128 && hi <= 127) return s8;
    if (lo >= -32768 && hi <= 32767) return s16;
    return needs_s64(tensor.magnitude()) ? s64 : s32;
}

// One less than int32 holds, so that a threshold just beyond the range is still an int32.
bool needs_s64(int64_t bound) { return bound > (int64_t{1} << 31) - 2; }

}  // namespace bitswath::emulator
