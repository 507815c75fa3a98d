#include "kernels.hpp"

#define BITSWATH_TARGET
namespace bitswath::emulator {
namespace {
#include "kernels_loops.hpp"
}  // namespace

Kernels scalar_kernels() { return loops(); }

#if defined(__x86_64__)
bool cpu_has_avx2() { return __builtin_cpu_supports("avx2"); }

bool cpu_has_avx512vnni() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#else
bool cpu_has_avx2() { return false; }
bool cpu_has_avx512vnni() { return false; }
#endif

}  // namespace bitswath::emulator
