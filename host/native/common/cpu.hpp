// The instructions that kernels are compiled for, and whether the processor at hand has them. Each family of kernels
// is named once: its function attribute BITSWATH_FOR_... and the member of `Cpu` mean the same instructions, and no
// other file spells any.
#pragma once

#if defined(__x86_64__)
#define BITSWATH_FOR_AVX2 __attribute__((target("avx2")))
#define BITSWATH_FOR_AVX2FMA __attribute__((target("avx2,fma")))
#define BITSWATH_FOR_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define BITSWATH_FOR_AVX512VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define BITSWATH_FOR_AVX512VBMI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")))
#define BITSWATH_FOR_AVX512VPOPCNTDQ __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")))
#endif

// Intrinsics of AVX-VNNI and AMX came with GCC 11 and Clang 12.
#if defined(__x86_64__) && ((defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && __GNUC__ >= 11))
#define BITSWATH_AVXVNNI 1
#define BITSWATH_FOR_AVXVNNI __attribute__((target("avx2,avxvnni")))
#if defined(__linux__)
#define BITSWATH_AMX 1
#define BITSWATH_FOR_AMX __attribute__((target("amx-tile,amx-int8")))
#endif
#endif

// Or 32-bit ARM with registers for floats, where GCC lets single functions use NEON.
#if defined(__ARM_NEON)
#define BITSWATH_NEON 1
#define BITSWATH_FOR_NEON
#elif defined(__arm__) && defined(__ARM_FP) && __ARM_ARCH >= 7 && !defined(__clang__)
#define BITSWATH_NEON 1
#define BITSWATH_FOR_NEON __attribute__((target("fpu=neon")))
#endif

// The dot product's intrinsics came with GCC 8; Clang 16 was the first to offer them to single functions.
#if defined(__aarch64__) && ((defined(__clang__) && __clang_major__ >= 16) || (!defined(__clang__) && __GNUC__ >= 8))
#define BITSWATH_NEONDOT 1
#define BITSWATH_FOR_NEONDOT __attribute__((target("arch=armv8.2-a+dotprod")))
#endif

namespace bitswath {

// Asked once. All false on other architectures. AVX features are those the operating system saves the registers of.
struct Cpu {
    bool avx2 = false, avx2fma = false, avxvnni = false;
    bool avx512 = false;  // what all processors with AVX-512BW have
    bool avx512vnni = false, avx512vbmi = false, avx512vpopcntdq = false;  // and avx512
    bool avx512halves = false;  // which it computes in two halves, as Zen 4 does
    bool amx = false;  // and avx512vnni; Linux grants its registers on request
    bool neon = false;
    bool neondot = false;  // NEON with sdot and udot
};

const Cpu& cpu();

}  // namespace bitswath
