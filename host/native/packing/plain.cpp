#include <algorithm>
#include <cstring>

#include "packing/kernels.hpp"

namespace bitswath {
namespace {

constexpr uint64_t low_bits(int count) { return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1; }

// `width` ones at the bottom of every `lane` bits of a 64-bit word.
constexpr uint64_t lanes(int lane, int width) {
    uint64_t mask = 0;
    for (int bottom = 0; bottom < 64; bottom += lane) mask |= low_bits(width) << bottom;
    return mask;
}

// Moves the upper half of every `lane` bits down, so that fields of `width` bits become neighbours.
template <int lane, int width>
inline uint64_t join(uint64_t x) {
    constexpr uint64_t lower = lanes(lane, lane / 2);
    return (x & lower) | (x & ~lower) >> (lane / 2 - width);
}

// The inverse of `join`.
template <int lane, int width>
inline uint64_t part(uint64_t x) {
    constexpr uint64_t lower = lanes(lane, width);
    return (x & lower) | (x & lower << width) << (lane / 2 - width);
}

// Eight codes, one a byte, to 8 * B adjacent bits.
template <int B>
inline uint64_t squeeze(uint64_t x) {
    return join<64, 4 * B>(join<32, 2 * B>(join<16, B>(x)));
}

// The inverse; bits of `x` above 8 * B are ignored.
template <int B>
inline uint64_t spread(uint64_t x) {
    return part<16, B>(part<32, 2 * B>(part<64, 4 * B>(x)));
}

}  // namespace

// Words of 8 bytes are moved where they fit; the bytes above B are overwritten by the next octet.
template <int B>
uint64_t pack_plain(const uint8_t* codes, int64_t count, uint8_t* bytes) {
    uint64_t seen = 0, x;
    const int64_t whole = whole_steps(count, B, 8, 8);
    for (int64_t i = 0; i < whole; ++i, codes += 8, bytes += B) {
        std::memcpy(&x, codes, 8);
        seen |= x;
        x = squeeze<B>(x);
        std::memcpy(bytes, &x, 8);
    }
    for (int64_t left = count - 8 * whole; left > 0; left -= 8, codes += 8, bytes += B) {
        x = 0;
        std::memcpy(&x, codes, left < 8 ? left : 8);
        seen |= x;
        x = squeeze<B>(x);
        std::memcpy(bytes, &x, left < 8 ? packed_bytes(left, B) : B);
    }
    return seen;
}

template <int B>
void unpack_plain(const uint8_t* bytes, int64_t count, uint8_t* codes) {
    uint64_t x;
    const int64_t whole = whole_steps(count, B, 8, 8);
    for (int64_t i = 0; i < whole; ++i, codes += 8, bytes += B) {
        std::memcpy(&x, bytes, 8);
        x = spread<B>(x);
        std::memcpy(codes, &x, 8);
    }
    for (int64_t left = count - 8 * whole; left > 0; left -= 8, codes += 8, bytes += B) {
        x = 0;
        std::memcpy(&x, bytes, left < 8 ? packed_bytes(left, B) : B);
        x = spread<B>(x);
        std::memcpy(codes, &x, left < 8 ? left : 8);
    }
}

// One group a word, moved as above while eight bytes lie within the arrays.
template <int B>
static uint64_t pack_groups(const uint8_t* codes, int64_t groups, int size, uint8_t* bytes) {
    const int64_t group_bytes = packed_bytes(size, B);
    const int64_t whole = std::max<int64_t>(0, groups - 7);  // eight groups are at least eight bytes
    uint64_t seen = 0, x;
    for (int64_t i = 0; i < whole; ++i, codes += size, bytes += group_bytes) {
        std::memcpy(&x, codes, 8);
        x &= low_bits(8 * size);
        seen |= x;
        x = squeeze<B>(x);
        std::memcpy(bytes, &x, 8);
    }
    for (int64_t i = whole; i < groups; ++i, codes += size, bytes += group_bytes) {
        x = 0;
        std::memcpy(&x, codes, size);
        seen |= x;
        x = squeeze<B>(x);
        std::memcpy(bytes, &x, group_bytes);
    }
    return seen;
}

template <int B>
static void unpack_groups(const uint8_t* bytes, int64_t groups, int size, uint8_t* codes) {
    const int64_t group_bytes = packed_bytes(size, B);
    const int64_t whole = std::max<int64_t>(0, groups - 7);
    uint64_t x;
    for (int64_t i = 0; i < whole; ++i, codes += size, bytes += group_bytes) {
        std::memcpy(&x, bytes, 8);
        x = spread<B>(x);
        std::memcpy(codes, &x, 8);
    }
    for (int64_t i = whole; i < groups; ++i, codes += size, bytes += group_bytes) {
        x = 0;
        std::memcpy(&x, bytes, group_bytes);
        x = spread<B>(x);
        std::memcpy(codes, &x, size);
    }
}

static uint64_t copy_in(const uint8_t* codes, int64_t count, uint8_t* bytes) {
    if (count > 0) std::memcpy(bytes, codes, count);
    return 0;  // a byte is always in range
}

static void copy_out(const uint8_t* bytes, int64_t count, uint8_t* codes) {
    if (count > 0) std::memcpy(codes, bytes, count);
}

template <int... B>
static void fill(PackingKernels& kernels) {
    ((kernels.pack[B] = pack_plain<B>, kernels.unpack[B] = unpack_plain<B>), ...);
    ((kernels.pack_groups[B] = pack_groups<B>, kernels.unpack_groups[B] = unpack_groups<B>), ...);
}

PackingKernels plain_packing() {
    PackingKernels kernels;
    fill<1, 2, 3, 4, 5, 6, 7>(kernels);
    kernels.pack[8] = copy_in;
    kernels.unpack[8] = copy_out;
    return kernels;
}

}  // namespace bitswath
