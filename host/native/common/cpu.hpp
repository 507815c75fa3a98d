// What the processor at hand can do, asked once.
#pragma once

namespace bitswath {

// All false on other architectures. AVX features are those the operating system saves the registers of.
struct Cpu {
    bool avx2 = false, fma = false, avxvnni = false;
    bool avx512f = false, avx512bw = false, avx512dq = false, avx512vl = false;
    bool avx512vbmi = false, avx512vnni = false, avx512vpopcntdq = false, avx512bitalg = false;
    bool amxint8 = false;  // the processor has it; Linux grants its registers on request
    bool neon = false;
    bool dotprod = false;  // NEON with sdot and udot
};

const Cpu& cpu();

}  // namespace bitswath
