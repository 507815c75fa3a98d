// The most 8-bit multiply-accumulates that one core does: `peak KIND MILLISECONDS wall|cpu` prints them in 10^9
// per second of that clock, `peak` alone lists the kinds this CPU has, fastest first. A kind has the name of the emulator's
// kernel set that computes with the same instruction. Operands stay in registers; enough independent accumulators hide
// the latency.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

namespace {

constexpr int kRounds = 20000;  // of a kernel between two looks at the clock

struct Kind {
    const char* name;
    bool available;
    double (*run)();  // multiply-accumulates done
};

#if defined(__x86_64__)

constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of <asm/prctl.h>
constexpr int kTileData = 18;               // XFEATURE_XTILEDATA

bool tiles_permitted() {
    return __builtin_cpu_supports("amx-int8") && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

struct alignas(64) TileConfig {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

__attribute__((target("amx-tile,amx-int8"))) double run_amx() {
    const TileConfig config;
    asm volatile("" : : "r"(&config) : "memory");  // GCC's _tile_loadconfig says that it reads 8 bytes only
    _tile_loadconfig(&config);
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
    _tile_zero(4); _tile_zero(5); _tile_zero(6); _tile_zero(7);
    for (int i = 0; i < kRounds; ++i) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_release();
    return 4.0 * 16 * 16 * 64 * kRounds;
}

// What a convolution can have at best: operands loaded from the first-level cache, sums of six products a tile stored.
__attribute__((target("amx-tile,amx-int8"))) double run_amx_tiles() {
    constexpr int kDepth = 6;
    alignas(64) static uint8_t operands[kDepth][4][1024];
    alignas(64) static int32_t sums[4][256];
    const TileConfig config;
    asm volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
    for (int i = 0; i < kRounds / kDepth; ++i) {
        _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3);
        for (auto& operand : operands) {
            _tile_loadd(4, operand[0], 64);
            _tile_loadd(6, operand[1], 64);
            _tile_dpbusd(0, 4, 6);
            _tile_loadd(7, operand[2], 64);
            _tile_dpbusd(1, 4, 7);
            _tile_loadd(5, operand[3], 64);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
        }
        _tile_stored(0, sums[0], 64); _tile_stored(1, sums[1], 64);
        _tile_stored(2, sums[2], 64); _tile_stored(3, sums[3], 64);
    }
    _tile_release();
    return 4.0 * 16 * 16 * 64 * kDepth * (kRounds / kDepth);
}

__attribute__((target("avx512f,avx512vnni"))) double run_avx512() {
    __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2), sums[12];
    for (auto& sum : sums) sum = _mm512_setzero_si512();
    for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
        for (int k = 0; k < 12; ++k) sums[k] = _mm512_dpbusd_epi32(sums[k], a, b);
        asm volatile("" : "+v"(a), "+v"(b));
    }
    for (auto& sum : sums) asm volatile("" : "+v"(sum));
    return 12.0 * 64 * kRounds;
}

// Compilers know the name "avxvnni" for longer than __builtin_cpu_supports does.
bool has_avxvnni() {
    constexpr unsigned kAvxVnni = 1u << 4;
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & kAvxVnni);
}

__attribute__((target("avx2,avxvnni"))) double run_avxvnni() {
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2), sums[12];
    for (auto& sum : sums) sum = _mm256_setzero_si256();
    for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
        for (int k = 0; k < 12; ++k) sums[k] = _mm256_dpbusd_avx_epi32(sums[k], a, b);
        asm volatile("" : "+x"(a), "+x"(b));
    }
    for (auto& sum : sums) asm volatile("" : "+x"(sum));
    return 12.0 * 32 * kRounds;
}

__attribute__((target("avx2"))) double run_avx2() {
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-2), ones = _mm256_set1_epi16(1), sums[8];
    for (auto& sum : sums) sum = _mm256_setzero_si256();
    for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) {
            __m256i product = _mm256_maddubs_epi16(a, b);
            asm volatile("" : "+x"(product));  // the same product each time: keep all of them
            sums[k] = _mm256_add_epi32(sums[k], _mm256_madd_epi16(product, ones));
        }
        asm volatile("" : "+x"(a), "+x"(b));
    }
    for (auto& sum : sums) asm volatile("" : "+x"(sum));
    return 8.0 * 32 * kRounds;
}

#elif defined(__aarch64__)

constexpr unsigned long kDotProduct = 1UL << 20;  // HWCAP_ASIMDDP of <asm/hwcap.h>

__attribute__((target("arch=armv8.2-a+dotprod"))) double run_neondot() {
    uint8x16_t a = vdupq_n_u8(3), b = vdupq_n_u8(2);
    uint32x4_t sums[12];
    for (auto& sum : sums) sum = vdupq_n_u32(0);
    for (int i = 0; i < kRounds; ++i) {
        for (int k = 0; k < 12; ++k) sums[k] = vdotq_u32(sums[k], a, b);
        asm volatile("" : "+w"(a), "+w"(b));
    }
    for (auto& sum : sums) asm volatile("" : "+w"(sum));
    return 12.0 * 16 * kRounds;
}

double run_neon() {
    uint8x8_t a = vdup_n_u8(3), b = vdup_n_u8(2);
    uint16x8_t sums[12];
    for (auto& sum : sums) sum = vdupq_n_u16(0);
    for (int i = 0; i < kRounds; ++i) {
        for (int k = 0; k < 12; ++k) sums[k] = vmlal_u8(sums[k], a, b);
        asm volatile("" : "+w"(a), "+w"(b));
    }
    for (auto& sum : sums) asm volatile("" : "+w"(sum));
    return 12.0 * 8 * kRounds;
}

#endif

double run_scalar() {
    uint32_t a = 3, b = 2, sums[8] = {};
    for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) {
            sums[k] += a * b;
            asm volatile("" : "+r"(a), "+r"(b));
        }
    }
    for (auto& sum : sums) asm volatile("" : "+r"(sum));
    return 8.0 * kRounds;
}

std::vector<Kind> kinds() {
    return {
#if defined(__x86_64__)
        {"amx", tiles_permitted(), run_amx},
        {"amx-tiles", tiles_permitted(), run_amx_tiles},
        {"avx512", __builtin_cpu_supports("avx512vnni") > 0, run_avx512},
        {"avxvnni", has_avxvnni(), run_avxvnni},
        {"avx2", __builtin_cpu_supports("avx2") > 0, run_avx2},
#elif defined(__aarch64__)
        {"neondot", (getauxval(AT_HWCAP) & kDotProduct) != 0, run_neondot},
        {"neon", true, run_neon},
#endif
        {"scalar", true, run_scalar},
    };
}

double now(bool cpu) {
    if (cpu) return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double billions_per_s(const Kind& kind, double milliseconds, bool cpu) {
    kind.run();
    double done = 0, seconds = 0;
    const double start = now(cpu);
    do {
        done += kind.run();
        seconds = now(cpu) - start;
    } while (seconds * 1e3 < milliseconds);
    return done / seconds / 1e9;
}

}  // namespace

int main(int count, char** arguments) {
    for (const Kind& kind : kinds()) {
        if (!kind.available) continue;
        if (count == 1) std::printf("%s\n", kind.name);
        if (count == 4 && std::strcmp(arguments[1], kind.name) == 0) {
            std::printf("%.3f\n", billions_per_s(kind, std::atof(arguments[2]), std::strcmp(arguments[3], "cpu") == 0));
            return 0;
        }
    }
    return count == 1 ? 0 : 1;
}
