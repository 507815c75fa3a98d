#include "kernels.hpp"

#include <cstring>

#define BITSWATH_TARGET
namespace bitswath::emulator {
namespace {
#include "kernels_loops.hpp"
}  // namespace

Kernels scalar_kernels() { return loops(); }

}  // namespace bitswath::emulator
