// Which sets of kernels this CPU can run.
#include "kernels/kernels.hpp"

#include <algorithm>
#include <iterator>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "common/cpu.hpp"

namespace bitswath::emulator {
namespace {

struct KernelSet {
    const char* name;
    bool (*runs_here)();
    Kernels (*make)();
};

#if defined(__x86_64__)
bool has_avx2() { return cpu().avx2; }
bool has_avxvnni() { return BITSWATH_AVXVNNI && cpu().avxvnni; }
bool has_avx512() {
    return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl && cpu().avx512vnni;
}

// Linux grants tile registers to a process that asks for them, once for all of its threads.
bool has_amx() {
#if defined(__linux__)
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    return BITSWATH_AMX && has_avx512() && cpu().amxint8 &&
           syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
    return false;
#endif
}
#endif

#if defined(BITSWATH_NEON)
bool has_neon() { return cpu().neon; }
#endif

#if defined(BITSWATH_NEONDOT)
bool has_neondot() { return cpu().dotprod; }
#endif

bool always() { return true; }

// The quickest last.
const KernelSet kSets[] = {
    {"scalar", always, scalar_kernels},
#if defined(__x86_64__)
    {"avx2", has_avx2, avx2_kernels},
    {"avxvnni", has_avxvnni, avxvnni_kernels},
    {"avx512", has_avx512, avx512_kernels},
    {"amx", has_amx, amx_kernels},
#endif
#if defined(BITSWATH_NEON)
    {"neon", has_neon, neon_kernels},
#endif
#if defined(BITSWATH_NEONDOT)
    {"neondot", has_neondot, neondot_kernels},
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
