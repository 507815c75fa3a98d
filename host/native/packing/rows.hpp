// Batches of values to bytes and back: types of the values, range check, rows that start on a byte, threads.
#pragma once

#include "packing/packing.hpp"

namespace bitswath {

// What a packed value may be: two's complement or unsigned, and FINN's bipolar -1/+1 stored as 0/1.
struct Element {
    int bits;
    bool is_signed = false;

    bool bipolar() const { return is_signed && bits == 1; }
    int64_t lo() const { return bipolar() ? -1 : is_signed ? -(int64_t{1} << (bits - 1)) : 0; }
    int64_t hi() const { return bipolar() ? 1 : (int64_t{1} << (bits - is_signed)) - 1; }
    bool holds(int64_t value) const { return value >= lo() && value <= hi() && !(bipolar() && value == 0); }
    bool holds(float value) const { return value >= lo() && value <= hi() && holds_integer(value); }
    uint64_t encode(int64_t value) const {
        return static_cast<uint64_t>(bipolar() ? (value + 1) / 2 : value) & ((uint64_t{1} << bits) - 1);
    }
    int64_t decode(uint64_t raw) const {
        if (bipolar()) return raw ? 1 : -1;
        const int64_t value = static_cast<int64_t>(raw);
        return is_signed && raw >> (bits - 1) ? value - (int64_t{1} << bits) : value;
    }

  private:
    bool holds_integer(float value) const {
        return value == static_cast<float>(static_cast<int64_t>(value)) && holds(static_cast<int64_t>(value));
    }
};

// `rows` times `count` values; the bytes of each row are packed_bytes(count, bits).
struct Rows {
    int64_t rows, count;
};

// How the work is done: with which kernels, on how many threads (0: as many as pay).
struct Means {
    const PackingKernels& kernels;
    int threads = 0;
};

constexpr int64_t kNone = -1;

// Returns the index of the first value that `element` does not hold, the bytes then being undefined, or kNone. T is
// any integer type of up to 64 bits but uint64_t, for widths up to 32; or float for unsigned widths up to 8.
template <class T>
int64_t pack_rows(const T* values, Rows rows, Element element, Means means, uint8_t* bytes);

// T is uint8_t for unsigned widths up to 8; int32_t or int64_t, which must hold any value of the width, up to 32.
template <class T>
void unpack_rows(const uint8_t* bytes, Rows rows, Element element, Means means, T* values);

}  // namespace bitswath
