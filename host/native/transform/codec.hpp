// What a transform codec fixes, and its frames: docs/transform.md. Free of Python.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "transform/kernels.hpp"

namespace bitswath {

constexpr int kHeaderBytes = 5;
constexpr int kVersion = 1;
constexpr int kSteps = 64;
constexpr int kLongestFrame = 65535;
constexpr int kLongestCode = 12;
constexpr int kMostTables = 8;
constexpr int kClasses = 2;  // of components: the first, all others
constexpr int kZones = 7;    // of positions
constexpr int kSizes = 4;    // of the level before: 0, 1, 2, more
constexpr int kContexts = kClasses * kZones * kSizes;
constexpr int kMostBits = 14;  // of a level's magnitude
constexpr int kLargestLevel = (1 << kMostBits) - 1;
constexpr int kEnd = 0x000;     // of a block's component
constexpr int kEscape = 0x00f;  // run and size follow as they are
constexpr int kRunShift = 4;

// A canonical code: of symbols in the order of their codes, `counts[n - 1]` of n bits.
struct CanonicalTable {
    std::vector<int> counts, symbols;
};

struct Code {
    uint16_t bits = 0;
    uint8_t length = 0;  // 0: the table has no code for it
};

// Both directions of a table; a decoded entry is symbol | (length - 1) << 12.
struct HuffmanTable {
    explicit HuffmanTable(const CanonicalTable& table);
    std::vector<Code> codes;                           // by symbol, 4096
    std::array<uint16_t, 1 << kLongestCode> decoding;  // by the next 12 bits
};

struct TransformCodec {
    int bands = 1;
    std::vector<int16_t> matrix;  // (components, bands) at 2^12
    std::array<int, 3> deltas{};  // of levels 1, 2, more: thirty-seconds of a step
    std::vector<HuffmanTable> dc, ac;
    std::array<uint8_t, kContexts> contexts{};
    uint16_t seed = 0;
    int longest = kLongestFrame;  // bytes of a frame
    int index = 0;                // of the finest step

    int headroom() const { return bands <= 15 ? 0 : bands <= 63 ? 1 : 2; }
    const HuffmanTable& ac_of(int component, int position, int before) const {
        return ac[contexts[(component > 0) * kZones * kSizes + zone(position) * kSizes + (before < 3 ? before : 3)]];
    }
    static int zone(int position) {
        return (position >= 1) + (position >= 3) + (position >= 6) + (position >= 15) + (position >= 36) +
               (position >= 90);
    }
};

// What a level stands for, in a coefficient's units; `delta` 0 for the mean of a block.
int32_t magnitude_of(int level, int delta, int index, int headroom);

// Positions of the zigzag scan as row * 16 + column, and back.
extern const std::array<uint8_t, kBlockSize> kScan, kPlace;

uint16_t frame_check(const uint8_t* frame, int64_t bytes, uint16_t seed);

// (count, height, width, bands) of 8 bits.
struct Images {
    int64_t count, height, width;
    int64_t down() const { return (height + kBlock - 1) / kBlock; }
    int64_t across() const { return (width + kBlock - 1) / kBlock; }
};

enum class FrameFault : uint8_t { none, length, version, check, run, level, end, fill };

// Frames in rows of `stride` bytes to samples; the fault of each, whose samples are then zeros.
void decode_frames(const TransformCodec& codec, const TransformKernels& kernels, const uint8_t* frames, int64_t stride,
                   Images images, int threads, uint8_t* samples, FrameFault* faults);

// Samples to frames; empty for a patch of which no frame is short enough.
using Frames = std::vector<std::vector<uint8_t>>;
Frames encode_frames(const TransformCodec& codec, const TransformKernels& kernels, const uint8_t* samples,
                     Images images, int threads);

// What a fit counts over the frames of patches: levels of a block's mean by class and bits, AC symbols by context
// (runs up to 255, with an end), and of AC levels 1, 2, more how many there are and what they come to in steps.
struct TransformCounts {
    std::vector<int64_t> dc = std::vector<int64_t>(kClasses * (kMostBits + 1));
    std::vector<int64_t> ac = std::vector<int64_t>(kContexts * 4096);
    std::array<double, 3> excess{};
    std::array<int64_t, 3> levels{};
};
TransformCounts count_symbols(const TransformCodec& codec, const TransformKernels& kernels, const uint8_t* samples,
                              Images images);

}  // namespace bitswath
