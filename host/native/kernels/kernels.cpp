// Which sets of kernels this CPU can run.
#include "kernels/kernels.hpp"

#include <algorithm>
#include <iterator>

#if defined(BITSWATH_AMX)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace bitswath::emulator {
namespace {

struct KernelSet {
    const char* name;
    bool (*runs_here)();
    Kernels (*make)();
};

#if defined(BITSWATH_AMX)
// Linux grants tile registers to a process that asks for them, once for all of its threads.
bool granted_amx() {
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return cpu().amx && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

// The quickest last.
const KernelSet kSets[] = {
    {"scalar", [] { return true; }, scalar_kernels},
#if defined(__x86_64__)
    {"avx2", [] { return cpu().avx2; }, avx2_kernels},
#endif
#if defined(BITSWATH_AVXVNNI)
    {"avxvnni", [] { return cpu().avxvnni; }, avxvnni_kernels},
#endif
#if defined(__x86_64__)
    {"avx512", [] { return cpu().avx512vnni; }, avx512_kernels},
    {"zen4", [] { return cpu().avx512vnni && cpu().avx512halves; }, zen4_kernels},
#endif
#if defined(BITSWATH_AMX)
    {"amx", granted_amx, amx_kernels},
#endif
#if defined(BITSWATH_NEON)
    {"neon", [] { return cpu().neon; }, neon_kernels},
#endif
#if defined(BITSWATH_NEONDOT)
    {"neondot", [] { return cpu().neondot; }, neondot_kernels},
#endif
};

}  // namespace

std::vector<std::string> kernel_names() {
    std::vector<std::string> names;
    for (const KernelSet& set : kSets)
        if (set.runs_here()) names.emplace_back(set.name);
    return names;
}

bool find_kernels(const std::string& name, Kernels& kernels) {
    const auto found = std::find_if(std::rbegin(kSets), std::rend(kSets), [&name](const KernelSet& set) {
        return (name == "auto" || name == set.name) && set.runs_here();
    });
    if (found == std::rend(kSets)) return false;
    kernels = found->make();
    kernels.name = found->name;
    return true;
}

}  // namespace bitswath::emulator
