// How often each stream moved a beat, and how often it waited for its source or its sink.

#pragma once

#include "ports.hpp"
#include "records.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

// For each of 64 bits, in how many of the words given it was set. Bit-sliced: eight words are added up by carry-save
// adders (Harley and Seal), the carry then ripples through planes of which each holds one digit of 64 counts.
class Counter64 {
public:
    void add8(const uint64_t* words, size_t stride) {
        auto word = [&](size_t i) { return words[i * stride]; };
        const auto [ones_a, twos_a] = add(ones_, word(0), word(1));
        const auto [ones_b, twos_b] = add(ones_a, word(2), word(3));
        const auto [ones_c, twos_c] = add(ones_b, word(4), word(5));
        const auto [ones_d, twos_d] = add(ones_c, word(6), word(7));
        const auto [twos_e, fours_a] = add(twos_, twos_a, twos_b);
        const auto [twos_f, fours_b] = add(twos_e, twos_c, twos_d);
        const auto [fours, eights] = add(fours_, fours_a, fours_b);
        ones_ = ones_d, twos_ = twos_f, fours_ = fours;
        uint64_t carry = eights;
        for (size_t plane = 0; carry; ++plane) {
            const uint64_t next = planes_[plane] & carry;
            planes_[plane] ^= carry;
            carry = next;
        }
    }
    uint64_t count(unsigned bit) const {
        auto digit = [bit](uint64_t plane) { return plane >> bit & 1; };
        uint64_t total = digit(ones_) + 2 * digit(twos_) + 4 * digit(fours_);
        for (size_t plane = 0; plane < planes_.size(); ++plane) total += digit(planes_[plane]) << (plane + 3);
        return total;
    }

private:
    static std::pair<uint64_t, uint64_t> add(uint64_t a, uint64_t b, uint64_t c) {
        const uint64_t half = a ^ b;
        return {half ^ c, (a & b) | (half & c)};
    }
    uint64_t ones_ = 0, twos_ = 0, fours_ = 0;
    std::array<uint64_t, 48> planes_{};
};

// Of every stream: cycles in which a beat moved, in which the source waited, in which the sink waited.
class Counters {
public:
    void sample(const Vtop& top) {
        const Bits valid = bits_of(top.probe_valid), ready = bits_of(top.probe_ready);
        const Bits sink_valid = bits_of(top.probe_sink_valid), sink_ready = bits_of(top.probe_sink_ready);
        uint64_t moved = 0;
        for (size_t w = 0; w < PROBE_WORDS; ++w) {
            samples_[0][held_][w] = valid[w] & ready[w];
            samples_[1][held_][w] = valid[w] & ~ready[w];
            samples_[2][held_][w] = sink_ready[w] & ~sink_valid[w];
            moved |= samples_[0][held_][w] | (sink_valid[w] & sink_ready[w]);
        }
        moved_ |= moved;
        if (++held_ == 8) flush();
    }
    // Whether any beat moved since this was asked last.
    bool moved() { return std::exchange(moved_, 0) != 0; }
    void write(Record& record) {
        while (held_) {  // samples without a bit change no count
            for (auto& kind : samples_) kind[held_] = Bits{};
            if (++held_ == 8) flush();
        }
        for (const auto& kind : counters_)
            for (size_t stream = 0; stream < BITSWATH_STREAMS; ++stream)
                record.add(kind[stream / 64].count(stream % 64));
    }

private:
    void flush() {
        for (size_t kind = 0; kind < 3; ++kind)
            for (size_t w = 0; w < PROBE_WORDS; ++w) counters_[kind][w].add8(&samples_[kind][0][w], PROBE_WORDS);
        held_ = 0;
    }
    std::array<std::array<Bits, 8>, 3> samples_{};
    std::array<std::array<Counter64, PROBE_WORDS>, 3> counters_{};
    size_t held_ = 0;
    uint64_t moved_ = 0;
};
