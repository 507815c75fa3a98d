// The inner loops. Every set holds the plain loops; sets for a CPU feature compile those again for it
// and put hand-written code before them where it pays.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/cpu.hpp"
#include "kernels/bits/bits.hpp"
#include "kernels/interleaving.hpp"
#include "kernels/lines/lines.hpp"
#include "kernels/types.hpp"
#include "kernels/winograd/winograd.hpp"

namespace bitswath::emulator {

// A convolution over a few rows of its output, as tiles of neighbouring windows. Window p of tile t starts at
// element starts[t] + p * step of `in`; the sum for output o is
//   sum over k and i < chunk of in[start + offsets[k] + i] * weight(o, k, i),
// weights laid out as [outputs / block][k][chunk / lanes][block][lanes], filled up with zeros.
// Window p of tile t goes to accumulators (t * tile + p) * stride + o; every window of a tile and every
// output of a block is written, so that there is no code for remainders. Depthwise convolutions have one
// input an output, in[... + o], and chunk 1.
struct ConvRows {
    const void* in;
    const int32_t* starts;
    int64_t tiles;
    int64_t step;
    const int32_t* offsets;
    int64_t depth;  // number of offsets
    const void* weights;
    int64_t outputs;  // rounded up to whole blocks
    void* acc;
    int64_t stride;
    // For forms that scale: how many offsets' sums of pairs of products fit 16 bits, and by what the sum of each output
    // is multiplied, as the accumulators.
    int64_t run;
    const void* scale;
    // For forms that start from something: what the sum of each output starts from, as the accumulators.
    const void* start;
};
using ConvKernel = void (*)(const ConvRows&);

// A convolution kernel, what it takes, and where it is exact.
struct ConvForm {
    const char* name;
    ConvKernel kernel;
    Type in, weights, acc;
    int lanes = 1, chunk = 1, block = 1, tile = 1;
    bool depthwise = false;
    bool pairs = false;           // adds products of neighbours in 16 bits, with saturation,
    int64_t together = 2;         // of so many
    int64_t least_windows = 1;    // a frame must have at least so many for it to pay,
    int64_t widest = INT64_MAX;   // a row at most so many,
    int64_t longest = INT64_MAX;  // a sum at most so many products
    bool whole = false;           // outputs must fill its blocks
    int64_t highest = INT64_MAX;  // of the codes it takes
    bool scales = false;          // multiplies sums, by `scale`
    bool crossed = false;         // of four inputs' weights of two outputs, [output][pair], in order of output + pair

    ConvForm(const char* name, ConvKernel kernel, Type in, Type weights, Type acc)
        : name(name), kernel(kernel), in(in), weights(weights), acc(acc) {}

