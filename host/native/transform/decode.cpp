#include <algorithm>
#include <cstring>

#include "common/threads.hpp"
#include "transform/codec.hpp"

namespace bitswath {
namespace {

constexpr int kBeyond = 16;  // zeros behind a frame, so that bits can be read past its end before that is noticed

// The next bits of a frame, first bit of a byte first.
class BitReader {
  public:
    BitReader(const uint8_t* bytes, int64_t size) : bytes_(bytes), end_(8 * size) {}

    uint32_t peek(int bits) const {
        uint64_t word;
        std::memcpy(&word, bytes_ + (at_ >> 3), sizeof word);
        return static_cast<uint32_t>((__builtin_bswap64(word) << (at_ & 7)) >> (64 - bits));
    }
    void skip(int bits) { at_ += bits; }
    uint32_t take(int bits) {
        const uint32_t value = peek(bits);
        at_ += bits;
        return value;
    }
    int symbol(const HuffmanTable& table) {
        const uint16_t entry = table.decoding[peek(kLongestCode)];
        at_ += (entry >> 12) + 1;
        return entry & 0xfff;
    }
    // A sign and the bits below a magnitude's leading one; `size` at least 1.
    int signed_value(int size) {
        const uint32_t bits = take(size), top = 1u << (size - 1);
        const int magnitude = static_cast<int>((bits & (top - 1)) | top);
        return bits & top ? -magnitude : magnitude;
    }
    bool over() const { return at_ > end_; }
    bool at_fill() const {
        const int64_t left = end_ - at_;
        return left >= 0 && left < 8 && (left == 0 || peek(static_cast<int>(left)) == 0);
    }

  private:
    const uint8_t* bytes_;
    int64_t end_, at_ = 0;
};

// One thread's memory.
struct Room {
    std::vector<BlockValues> components;
    std::vector<int> above;  // levels of means, (across, bands)
    std::vector<int> left;
    std::vector<uint8_t> frame;
    std::vector<uint8_t> pixels;
};

class FrameDecoder {
  public:
    FrameDecoder(const TransformCodec& codec, const TransformKernels& kernels, Images images)
        : codec_(codec), kernels_(kernels), images_(images) {
        room_.components.resize(codec.bands);
        room_.above.resize(images.across() * codec.bands);
        room_.left.resize(codec.bands);
        room_.pixels.resize(kBlock * codec.bands);
    }

    FrameFault decode(const uint8_t* row, int64_t stride, uint8_t* samples) {
        const int64_t length = stride < kHeaderBytes ? 0 : row[0] | row[1] << 8;
        if (length < kHeaderBytes || length > stride) return FrameFault::length;
        if (row[2] >> 6 != kVersion) return FrameFault::version;
        if (frame_check(row, length, codec_.seed) != (row[3] | row[4] << 8)) return FrameFault::check;
        if (std::any_of(row + length, row + stride, [](uint8_t byte) { return byte != 0; })) return FrameFault::fill;
        room_.frame.assign(length - kHeaderBytes + kBeyond, 0);
        std::copy(row + kHeaderBytes, row + length, room_.frame.begin());
        BitReader bits(room_.frame.data(), length - kHeaderBytes);
        index_ = row[2] & (kSteps - 1);
        const FrameFault fault = blocks(bits, samples);
        return fault != FrameFault::none ? fault : bits.at_fill() ? FrameFault::none : FrameFault::end;
    }

  private:
    FrameFault blocks(BitReader& bits, uint8_t* samples) {
        for (int64_t y = 0; y < images_.down(); ++y)
            for (int64_t x = 0; x < images_.across(); ++x) {
                for (int c = 0; c < codec_.bands; ++c) {
                    const FrameFault fault = component(bits, y, x, c);
                    if (fault != FrameFault::none) return fault;
                }
                pixels(y * kBlock, x * kBlock, samples);
            }
        return FrameFault::none;
    }

