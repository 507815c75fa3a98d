// The transform codec's kernels against the plain ones on random blocks, and frames by each of them: their bytes' sum
// is printed, so that processors can be compared; then so many damaged ones.
//
//   transform --list     prints the kernels
//   transform COUNT      a line for each kernel
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "transform/codec.hpp"

using namespace bitswath;

namespace {

void require(bool condition, const char* what, const std::string& kernels) {
    if (condition) return;
    std::fprintf(stderr, "%s differs with %s kernels\n", what, kernels.c_str());
    std::exit(1);
}

bool equal(const BlockValues& a, const BlockValues& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

BlockValues random_block(std::mt19937& random, int reach, int rows, int columns) {
    BlockValues block{};
    for (int y = 0; y < rows; ++y)
        for (int x = 0; x < columns; ++x)
            block.at[y * kBlock + x] = static_cast<int16_t>(static_cast<int>(random() % (2u * reach)) - reach);
    return block;
}

void compare_blocks(std::mt19937& random, const std::string& name) {
    const TransformKernels &kernels = transform_kernels(name), &plain = transform_kernels("plain");
    for (int round = 0; round < 60; ++round) {
        const int headroom = round % 3, rows = 1 + random() % kBlock, columns = 1 + random() % kBlock;
        BlockValues a = random_block(random, round % 2 ? 2048 : 255, kBlock, kBlock), b = a;
        plain.forward(a, headroom);
        kernels.forward(b, headroom);
        require(equal(a, b), "forward", name);
        const uint32_t factor = 280 + random() % 65257;
        const int shift = 18 - headroom;
        BlockValues first, second;
        const BlockMask x = plain.quantize(a, factor, (1u << shift) / 3, shift, first);
        const BlockMask y = kernels.quantize(a, factor, (1u << shift) / 3, shift, second);
        require(equal(first, second) && std::memcmp(&x, &y, sizeof x) == 0, "quantize", name);
        a = b = random_block(random, 1 << (5 + round % 11), rows, columns);
        plain.inverse(a, headroom, rows, columns);
        kernels.inverse(b, headroom, rows, columns);
        require(equal(a, b), "inverse", name);
    }
}

void compare_bands(std::mt19937& random, const std::string& name) {
    const TransformKernels &kernels = transform_kernels(name), &plain = transform_kernels("plain");
    for (int bands : {1, 2, 3, 4, 13, 20}) {
        std::vector<int16_t> matrix(bands * bands);
        for (auto& value : matrix) value = static_cast<int16_t>(static_cast<int>(random() % 8193) - 4096);
        std::vector<uint8_t> pixels(kBlock * bands), back(pixels), again(pixels);
        for (auto& value : pixels) value = static_cast<uint8_t>(random());
        std::vector<BlockValues> a(bands), b(bands);
        for (int row = 0; row < kBlock; ++row) {
            plain.to_components(pixels.data(), bands, matrix.data(), a.data(), row);
            kernels.to_components(pixels.data(), bands, matrix.data(), b.data(), row);
        }
        for (int c = 0; c < bands; ++c) require(equal(a[c], b[c]), "to_components", name);
        plain.to_pixels(a.data(), bands, matrix.data(), 5, back.data());
        kernels.to_pixels(a.data(), bands, matrix.data(), 5, again.data());
        require(back == again, "to_pixels", name);
    }
}

CanonicalTable flat_table(const std::vector<int>& symbols) {  // a power of two of them
    CanonicalTable table{std::vector<int>(kLongestCode), symbols};
    int bits = 0;
    while (1u << bits < symbols.size()) ++bits;
    table.counts[bits - 1] = static_cast<int>(symbols.size());
    return table;
}

TransformCodec small_codec() {
    TransformCodec codec;
    codec.bands = 3;
    codec.matrix = {3096, 2080, 1694, -2515, 1350, 2938, -933, 3260, -2298};
    codec.deltas = {-3, -2, 4};
    std::vector<int> sizes(kMostBits + 1), symbols = {kEnd, kEscape};
    for (int size = 0; size <= kMostBits; ++size) sizes[size] = size;
    CanonicalTable dc{std::vector<int>(kLongestCode), sizes};
    dc.counts[2] = 1;   // one of 3 bits
    dc.counts[3] = 14;  // and fourteen of 4: complete
    codec.dc = {HuffmanTable(dc), HuffmanTable(dc)};
    for (int i = 0; symbols.size() < 64; ++i) symbols.push_back((i / 4) << kRunShift | (1 + i % 4));
    codec.ac = {HuffmanTable(flat_table(symbols))};
    codec.seed = 0x1234;
    return codec;
}

uint64_t frames_with(const std::string& name, int damaged) {
    std::mt19937 random(7);
    TransformCodec codec = small_codec();
    const TransformKernels& kernels = transform_kernels(name);
    const Images images{3, 37, 50};
    std::vector<uint8_t> samples(images.count * images.height * images.width * codec.bands), back(samples);
    for (size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<uint8_t>(i / 40 + random() % (1 + i / 3000));
    uint64_t sum = 14695981039346656037u;
    for (int index : {0, 17, 40}) {
        codec.index = index;
        codec.longest = index == 17 ? 900 : kLongestFrame;
        const Frames frames = encode_frames(codec, kernels, samples.data(), images, 2);
        size_t stride = 0;
        for (const auto& frame : frames) stride = std::max(stride, frame.size());
        require(stride > 0 && stride <= static_cast<size_t>(codec.longest), "the longest frame", name);
        std::vector<uint8_t> rows(images.count * stride);
        for (size_t i = 0; i < frames.size(); ++i) std::memcpy(&rows[i * stride], frames[i].data(), frames[i].size());
        std::vector<FrameFault> faults(images.count);
        decode_frames(codec, kernels, rows.data(), stride, images, 2, back.data(), faults.data());
        for (FrameFault fault : faults) require(fault == FrameFault::none, "a sound frame", name);
        for (const auto* bytes : {&rows, &back})
            for (uint8_t byte : *bytes) sum = (sum ^ byte) * 1099511628211u;
        for (int damage = 0; damage < damaged; ++damage) {
            std::vector<uint8_t> bad(rows);
            for (int hit = 0; hit < 3; ++hit) bad[random() % bad.size()] = static_cast<uint8_t>(random());
            codec.seed = static_cast<uint16_t>(damage % 4 ? 0x1234 : random());
            decode_frames(codec, kernels, bad.data(), stride, images, 1, back.data(), faults.data());
        }
        codec.seed = 0x1234;
    }
    return sum;
}

}  // namespace

int main(int argc, char** argv) {
    const auto names = transform_kernel_names();
    if (argc > 1 && std::strcmp(argv[1], "--list") == 0) {
        for (const auto& name : names) std::puts(name.c_str());
        return 0;
    }
    std::mt19937 random(3);
    for (const auto& name : names) {
        compare_blocks(random, name);
        compare_bands(random, name);
        std::printf("%016llx\n", static_cast<unsigned long long>(frames_with(name, argc > 1 ? std::atoi(argv[1]) : 0)));
    }
    return 0;
}
