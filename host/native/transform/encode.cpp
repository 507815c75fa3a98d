#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "common/threads.hpp"
#include "transform/codec.hpp"

namespace bitswath {
namespace {

constexpr int kWorth = 10;  // sixty-fourths of a squared step: the distortion that a bit is worth
constexpr int kKeepAll = kBlockSize - 1;
constexpr int kKeepNone = -1;

// Levels of more than 15 bands at the finest steps can be larger than a frame holds.
int in_range(int level) { return std::clamp(level, -kLargestLevel, kLargestLevel); }

int bits_of(int value) { return value ? 32 - __builtin_clz(static_cast<uint32_t>(std::abs(value))) : 0; }

class BitWriter {
  public:
    void put(uint32_t value, int bits) {
        held_ = held_ << bits | value;
        count_ += bits;
        while (count_ >= 8) bytes_.push_back(static_cast<uint8_t>(held_ >> (count_ -= 8)));
    }
    void put(Code code) { put(code.bits, code.length); }
    // A sign and the bits below a magnitude's leading one.
    void put_signed(int value, int size) {
        const uint32_t top = 1u << (size - 1), magnitude = static_cast<uint32_t>(std::abs(value));
        put((magnitude & (top - 1)) | (value < 0 ? top : 0), size);
    }
    void start() {
        bytes_.assign(kHeaderBytes, 0);
        held_ = 0;
        count_ = 0;
    }
    std::vector<uint8_t>& finish() {
        if (count_) put(0, 8 - count_);
        return bytes_;
    }
    int64_t size() const { return static_cast<int64_t>(bytes_.size()) + (count_ > 0); }

  private:
    std::vector<uint8_t> bytes_;
    uint64_t held_ = 0;
    int count_ = 0;
};

// A level that is not zero, and its coefficient's magnitude.
struct Entry {
    int position, level, size;
};

// The levels of one component of a block, by position.
struct Levels {
    int mean = 0;
    int count = 0;
    Entry entries[kBlockSize];
};

// Levels of a step: what quantizing needs to know of it.
struct Step {
    Step(int index, int headroom)
        : index(index),
          factor(static_cast<uint32_t>(std::lround(65536 / std::exp2(index / 8.0)))),
          shift(18 - headroom),
          size(magnitude_of(1, 0, index, headroom)) {}
    int index;
    uint32_t factor;
    int shift;
    int64_t size;  // in a coefficient's units
};

// One patch on its way to a frame.
class FrameEncoder {
  public:
    FrameEncoder(const TransformCodec& codec, const TransformKernels& kernels, Images images)
        : codec_(codec), kernels_(kernels), images_(images) {
        blocks_.resize(images.down() * images.across() * codec.bands);
        pixels_.resize(kBlock * codec.bands);
        means_.resize(images.across() * codec.bands);
        left_.resize(codec.bands);
    }

    void transform(const uint8_t* samples) {
        for (int64_t y = 0, first = 0; y < images_.down(); ++y)
            for (int64_t x = 0; x < images_.across(); ++x, first += codec_.bands) {
                for (int row = 0; row < kBlock; ++row)
                    kernels_.to_components(line(samples, y * kBlock + row, x * kBlock), codec_.bands,
                                           codec_.matrix.data(), &blocks_[first], row);
                for (int c = 0; c < codec_.bands; ++c) kernels_.forward(blocks_[first + c], codec_.headroom());
            }
    }

    // The frame of the finest step that fits, or of the coarsest with fewer positions.
    std::vector<uint8_t> frame() {
        int index = codec_.index;
        if (!fits(index, kKeepAll)) {
            index = likely(index);
            if (index < kSteps && fits(index, kKeepAll)) {
                while (index - 1 > codec_.index && fits(index - 1, kKeepAll)) --index;
            } else {
                while (++index < kSteps && !fits(index, kKeepAll)) continue;
            }
            if (index >= kSteps) shorten();
        }
        return finished();
    }

    // The step of the frame made last.
    int index() const { return index_; }

    // Calls take(component, levels, residual of the mean) for each block's components as in the frame made last.
    template <class Take>
    void each(const Take& take) {
        each(index_, kept_, take);
    }