    FrameFault component(BitReader& bits, int64_t y, int64_t x, int c) {
        BlockValues& block = room_.components[c];
        std::memset(&block, 0, sizeof block);
        const int size = bits.symbol(codec_.dc[c > 0]);
        int mean = size ? bits.signed_value(size) : 0;
        int& above = room_.above[x * codec_.bands + c];
        int& left = room_.left[c];
        mean += x && y ? (left + above) >> 1 : x ? left : y ? above : 0;
        if (mean < -kLargestLevel || mean > kLargestLevel) return FrameFault::level;
        left = above = mean;
        place(block, 0, mean, 0);
        int rows = 1, columns = 1;
        for (int position = 0, before = 0;;) {
            if (bits.over()) return FrameFault::end;
            const int symbol = bits.symbol(codec_.ac_of(c, position, before));
            if (symbol == kEnd) break;
            int run = symbol >> kRunShift, bits_of_level = symbol & 0xf;
            if (symbol == kEscape) {
                run = static_cast<int>(bits.take(8));
                bits_of_level = static_cast<int>(bits.take(4));
                if (bits_of_level < 1 || bits_of_level > kMostBits) return FrameFault::level;
            }
            const int level = bits.signed_value(bits_of_level);
            position += run + 1;
            if (position >= kBlockSize) return FrameFault::run;
            before = std::abs(level);
            const int at = place(block, position, level, codec_.deltas[std::min(before, 3) - 1]);
            rows = std::max(rows, at / kBlock + 1);
            columns = std::max(columns, at % kBlock + 1);
        }
        if (bits.over()) return FrameFault::end;
        if (rows == 1 && columns == 1)
            fill(block);
        else
            kernels_.inverse(block, codec_.headroom(), rows, columns);
        return FrameFault::none;
    }

    // What `inverse` makes of a mean alone.
    void fill(BlockValues& block) const {
        const int shift = 12 - codec_.headroom();
        const int32_t value = (64 * block.at[0] + (1 << (shift - 1))) >> shift;
        std::fill_n(block.at, kBlockSize, static_cast<int16_t>(std::clamp(value, -2048, 2047)));
    }

    int place(BlockValues& block, int position, int level, int delta) {
        const int at = kScan[position];
        const int32_t magnitude = magnitude_of(std::abs(level), level ? delta : 0, index_, codec_.headroom());
        block.at[at] = static_cast<int16_t>(level < 0 ? -magnitude : magnitude);
        return at;
    }

    void pixels(int64_t y, int64_t x, uint8_t* samples) {
        const int64_t line = images_.width * codec_.bands, width = std::min<int64_t>(kBlock, images_.width - x);
        for (int64_t row = 0; row < std::min<int64_t>(kBlock, images_.height - y); ++row) {
            uint8_t* out = samples + (y + row) * line + x * codec_.bands;
            const bool whole = width == kBlock;
            uint8_t* into = whole ? out : room_.pixels.data();
            kernels_.to_pixels(room_.components.data(), codec_.bands, codec_.matrix.data(), static_cast<int>(row), into);
            if (!whole) std::copy_n(into, width * codec_.bands, out);
        }
    }

    const TransformCodec& codec_;
    const TransformKernels& kernels_;
    Images images_;
    Room room_;
    int index_ = 0;
};

}  // namespace

void decode_frames(const TransformCodec& codec, const TransformKernels& kernels, const uint8_t* frames, int64_t stride,
                   Images images, int threads, uint8_t* samples, FrameFault* faults) {
    const int64_t size = images.height * images.width * codec.bands;
    over_threads(images.count, useful_threads(threads, images.count * size), [&](int64_t first, int64_t last) {
        FrameDecoder decoder(codec, kernels, images);
        for (int64_t i = first; i < last; ++i) {
            faults[i] = decoder.decode(frames + i * stride, stride, samples + i * size);
            if (faults[i] != FrameFault::none) std::memset(samples + i * size, 0, size);
        }
    });
}

}  // namespace bitswath
