// AVX-VNNI kernels: four products of u8 and s8 a lane and instruction, summed in 32 bits without saturation; the
// rest of the set is AVX2's.
#include "kernels/kernels.hpp"

#if defined(BITSWATH_AVXVNNI)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define BITSWATH_TARGET BITSWATH_FOR_AVXVNNI

namespace bitswath::emulator {
namespace {
#include "kernels/ymm.hpp"

constexpr int kWindows = 6;  // enough sums under way for the instructions' latency

struct U8ByS8 {
    using In = uint8_t;
    BITSWATH_TARGET static inline __m256i dot(__m256i acc, __m256i x, __m256i w) {
        return _mm256_dpbusd_avx_epi32(acc, x, w);
    }
    BITSWATH_TARGET static inline __m256i product(__m256i x, __m256i w) { return dot(_mm256_setzero_si256(), x, w); }
};

struct S16ByS16 {
    using In = int16_t;
    BITSWATH_TARGET static inline __m256i dot(__m256i acc, __m256i x, __m256i w) {
        return _mm256_dpwssd_avx_epi32(acc, x, w);
    }
    BITSWATH_TARGET static inline __m256i product(__m256i x, __m256i w) { return dot(_mm256_setzero_si256(), x, w); }
};

}  // namespace

Kernels avxvnni_kernels() {
    Kernels k = avx2_kernels();
    const auto of_avx2 = [](const ConvForm& form) { return !form.depthwise; };
    k.convs.erase(std::remove_if(k.convs.begin(), k.convs.end(), of_avx2), k.convs.end());
    const std::vector<ConvForm> forms = {
        form<Wide<U8ByS8>, kWindows>("vpdpbusd", u8, s8, s32),
        form<Wide<U8ByS8>, 1>("vpdpbusd", u8, s8, s32),
        form<Wide<S16ByS16>, kWindows>("vpdpwssd", s16, s16, s32),
        form<Wide<S16ByS16>, 1>("vpdpwssd", s16, s16, s32),
    };
    k.convs.insert(k.convs.end(), forms.begin(), forms.end());
    k.winograd.back().products = forms.front();  // of products in 32 bits
    return k;
}

}  // namespace bitswath::emulator
#endif
