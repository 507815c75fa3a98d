// Beats as packed bits, and a stream between two stages with the queue in it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace bitswath {

constexpr size_t MARGIN = 8;  // bytes behind a beat that may be read and written with its last ones

inline uint64_t load64(const uint8_t* bytes) {
    uint64_t value;
    std::memcpy(&value, bytes, 8);
    return value;
}

// `count` bits, at most 32, from bit `at`.
inline uint32_t get_bits(const uint8_t* bytes, size_t at, unsigned count) {
    return static_cast<uint32_t>(load64(bytes + at / 8) >> (at % 8) & ((uint64_t{1} << count) - 1));
}

// Writes them there and leaves the others.
inline void put_bits(uint8_t* bytes, size_t at, unsigned count, uint32_t value) {
    const uint64_t mask = (uint64_t{1} << count) - 1;
    const uint64_t word = (load64(bytes + at / 8) & ~(mask << (at % 8))) | (value & mask) << (at % 8);
    std::memcpy(bytes + at / 8, &word, 8);
}

// A beat of so many bytes, in whole words of 8.
inline void copy_beat(uint8_t* to, const uint8_t* from, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 8) std::memcpy(to + at, from + at, 8);
}

inline void clear_beat(uint8_t* beat, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 8) std::memset(beat + at, 0, 8);
}

inline void copy_bits(uint8_t* to, size_t to_bit, const uint8_t* from, size_t from_bit, size_t count) {
    if (to_bit % 8 == 0 && from_bit % 8 == 0)
        for (; count >= 64; count -= 64, to_bit += 64, from_bit += 64)
            std::memcpy(to + to_bit / 8, from + from_bit / 8, 8);
    for (; count > 32; count -= 32, to_bit += 32, from_bit += 32)
        put_bits(to, to_bit, 32, get_bits(from, from_bit, 32));
    put_bits(to, to_bit, static_cast<unsigned>(count), get_bits(from, from_bit, static_cast<unsigned>(count)));
}

// A ring of beats, as many as a power of two.
class Ring {
public:
    Ring() = default;
    Ring(size_t beats, size_t bytes) : stride_((bytes + MARGIN + 7) / 8 * 8) {
        size_t slots = 1;
        while (slots < beats) slots *= 2;
        mask_ = slots - 1;
        bytes_.resize(slots * stride_);
    }
    uint8_t* at(size_t index) { return bytes_.data() + (index & mask_) * stride_; }
    const uint8_t* at(size_t index) const { return bytes_.data() + (index & mask_) * stride_; }

private:
    size_t stride_ = 0, mask_ = 0;
    std::vector<uint8_t> bytes_;
};

// A flag of each of 64 streams, in bytes, which cost least to write, and gathered in a word.
class Flags {
public:
    uint8_t& operator[](size_t stream) { return bytes_[stream]; }
    uint64_t word() const {
        uint64_t bits = 0;
#if defined(__AVX2__)
        for (size_t at = 0; at < 64; at += 32) {
            const __m256i flags = _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes_ + at));
            bits |= uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_slli_epi16(flags, 7)))} << at;
        }
#else
        for (size_t at = 0; at < 64; at += 8)  // the product gathers the lowest bits of 8 bytes in the highest one
            bits |= load64(bytes_ + at) * 0x0102040810204080 >> 56 << at;
#endif
        return bits;
    }

private:
    alignas(32) uint8_t bytes_[64] = {};
};

// The handshakes of 64 streams. `valid` and `ready` are registers of their queues, a beat for the sink and room for one
// of the source; `offered` and `wanted` are wires of the source and of the sink.
struct Handshakes {
    uint64_t valid = 0, ready = 0;
    Flags offered, wanted;
    Flags weights_given, weights_taken;  // wires of streams of weights, which have no queues
    Flags filled, full;                  // queues with beats in their memory, and no room there
    uint64_t fetched = 0;                // with a beat in the register behind block RAM
    uint64_t queued = 0, in_ram = 0;     // queues there are, and those in block RAM
};

// A stream and its queue (hw/rtl/streams/stream_fifo.sv): `capacity` beats of memory and, behind it, an output
// register, before which queues in block RAM have another. Stages see its registers of the cycle's begin and set its
// wires; what they give they write where `next` says.
class Link {
public:
    Link(Handshakes& shared, unsigned bit, size_t bytes, uint32_t capacity, bool in_ram)
        : bytes(bytes), shared_(shared), bit_(bit), capacity_(capacity), beats_(capacity + 5, bytes) {
        shared.queued |= uint64_t{1} << bit;
        if (in_ram) shared.in_ram |= uint64_t{1} << bit;
        reset();
    }

    const size_t bytes;

    bool valid() const { return valid_ >> bit_ & 1; }
    bool ready() const { return ready_ >> bit_ & 1; }
    // Sets the source's wire, the sink's; whether a beat moves in this cycle.
    bool offer(bool offered) {
        const bool moves = offered & ready();
        offered_ = offered;
        return moves;
    }
    bool want(bool wanted) {
        const bool moves = wanted & valid();
        wanted_ = wanted;
        return moves;
    }
    const uint8_t* front() const { return beats_.at(tail_ - fill_ - 1 - (shared_.fetched >> bit_ & 1)); }
    // Where the source's next beat lies: after those that are complete and have not moved before this cycle.
    uint8_t* next(unsigned complete) { return beats_.at(tail_ + complete); }

    void reset() {
        const uint64_t others = ~(uint64_t{1} << bit_);
        shared_.valid &= others;
        shared_.fetched &= others;
        shared_.ready |= ~others;
        tail_ = fill_ = 0;
        move(false, false);
    }
    // A beat comes into the memory, one leaves it.
    void move(bool take, bool fetch) {
        tail_ += take;
        fill_ += take - fetch;
        filled_ = fill_ != 0;
        full_ = fill_ >= capacity_;
    }

private:
    Handshakes& shared_;
    const uint64_t &valid_ = shared_.valid, &ready_ = shared_.ready;
    const unsigned bit_;
    uint8_t &offered_ = shared_.offered[bit_], &wanted_ = shared_.wanted[bit_];
    uint8_t &filled_ = shared_.filled[bit_], &full_ = shared_.full[bit_];
    const uint32_t capacity_;
    uint32_t tail_ = 0, fill_ = 0;
    Ring beats_;
};

}  // namespace bitswath
