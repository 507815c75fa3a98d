// Samples to codes, alone or straight into packed frames. Free of Python.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "packing/rows.hpp"

namespace bitswath {

// Of a dither: (side, side, bands).
template <class V>
struct Mask {
    const V* values;
    int64_t side;
};

// (count, height, width, bands) samples, uint8_t or uint16_t.
template <class T>
struct Patches {
    const T* samples;
    int64_t count, height, width, bands;

    int64_t line() const { return width * bands; }
    int64_t size() const { return height * width * bands; }
};

// Instruction sets that encoders come in, each giving the same codes.
enum class Isa { plain, avx2, avx512 };

// Those that this processor has: names, the best last.
std::vector<std::string> codec_kernels();
// By name; the best for an empty one. Throws std::invalid_argument for one that is not there.
Isa codec_isa(const std::string& name);

// A codec applied to patches.
class Encoder {
  public:
    Encoder(int64_t patches, int64_t codes, int64_t sample_bytes)
        : patches(patches), codes(codes), sample_bytes(sample_bytes) {}
    virtual ~Encoder() = default;

    // What one thread keeps from part to part; nothing, unless an encoder needs it.
    struct Keep {
        virtual ~Keep() = default;
    };
    virtual std::unique_ptr<Keep> keep() const { return nullptr; }

    // Codes first .. last - 1 of a patch; returns the OR of their samples, or 0 where any sample is in range.
    virtual uint64_t encode(int64_t patch, int64_t first, int64_t last, Keep* kept, uint8_t* codes) const = 0;

    const int64_t patches, codes;  // codes of one patch
    const int64_t sample_bytes;    // of one patch
};

// code = sample >> shift
template <class T>
std::unique_ptr<Encoder> shift_encoder(Patches<T> patches, int shift, Isa isa);

// code = #{step : sample >= thresholds[h % rows][step][i % period]} for sample i of a line, or of the patch where
// there is one row; `thresholds` (rows, steps, period + kOverhang), the overhang continuing the period.
template <class T>
struct Thresholds {
    const T* values;
    int64_t rows, steps, period;
};
constexpr int64_t kOverhang = 64;

template <class T>
std::unique_ptr<Encoder> count_encoder(Patches<T> patches, Thresholds<T> thresholds, Isa isa);

// code = (positions[c][sample] + mask[h % side][w % side][c]) >> shift; positions (C or 1, 2^depth).
template <class T>
std::unique_ptr<Encoder> position_encoder(Patches<T> patches, const uint16_t* positions, bool per_band, int shift,
                                          Mask<uint8_t> mask);

// One code a pixel, of `count` <= 256 colours (count, C) within T: the nearest, of equally near ones the lowest. Throws
// std::invalid_argument for too many bands.
template <class T>
std::unique_ptr<Encoder> palette_encoder(Patches<T> patches, const int64_t* colours, int64_t count, Isa isa);

// The same of clamp(sample + left over), again and again, where left over is what samples minus colours have come to;
// of as many codes as there are ranks, sorted, number ranks[h % side][w % side] < kMostMixed.
constexpr int64_t kMostMixed = 16;

template <class T>
std::unique_ptr<Encoder> mixture_encoder(Patches<T> patches, const int64_t* colours, int64_t count,
                                         Mask<uint8_t> ranks, Isa isa);

// Calls run(y, x, first, samples) for every part of a line within samples first .. last of a patch.
template <class Run>
void over_lines(int64_t line, int64_t first, int64_t last, const Run& run) {
    while (first < last) {
        const int64_t x = first % line, samples = line - x < last - first ? line - x : last - first;
        run(first / line, x, first, samples);
        first += samples;
    }
}

// All codes, or all frames densely packed; returns the OR of what `Encoder::encode` does.
uint64_t encode_codes(const Encoder& encoder, int threads, uint8_t* codes);
uint64_t encode_frames(const Encoder& encoder, int bits, Means means, uint8_t* frames);

}  // namespace bitswath