    // What differs from the above, by name.
    ConvForm& inputs(int a_chunk) { return inputs(a_chunk, a_chunk); }
    ConvForm& inputs(int a_lane, int a_chunk) { return lanes = a_lane, chunk = a_chunk, *this; }
    ConvForm& outputs(int a_block) { return block = a_block, *this; }
    ConvForm& windows(int a_tile) { return tile = a_tile, *this; }
    ConvForm& pays_from(int64_t windows) { return least_windows = windows, *this; }
    ConvForm& for_rows_up_to(int64_t windows) { return widest = windows, *this; }
    ConvForm& for_sums_up_to(int64_t products) { return longest = products, *this; }
    ConvForm& in_whole_blocks() { return whole = true, *this; }
    ConvForm& channelwise() { return depthwise = true, *this; }
    ConvForm& in_pairs(int64_t products = 2) { return pairs = true, together = products, *this; }
    ConvForm& codes_up_to(int64_t code) { return highest = code, *this; }
    ConvForm& scaling() { return scales = true, *this; }
    ConvForm& in_crossed_pairs() { return crossed = true, *this; }
};

// One over tiles of so many windows, which pays from two on if it takes several at once.
inline ConvForm tiled_form(int windows, const char* name, ConvKernel kernel, Type in, Type weights, Type acc) {
    return ConvForm(name, kernel, in, weights, acc).windows(windows).pays_from(windows > 1 ? 2 : 1);
}

// Kernels for one kind of Winograd's convolutions: its points' products are 1 x 1 convolutions of tiles, whose kernel and
// `output` may be null where `tiles` and `pooled_tiles` do both. What else a tile costs, for each of its channels and of its
// outputs, is told in products.
struct WinogradForm {
    ConvForm products;
    Type sums;
    WinogradInputKernel input;
    WinogradOutputKernel output;
    int64_t copies;  // of a pair of inputs
    double input_cost, output_cost;
    WinogradTilesKernel tiles = nullptr, pooled_tiles = nullptr;
};

// Elements that kernels may read beyond the last one of a tensor, over whole tiles of windows.
constexpr int64_t kMostTile = 16;
constexpr size_t kOverread = 128;

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
using RequantizeKernel = void (*)(const Requantizer&, const void* acc, void* out, int64_t pixels, int64_t channels);

// out[i] = in[i]
using ConvertKernel = void (*)(const void* in, void* out, int64_t count);
// out[i] = max(out[i], in[i])
using MaxKernel = void (*)(const void* in, void* out, int64_t count);
// acc[i] += multiplier * in[i]
using AddKernel = void (*)(const void* in, void* acc, int64_t multiplier, int64_t count);
// acc[p][c * depth + d] = table[c][in[p][c]][d]
using LookupKernel = void (*)(const void* in, const void* table, void* acc, int64_t pixels, int64_t channels,
                              int64_t entries, int64_t depth);
// The largest of each 2 x 2 window: out[x][c] = max(above[2x][c], above[2x + 1][c], below...), pixels of out.
using Pool2x2Kernel = void (*)(const void* above, const void* below, void* out, int64_t pixels, int64_t channels);

// Tables are indexed by input Type, then by output Type or by whether accumulators are s64 and not s32; where they
// may be s16 too, by `acc_index`.
constexpr int acc_index(Type acc) { return acc == s16 ? 0 : acc == s32 ? 1 : 2; }

struct Kernels {
    const char* name = "scalar";
    std::vector<ConvForm> convs;      // the quickest first
    ConvKernel conv[kTypes][2];       // lanes, chunk and tile 1, block = outputs, weights as wide as the accumulator
    ConvKernel depthwise[kTypes][2];
    std::vector<WinogradForm> winograd;  // the quickest first
    ConvertKernel convert[kTypes][kTypes];
    MaxKernel max[kTypes];
    Pool2x2Kernel pool2x2[kTypes];
    AddKernel add[kTypes][3];
    LookupKernel lookup[kTypes][2];
    InterleaveKernel interleave;
    RequantizeKernel affine[kTypes];  // s32 accumulators, by output Type
    RequantizeKernel affine64[2][kTypes];
    RequantizeKernel count[2][kTypes];
    RequantizeKernel search[2][kTypes];
    LineKernels lines;
    void (*enter)() = nullptr;  // called by a thread before and after it runs kernels
    void (*leave)() = nullptr;
    std::vector<BitForm> bits;
};

// The sets this CPU can run, the quickest last; and one of them by name, or that last one by "auto".
std::vector<std::string> kernel_names();
bool find_kernels(const std::string& name, Kernels& kernels);

Kernels scalar_kernels();
#if defined(__x86_64__)
Kernels avx2_kernels();
Kernels avx512_kernels();
Kernels zen4_kernels();
#endif
#if defined(BITSWATH_AVXVNNI)
Kernels avxvnni_kernels();
#endif
#if defined(BITSWATH_AMX)
Kernels amx_kernels();
#endif
#if defined(BITSWATH_NEON)
Kernels neon_kernels();
#endif
#if defined(BITSWATH_NEONDOT)
Kernels neondot_kernels();
#endif

}  // namespace bitswath::emulator