  private:
    template <class Take>
    void each(int index, int kept, const Take& take) {
        const Step step(index, codec_.headroom());
        int64_t first = 0;
        for (int64_t y = 0; y < images_.down(); ++y)
            for (int64_t x = 0; x < images_.across(); ++x)
                for (int c = 0; c < codec_.bands; ++c, ++first) {
                    quantize(blocks_[first], step, c, kept);
                    int& above = means_[x * codec_.bands + c];
                    const int predicted = x && y ? (left_[c] + above) >> 1 : x ? left_[c] : y ? above : 0;
                    const int residual = kept == kKeepNone ? 0 : in_range(levels_.mean - predicted);
                    left_[c] = above = predicted + residual;
                    take(c, levels_, residual);
                }
    }

    // 16 pixels of a line, the last ones repeated beyond the patch.
    const uint8_t* line(const uint8_t* samples, int64_t y, int64_t x) {
        const int bands = codec_.bands;
        const uint8_t* row = samples + std::min(y, images_.height - 1) * images_.width * bands;
        if (x + kBlock <= images_.width) return row + x * bands;
        for (int64_t i = 0; i < kBlock; ++i)
            std::copy_n(row + std::min(x + i, images_.width - 1) * bands, bands, pixels_.begin() + i * bands);
        return pixels_.data();
    }

    void quantize(const BlockValues& block, const Step& step, int c, int kept) {
        BlockValues quantized;
        const uint32_t one = 1u << step.shift;
        BlockMask mask = kernels_.quantize(block, step.factor, one / 3, step.shift, quantized);
        const int32_t mean = block.at[0];
        const auto level = static_cast<int>((static_cast<uint32_t>(std::abs(mean)) * step.factor + one / 2) >> step.shift);
        levels_.mean = in_range(mean < 0 ? -level : level);
        levels_.count = 0;
        mask.words[0] &= ~uint64_t{1};
        BlockMask scanned{};
        for (int word = 0; word < 4; ++word)
            for (uint64_t left = mask.words[word]; left; left &= left - 1) {
                const int position = kPlace[64 * word + __builtin_ctzll(left)];
                scanned.words[position / 64] |= uint64_t{1} << position % 64;
            }
        for (int word = 0; word < 4; ++word)
            for (uint64_t left = scanned.words[word]; left; left &= left - 1) {
                const int position = 64 * word + __builtin_ctzll(left), at = kScan[position];
                if (position > kept) break;
                levels_.entries[levels_.count++] = {position, in_range(quantized.at[at]), std::abs(int{block.at[at]})};
            }
        drop(step, c);
    }

    // Leaves out levels of 1 whose bits are worth more than what they mend, the last first.
    void drop(const Step& step, int c) {
        Entry* entries = levels_.entries;
        const int64_t value = magnitude_of(1, codec_.deltas[0], step.index, codec_.headroom());
        int next = levels_.count;  // the entry behind the one at hand; kept ones lie from there on
        for (int i = levels_.count - 1; i >= 0; --i) {
            const Entry entry = entries[i];
            if (std::abs(entry.level) == 1) {
                const Entry before = i ? entries[i - 1] : Entry{0, 0, 0};
                const int with = cost(c, before, &entry) + cost(c, entry, following(next));
                const int bits = with - cost(c, before, following(next));
                if (64 * value * (2 * entry.size - value) < kWorth * step.size * step.size * bits) continue;
            }
            entries[--next] = entry;
        }
        std::move(entries + next, entries + levels_.count, entries);
        levels_.count -= next;
    }

    const Entry* following(int next) const { return next < levels_.count ? &levels_.entries[next] : nullptr; }

    // Bits of an entry behind another one, or of the end.
    int cost(int c, const Entry& before, const Entry* entry) const {
        const HuffmanTable& table = codec_.ac_of(c, before.position, std::abs(before.level));
        if (!entry) return table.codes[kEnd].length;
        const int size = bits_of(entry->level);
        const int length = table.codes[(entry->position - before.position - 1) << kRunShift | size].length;
        return size + (length ? length : table.codes[kEscape].length + 12);
    }

    // Whether a frame is short enough, which is then the one to be sent.
    bool fits(int index, int kept) {
        write(index, kept);
        if (out_.size() > codec_.longest) return false;
        std::swap(out_, sent_);
        index_ = index;
        kept_ = kept;
        return true;
    }

    // The step from which on the frame at hand, of step `index`, may be short enough: seven steps halve it.
    int likely(int index) const {
        int64_t size = out_.size();
        do {
            size = size * 232 / 256;
            ++index;
        } while (size > codec_.longest && index < kSteps - 1);
        return index;
    }

