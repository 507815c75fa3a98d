// The definition, in plain loops.
#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "common/cpu.hpp"
#include "transform/kernels.hpp"

namespace bitswath {

const int16_t kDct[kBlock][kBlock] = {
    {64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64},
    {90, 87, 80, 70, 57, 43, 25, 9, -9, -25, -43, -57, -70, -80, -87, -90},
    {89, 75, 50, 18, -18, -50, -75, -89, -89, -75, -50, -18, 18, 50, 75, 89},
    {87, 57, 9, -43, -80, -90, -70, -25, 25, 70, 90, 80, 43, -9, -57, -87},
    {83, 36, -36, -83, -83, -36, 36, 83, 83, 36, -36, -83, -83, -36, 36, 83},
    {80, 9, -70, -87, -25, 57, 90, 43, -43, -90, -57, 25, 87, 70, -9, -80},
    {75, -18, -89, -50, 50, 89, 18, -75, -75, 18, 89, 50, -50, -89, -18, 75},
    {70, -43, -87, 9, 90, 25, -80, -57, 57, 80, -25, -90, -9, 87, 43, -70},
    {64, -64, -64, 64, 64, -64, -64, 64, 64, -64, -64, 64, 64, -64, -64, 64},
    {57, -80, -25, 90, -9, -87, 43, 70, -70, -43, 87, 9, -90, 25, 80, -57},
    {50, -89, 18, 75, -75, -18, 89, -50, -50, 89, -18, -75, 75, 18, -89, 50},
    {43, -90, 57, 25, -87, 70, 9, -80, 80, -9, -70, 87, -25, -57, 90, -43},
    {36, -83, 83, -36, -36, 83, -83, 36, 36, -83, 83, -36, -36, 83, -83, 36},
    {25, -70, 90, -80, 43, 9, -57, 87, -87, 57, -9, -43, 80, -90, 70, -25},
    {18, -50, 75, -89, 89, -75, 50, -18, -18, 50, -75, 89, -89, 75, -50, 18},
    {9, -25, 43, -57, 70, -80, 87, -90, 90, -87, 80, -70, 57, -43, 25, -9},
};

namespace {

int16_t saturated(int32_t value) { return static_cast<int16_t>(std::clamp(value, -32768, 32767)); }

void forward(BlockValues& block, int headroom) {
    BlockValues columns;
    const int first = 4 + headroom;
    for (int u = 0; u < kBlock; ++u)
        for (int x = 0; x < kBlock; ++x) {
            int32_t sum = 1 << (first - 1);
            for (int y = 0; y < kBlock; ++y) sum += kDct[u][y] * block.at[y * kBlock + x];
            columns.at[u * kBlock + x] = saturated(sum >> first);
        }
    for (int u = 0; u < kBlock; ++u)
        for (int v = 0; v < kBlock; ++v) {
            int32_t sum = 1 << 9;
            for (int x = 0; x < kBlock; ++x) sum += kDct[v][x] * columns.at[u * kBlock + x];
            block.at[u * kBlock + v] = saturated(sum >> 10);
        }
}

void inverse(BlockValues& block, int headroom, int rows, int columns) {
    BlockValues lines;
    const int last = 12 - headroom;
    for (int y = 0; y < kBlock; ++y)
        for (int v = 0; v < columns; ++v) {
            int32_t sum = 1 << 5;
            for (int u = 0; u < rows; ++u) sum += kDct[u][y] * block.at[u * kBlock + v];
            lines.at[y * kBlock + v] = saturated(sum >> 6);
        }
    for (int y = 0; y < kBlock; ++y)
        for (int x = 0; x < kBlock; ++x) {
            int32_t sum = 1 << (last - 1);
            for (int v = 0; v < columns; ++v) sum += kDct[v][x] * lines.at[y * kBlock + v];
            block.at[y * kBlock + x] = static_cast<int16_t>(std::clamp(sum >> last, -2048, 2047));
        }
}

BlockMask quantize(const BlockValues& coefficients, uint32_t factor, uint32_t offset, int shift,
                   BlockValues& levels) {
    BlockMask mask{};
    for (int i = 0; i < kBlockSize; ++i) {
        const int32_t value = coefficients.at[i];
        const auto level =
            static_cast<int32_t>((static_cast<uint32_t>(std::abs(value)) * factor + offset) >> shift);
        levels.at[i] = static_cast<int16_t>(value < 0 ? -level : level);
        mask.words[i / 64] |= uint64_t{level != 0} << i % 64;
    }
    return mask;
}

void to_components(const uint8_t* pixels, int bands, const int16_t* matrix, BlockValues* components, int row) {
    for (int c = 0; c < bands; ++c)
        for (int x = 0; x < kBlock; ++x) {
            int32_t sum = 1 << 11;
            for (int b = 0; b < bands; ++b) sum += matrix[c * bands + b] * (pixels[x * bands + b] - 128);
            components[c].at[row * kBlock + x] = static_cast<int16_t>(std::clamp(sum >> 12, -2048, 2047));
        }
}

void to_pixels(const BlockValues* components, int bands, const int16_t* matrix, int row, uint8_t* pixels) {
    for (int x = 0; x < kBlock; ++x)
        for (int b = 0; b < bands; ++b) {
            int32_t sum = 1 << 11;
            for (int c = 0; c < bands; ++c) sum += matrix[c * bands + b] * components[c].at[row * kBlock + x];
            pixels[x * bands + b] = static_cast<uint8_t>(std::clamp((sum >> 12) + 128, 0, 255));
        }
}

}  // namespace

const TransformKernels kPlainTransform = {forward, inverse, quantize, to_components, to_pixels};

std::vector<std::string> transform_kernel_names() {
    std::vector<std::string> names = {"plain"};
#if defined(__x86_64__)
    if (cpu().avx2) names.push_back("avx2");
#endif
#if defined(BITSWATH_NEON)
    if (cpu().neon) names.push_back("neon");
#endif
    return names;
}

const TransformKernels& transform_kernels(const std::string& name) {
    const auto names = transform_kernel_names();
    const std::string& wanted = name.empty() ? names.back() : name;
    if (std::find(names.begin(), names.end(), wanted) == names.end())
        throw std::invalid_argument("kernels " + wanted + " are not for this processor");
#if defined(__x86_64__)
    if (wanted == "avx2") return kAvx2Transform;
#endif
#if defined(BITSWATH_NEON)
    if (wanted == "neon") return kNeonTransform;
#endif
    return kPlainTransform;
}

}  // namespace bitswath
