// The inner loops: one row of one stage at a time. Every set holds the plain loops; sets for a CPU
// feature compile those again for it and replace the ones that pay off by hand-written code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bitswath::emulator {

// Widths in which tensors and accumulators are kept.
enum Type : int { u8, s8, s16, s32, s64 };
constexpr int kTypes = 5;
constexpr size_t kTypeBytes[kTypes] = {1, 1, 2, 4, 8};

// One row of a convolution group. Weights come in groups of `lanes` along the reduction: output o of
// pixel p is the sum over k and lane of in[p * step + offsets[k] + lane] * weights(k, o, lane), in
// blocks of outputs: [outputs / block][k][block][lanes], the last block filled up with zeros.
struct ConvRow {
    const void* in;
    int64_t step;  // elements from one output pixel's window to the next
    const int32_t* offsets;
    int64_t depth;  // number of offsets
    const void* weights;
    int64_t outputs;
    int64_t pixels;
    void* acc;       // row of accumulators, pixel by pixel
    int64_t stride;  // accumulators from one pixel to the next
};

// How accumulators become the codes that a Threshold stage defines; parameters are per channel.
//   affine: y = base + step * ((clamp(x, lo, hi) * gain + offset) >> shift), modulo 2^32 with int32 gain and
//           offset; affine64: modulo 2^64 with int64 ones, for lines that 32 bits cannot draw finely enough
//   count:  y = base + step * #{t : x ^ flip >= thresholds[t][channel]}
//   search: the same by bisection of thresholds[channel][t], `columns` = 2^n - 1
// `flip` is -1 for a falling channel: x ^ -1 = -x - 1, so its thresholds are one lower.
struct Requantizer {
    int64_t base = 0, step = 1, columns = 0;
    int shift = 0;
    const void *thresholds = nullptr, *flip = nullptr;                               // as the accumulators
    const void *lo = nullptr, *hi = nullptr, *gain = nullptr, *offset = nullptr;  // lo, hi as the accumulators
};

using ConvKernel = void (*)(const ConvRow&);
// out[i] = in[i]
using ConvertKernel = void (*)(const void* in, void* out, int64_t count);
// out[i] = max(out[i], in[i])
using MaxKernel = void (*)(const void* in, void* out, int64_t count);
// acc[i] += multiplier * in[i]
using AddKernel = void (*)(const void* in, void* acc, int64_t multiplier, int64_t count);
// acc[p][c * depth + d] = table[c][in[p][c]][d]
using LookupKernel = void (*)(const void* in, const void* table, void* acc, int64_t pixels, int64_t channels,
                              int64_t entries, int64_t depth);
using RequantizeKernel = void (*)(const Requantizer&, const void* acc, void* out, int64_t pixels, int64_t channels);

struct PackedConv {
    ConvKernel kernel = nullptr;  // none: the set has no such kernel
    int lanes = 1, block = 1;
    const char* name = "";
};

// Tables are indexed by input Type, then by output Type or by accumulator width (0: s32, 1: s64).
struct Kernels {
    const char* name = "scalar";
    PackedConv u8_by_s8;         // exact while any sum fits s32
    bool u8_pairs_s16 = false;   // ... and sums of two products fit s16
    PackedConv s16_by_s16;       // exact while any sum fits s32
    ConvKernel conv[kTypes][2];       // lanes 1, block = outputs, weights as wide as the accumulator
    ConvKernel depthwise[kTypes][2];  // the same with one input a output: weights [k][outputs], in[.. + o]
    ConvertKernel convert[kTypes][kTypes];
    MaxKernel max[kTypes];
    AddKernel add[kTypes][2];
    LookupKernel lookup[kTypes][2];
    RequantizeKernel affine[kTypes];  // s32 accumulators, by output Type
    RequantizeKernel affine64[2][kTypes];
    RequantizeKernel count[2][kTypes];
    RequantizeKernel search[2][kTypes];
};

Kernels scalar_kernels();
bool cpu_has_avx2();
bool cpu_has_avx512vnni();
#if defined(__x86_64__)
Kernels avx2_kernels();
Kernels avx512vnni_kernels();
#endif

// Bytes that a packed kernel may read beyond the last input element.
constexpr size_t kOverread = 64;

}  // namespace bitswath::emulator
