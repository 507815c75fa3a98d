// Which sets of kernels this CPU can run.
#include "kernels.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>

#if defined(__linux__) && defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "cpu.hpp"

namespace bitswath::emulator {
namespace {

struct KernelSet {
    const char* name;
    bool (*runs_here)();
    Kernels (*make)();
};

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2"); }

bool has_avxvnni() {
#if defined(__linux__) && defined(BITSWATH_AVXVNNI)
    constexpr unsigned kAvxVnni = 1u << 4;
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & kAvxVnni);
#else
    return false;
#endif
}

bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

// The kernel grants tile registers to a process that asks for them, once for all of its threads.
bool has_amx() {
#if defined(__linux__) && defined(BITSWATH_AMX)
    constexpr long kRequestPermission = 0x1023, kTileData = 18;
    constexpr unsigned kTileInt8 = 3u << 24;
    unsigned a = 0, b = 0, c = 0, d = 0;
    return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kTileInt8) == kTileInt8 &&
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

Interleaving::Interleaving(int64_t rows, int64_t channels) : rows(rows), channels(channels) {
    const int64_t cell = rows * channels, bytes = std::lcm<int64_t>(cell, 64);
    advance = bytes / rows;
    for (int64_t first = 0; first < bytes; first += 64) {
        bases.push_back(first / cell * channels);
        for (int64_t r = 0; r < rows; ++r) {
            index.emplace_back();
            masks.push_back(0);
            for (int64_t j = 0; j < 64; ++j) {
                const int64_t at = first + j, pixel = at / cell, in_cell = at % cell;
                if (in_cell / channels != r) continue;
                index.back()[j] = static_cast<uint8_t>(pixel * channels + in_cell % channels - bases.back());
                masks.back() |= uint64_t{1} << j;
            }
        }
    }
}

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
