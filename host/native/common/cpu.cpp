#include "common/cpu.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#if defined(__linux__) && (defined(__aarch64__) || defined(__arm__))
#include <sys/auxv.h>
#endif

namespace bitswath {
namespace {

#if defined(__x86_64__)
// AMD's family 19h, which has AVX512 in Zen 4 alone.
bool is_zen3_or_4() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx) return false;
    __get_cpuid(1, &a, &b, &c, &d);
    const unsigned family = (a >> 8 & 0xF) + (a >> 20 & 0xFF);
    return family == 0x19;
}
#endif

Cpu detected() {
    Cpu found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    found.avx2 = __builtin_cpu_supports("avx2");
    found.avx2fma = found.avx2 && __builtin_cpu_supports("fma");
    found.avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    found.avx512vnni = found.avx512 && __builtin_cpu_supports("avx512vnni");
    found.avx512vbmi = found.avx512 && __builtin_cpu_supports("avx512vbmi");
    found.avx512vpopcntdq = found.avx512 && __builtin_cpu_supports("avx512vpopcntdq");
    found.avx512halves = found.avx512 && is_zen3_or_4();
    unsigned a = 0, b = 0, c = 0, d = 0;  // what older compilers know no names for
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) found.amx = found.avx512vnni && (d >> 24 & 3) == 3;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) found.avxvnni = found.avx2 && (a >> 4 & 1);
#elif defined(__aarch64__)
    found.neon = true;
#if defined(__linux__)
    found.neondot = getauxval(AT_HWCAP) & (1UL << 20);  // HWCAP_ASIMDDP
#endif
#elif defined(__arm__) && defined(__linux__)
    found.neon = getauxval(AT_HWCAP) & (1UL << 12);      // HWCAP_NEON
    found.neondot = getauxval(AT_HWCAP) & (1UL << 24);   // HWCAP_ASIMDDP
#endif
    return found;
}

}  // namespace

const Cpu& cpu() {
    static const Cpu found = detected();
    return found;
}

}  // namespace bitswath
