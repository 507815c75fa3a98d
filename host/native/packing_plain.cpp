// The reference: eight codes at a time in a 64-bit word.
#include <cstring>

#include "packing.hpp"

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

template <int B>
uint64_t pack(const uint8_t* codes, int64_t count, uint8_t* bytes) {
    uint64_t seen = 0;
    for (; count > 0; count -= 8, codes += 8, bytes += B) {
        uint64_t x = 0;
        std::memcpy(&x, codes, count < 8 ? count : 8);
        seen |= x;
        x = squeeze<B>(x);
        std::memcpy(bytes, &x, count < 8 ? packed_bytes(count, B) : B);
    }
    return seen;
}

template <int B>
void unpack(const uint8_t* bytes, int64_t count, uint8_t* codes) {
    for (; count > 0; count -= 8, codes += 8, bytes += B) {
        uint64_t x = 0;
        std::memcpy(&x, bytes, count < 8 ? packed_bytes(count, B) : B);
        x = spread<B>(x);
        std::memcpy(codes, &x, count < 8 ? count : 8);
    }
}

template <int... B>
void fill(PackingKernels& kernels) {
    ((kernels.pack[B] = pack<B>, kernels.unpack[B] = unpack<B>), ...);
}

uint64_t copy_in(const uint8_t* codes, int64_t count, uint8_t* bytes) {
    if (count > 0) std::memcpy(bytes, codes, count);
    return 0;  // a byte is always in range
}

void copy_out(const uint8_t* bytes, int64_t count, uint8_t* codes) {
    if (count > 0) std::memcpy(codes, bytes, count);
}

}  // namespace

PackingKernels plain_packing() {
    PackingKernels kernels;
    fill<1, 2, 3, 4, 5, 6, 7>(kernels);
    kernels.pack[8] = copy_in;
    kernels.unpack[8] = copy_out;
    return kernels;
}

const std::vector<PackingKernels>& packing_kernels() {
    static const std::vector<PackingKernels> kernels = {plain_packing()};
    return kernels;
}

}  // namespace bitswath
