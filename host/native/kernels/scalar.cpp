#include "kernels/kernels.hpp"

#include <cstring>

#define BITSWATH_TARGET
namespace bitswath::emulator {
namespace {
#include "kernels/loops.hpp"
}  // namespace

Kernels scalar_kernels() {
    Kernels k = loops();
    k.bits = {plain_bits(s16), plain_bits(s32)};
    return k;
}

}  // namespace bitswath::emulator