    // The frame of the coarsest step with as many positions as fit.
    void shorten() {
        int kept = kKeepNone, lost = kKeepAll;
        while (lost - kept > 1) (fits(kSteps - 1, (kept + lost) / 2) ? kept : lost) = (kept + lost) / 2;
        if (kept == kKeepNone) fits(kSteps - 1, kKeepNone);
    }

    void write(int index, int kept) {
        out_.start();
        each(index, kept, [&](int c, const Levels& levels, int residual) {
            const int size = bits_of(residual);
            out_.put(codec_.dc[c > 0].codes[size]);
            if (size) out_.put_signed(residual, size);
            Entry before{0, 0, 0};
            for (int i = 0; i < levels.count; ++i) {
                put(c, before, levels.entries[i]);
                before = levels.entries[i];
            }
            out_.put(codec_.ac_of(c, before.position, std::abs(before.level)).codes[kEnd]);
        });
    }

    void put(int c, const Entry& before, const Entry& entry) {
        const HuffmanTable& table = codec_.ac_of(c, before.position, std::abs(before.level));
        const int size = bits_of(entry.level), run = entry.position - before.position - 1;
        const Code code = table.codes[run << kRunShift | size];
        if (code.length) {
            out_.put(code);
        } else {
            out_.put(table.codes[kEscape]);
            out_.put(static_cast<uint32_t>(run << 4 | size), 12);
        }
        out_.put_signed(entry.level, size);
    }

    std::vector<uint8_t> finished() {
        std::vector<uint8_t> frame = sent_.finish();
        sent_ = {};
        if (frame.empty()) return {};
        frame[0] = static_cast<uint8_t>(frame.size());
        frame[1] = static_cast<uint8_t>(frame.size() >> 8);
        frame[2] = static_cast<uint8_t>(kVersion << 6 | index_);
        const uint16_t check = frame_check(frame.data(), static_cast<int64_t>(frame.size()), codec_.seed);
        frame[3] = static_cast<uint8_t>(check);
        frame[4] = static_cast<uint8_t>(check >> 8);
        return frame;
    }

    const TransformCodec& codec_;
    const TransformKernels& kernels_;
    Images images_;
    std::vector<BlockValues> blocks_;
    std::vector<uint8_t> pixels_;
    std::vector<int> means_, left_;
    Levels levels_;
    BitWriter out_, sent_;
    int index_ = 0, kept_ = kKeepAll;
};

}  // namespace

Frames encode_frames(const TransformCodec& codec, const TransformKernels& kernels, const uint8_t* samples,
                     Images images, int threads) {
    const int64_t size = images.height * images.width * codec.bands;
    Frames frames(images.count);
    over_threads(images.count, useful_threads(threads, images.count * size), [&](int64_t first, int64_t last) {
        FrameEncoder encoder(codec, kernels, images);
        for (int64_t i = first; i < last; ++i) {
            encoder.transform(samples + i * size);
            frames[i] = encoder.frame();
        }
    });
    return frames;
}

TransformCounts count_symbols(const TransformCodec& codec, const TransformKernels& kernels, const uint8_t* samples,
                              Images images) {
    const int64_t size = images.height * images.width * codec.bands;
    TransformCounts counts;
    FrameEncoder encoder(codec, kernels, images);
    for (int64_t i = 0; i < images.count; ++i) {
        encoder.transform(samples + i * size);
        encoder.frame();
        const double step = 4 * std::exp2(encoder.index() / 8.0) / (1 << codec.headroom());
        encoder.each([&](int c, const Levels& levels, int residual) {
            const int group = (c > 0) * kZones * kSizes;
            ++counts.dc[(c > 0) * (kMostBits + 1) + bits_of(residual)];
            int position = 0, before = 0;
            const auto context = [&] {
                return group + TransformCodec::zone(position) * kSizes + std::min(before, kSizes - 1);
            };
            for (int e = 0; e < levels.count; ++e) {
                const Entry& entry = levels.entries[e];
                ++counts.ac[context() << 12 | (entry.position - position - 1) << kRunShift | bits_of(entry.level)];
                position = entry.position;
                before = std::abs(entry.level);
                const int kind = std::min(before, 3) - 1;
                counts.excess[kind] += entry.size / step - before;
                ++counts.levels[kind];
            }
            ++counts.ac[context() << 12 | kEnd];
        });
    }
    return counts;
}

}  // namespace bitswath
