// The colours of a palette as keys, and the kernels that find the smallest key of each pixel of a block; a part of
// palette.cpp and mixture.cpp.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "common/cpu.hpp"

#define BITSWATH_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
// GCC 12's own intrinsics start from an undefined register, and warn about it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#define BITSWATH_AVX2 BITSWATH_FOR_AVX2FMA
#define BITSWATH_AVX512 BITSWATH_FOR_AVX512VNNI
#endif

namespace bitswath {
namespace {

constexpr int64_t kPixels = 64;
constexpr int64_t kFewColours = 16;  // comparing costs less than leaving out

// For pixel p and colour number k, the key room (|c|^2 - 2 c.p) + k orders colours as the distance |p - c|^2 does
// and, of equally near ones, puts the lowest number first; `room` is a power of two, at least the count of colours.
// So the smallest key names the winner, and where every sum is exact so is the result, whatever the instructions.
// Keys are double, which holds integers up to 2^53, or for uint8_t samples int32_t, whose products are of two
// factors of 16 bits: p << kShift and -2 room c >> kShift.
template <class Key>
struct Palette {
    int64_t count, bands, room;
    std::vector<Key> values;     // (bands, count)
    std::vector<Key> side_by_side;  // int32_t: (pairs, count), two bands of `values`
    std::vector<Key> constants;  // (count)
    std::vector<Key> factors;    // double: (count, bands); int32_t: (count, pairs), two bands side by side

    int64_t factors_of_colour() const { return static_cast<int64_t>(factors.size()) / count; }
};
constexpr int kShift = 4;

int64_t room_for(int64_t count) {
    int64_t room = 1;
    while (room < count) room *= 2;
    return room;
}

// Whether the keys of samples of type T do. Throws std::invalid_argument where they do not fit a double either.
template <class T>
bool fits_int32(int64_t count, int64_t bands) {
    constexpr double top = std::numeric_limits<T>::max();
    // Of a key: |c|^2 + 2 c.p and the colour's number.
    const double largest = static_cast<double>(std::max<int64_t>(room_for(count), 8)) * (3 * top * top * bands + 1);
    if (largest > 0x1p53) throw std::invalid_argument("too many bands");
    return sizeof(T) == 1 && largest < 0x1p31;
}

int32_t side_by_side(int32_t low, int32_t high) {
    return static_cast<int32_t>(static_cast<uint32_t>(low & 0xFFFF) | static_cast<uint32_t>(high) << 16);
}

template <class Key>
Palette<Key> palette_of(const int64_t* colours, int64_t count, int64_t bands) {
    // A room of 8 at least makes -2 room c a multiple of 2^kShift.
    Palette<Key> palette{count, bands, std::max<int64_t>(room_for(count), 1 << (kShift - 1)), {}, {}, {}, {}};
    palette.values.resize(bands * count);
    for (int64_t k = 0; k < count; ++k, colours += bands) {
        const int64_t square = std::inner_product(colours, colours + bands, colours, int64_t{0});
        palette.constants.push_back(static_cast<Key>(palette.room * square + k));
        for (int64_t c = 0; c < bands; ++c) palette.values[c * count + k] = static_cast<Key>(colours[c]);
        const auto factor = [&](int64_t c) { return c < bands ? -2 * palette.room * colours[c] : 0; };
        if constexpr (std::is_same_v<Key, double>) {
            for (int64_t c = 0; c < bands; ++c) palette.factors.push_back(static_cast<double>(factor(c)));
        } else {
            for (int64_t c = 0; c < bands; c += 2)
                palette.factors.push_back(side_by_side(static_cast<int32_t>(factor(c) >> kShift),
                                                       static_cast<int32_t>(factor(c + 1) >> kShift)));
        }
    }
    if constexpr (std::is_same_v<Key, int32_t>)
        for (int64_t c = 0; c < bands; c += 2)
            for (const int32_t *low = &palette.values[c * count], *end = low + count; low < end; ++low)
                palette.side_by_side.push_back(side_by_side(*low, c + 1 < bands ? low[count] : 0));
    return palette;
}

// What a thread needs for kPixels pixels.
template <class Key>
struct Scratch {
    struct alignas(64) Plane {
        Key pixels[kPixels] = {};
    };
    explicit Scratch(const Palette<Key>& palette)
        : planes(palette.bands + 1), pairs((palette.bands + 1) / 2), lowest(palette.bands + 1), highest(palette.bands + 1) {}

    std::vector<Plane> planes, pairs;  // of each band, and one of zeros; of two bands side by side
    std::vector<Key> lowest, highest;  // the box that the pixels lie in, of each band and one of zeros
    int32_t numbers[256 + 16];         // of the colours that may be nearest, and room for a vector
    Plane least;
};

// ---- a block of pixels: its planes are filled ----

// Pixels that are not there repeat the first one, which makes no box wider.
template <class Key>
BITSWATH_INLINE void fill_up(int64_t size, Key* plane) {
    for (int64_t i = size; i < kPixels; ++i) plane[i] = plane[0];
}

template <class Key>
BITSWATH_INLINE void find_box(int64_t bands, Scratch<Key>& scratch) {
    for (int64_t c = 0; c < bands; ++c) {
        const Key* plane = scratch.planes[c].pixels;
        Key lowest = plane[0], highest = plane[0];
        for (int64_t i = 0; i < kPixels; ++i) {
            lowest = std::min(lowest, plane[i]);
            highest = std::max(highest, plane[i]);
        }
        scratch.lowest[c] = lowest;
        scratch.highest[c] = highest;
    }
}

BITSWATH_INLINE void pair_up(int64_t bands, Scratch<int32_t>& scratch) {
    for (int64_t c = 0; c < bands; c += 2) {
        const int32_t *low = scratch.planes[c].pixels, *high = scratch.planes[c + 1].pixels;
        for (int64_t i = 0; i < kPixels; ++i) scratch.pairs[c / 2].pixels[i] = (low[i] | high[i] << 16) << kShift;
    }
}
BITSWATH_INLINE void pair_up(int64_t, Scratch<double>&) {}

// ---- which colours may be nearest ----

// A colour can win only if the box's point nearest to it is no farther than some colour's farthest corner of the box
// is from that colour. Writes the numbers of those that can, in order; returns how many.
template <class Key>
BITSWATH_INLINE int64_t leave_out(const Palette<Key>& palette, Scratch<Key>& scratch) {
    Key near[256], far[256], bound = std::numeric_limits<Key>::max();
    const int64_t count = palette.count;
    std::fill_n(near, count, Key{0});
    std::fill_n(far, count, Key{0});
    for (int64_t c = 0; c < palette.bands; ++c) {
        const Key* values = palette.values.data() + c * count;
        const Key lowest = scratch.lowest[c], highest = scratch.highest[c];
        for (int64_t k = 0; k < count; ++k) {
            const Key below = lowest - values[k], above = values[k] - highest;
            const Key outside = std::max(std::max(below, above), Key{0}), across = std::max(-below, -above);
            near[k] += outside * outside;
            far[k] += across * across;
        }
    }
    for (int64_t k = 0; k < count; ++k) bound = std::min(bound, far[k]);
    int64_t found = 0;
    for (int64_t k = 0; k < count; ++k) {
        scratch.numbers[found] = static_cast<int32_t>(k);
        found += near[k] <= bound;
    }
    return found;
}

// ---- the smallest key of each pixel, over the colours of the given numbers ----

struct PlainLanes {
    template <class Key>
    static BITSWATH_INLINE int64_t candidates(const Palette<Key>& palette, Scratch<Key>& scratch) {
        return leave_out(palette, scratch);
    }

    static void least(const Palette<int32_t>& palette, Scratch<int32_t>& scratch, int64_t found) {
        const int64_t pairs = palette.factors_of_colour();
        int32_t* least = scratch.least.pixels;
        std::fill_n(least, kPixels, std::numeric_limits<int32_t>::max());
        for (int64_t n = 0; n < found; ++n) {
            const int32_t number = scratch.numbers[n], *factors = palette.factors.data() + number * pairs;
            int32_t keys[kPixels];
            std::fill_n(keys, kPixels, palette.constants[number]);
            for (int64_t pair = 0; pair < pairs; ++pair) {
                const int32_t* pixels = scratch.pairs[pair].pixels;
                const int32_t low = static_cast<int16_t>(factors[pair]), high = factors[pair] >> 16;
                for (int64_t i = 0; i < kPixels; ++i)
                    keys[i] += static_cast<int16_t>(pixels[i]) * low + (pixels[i] >> 16) * high;
            }
            for (int64_t i = 0; i < kPixels; ++i) least[i] = std::min(least[i], keys[i]);
        }
    }

    static void least(const Palette<double>& palette, Scratch<double>& scratch, int64_t found) {
        least_vectors<16>(palette, scratch, found);
    }

    template <int bytes>
    static BITSWATH_INLINE void least_vectors(const Palette<double>& palette, Scratch<double>& scratch, int64_t found) {
        typedef double Vector __attribute__((vector_size(bytes)));
        constexpr int64_t lanes = bytes / sizeof(double), unroll = 4;
        const int64_t bands = palette.bands;
        for (int64_t first = 0; first < kPixels; first += lanes * unroll) {
            Vector least[unroll], key[unroll];
            for (int64_t u = 0; u < unroll; ++u) least[u] = Vector{} + std::numeric_limits<double>::max();
            for (int64_t n = 0; n < found; ++n) {
                const int32_t number = scratch.numbers[n];
                const double* factors = palette.factors.data() + number * bands;
                for (int64_t u = 0; u < unroll; ++u) key[u] = Vector{} + palette.constants[number];
                for (int64_t c = 0; c < bands; ++c) {
                    const Vector* pixels = reinterpret_cast<const Vector*>(scratch.planes[c].pixels + first);
                    for (int64_t u = 0; u < unroll; ++u) key[u] += pixels[u] * factors[c];
                }
                for (int64_t u = 0; u < unroll; ++u) least[u] = key[u] < least[u] ? key[u] : least[u];
            }
            for (int64_t u = 0; u < unroll; ++u)
                *reinterpret_cast<Vector*>(scratch.least.pixels + first + u * lanes) = least[u];
        }
    }
};

#if defined(__x86_64__)
struct Avx2Lanes : PlainLanes {
    BITSWATH_AVX2 static void least(const Palette<int32_t>& palette, Scratch<int32_t>& scratch, int64_t found) {
        constexpr int64_t unroll = 4;
        const int64_t pairs = palette.factors_of_colour();
        for (int64_t first = 0; first < kPixels; first += 8 * unroll) {
            __m256i least[unroll], key[unroll];
            for (auto& lanes : least) lanes = _mm256_set1_epi32(std::numeric_limits<int32_t>::max());
            for (int64_t n = 0; n < found; ++n) {
                const int32_t number = scratch.numbers[n], *factors = palette.factors.data() + number * pairs;
                for (auto& lanes : key) lanes = _mm256_set1_epi32(palette.constants[number]);
                for (int64_t pair = 0; pair < pairs; ++pair) {
                    const auto* pixels = reinterpret_cast<const __m256i*>(scratch.pairs[pair].pixels + first);
                    const __m256i factor = _mm256_set1_epi32(factors[pair]);
                    for (int64_t u = 0; u < unroll; ++u)
                        key[u] = _mm256_add_epi32(key[u], _mm256_madd_epi16(_mm256_load_si256(pixels + u), factor));
                }
                for (int64_t u = 0; u < unroll; ++u) least[u] = _mm256_min_epi32(least[u], key[u]);
            }
            auto* out = reinterpret_cast<__m256i*>(scratch.least.pixels + first);
            for (int64_t u = 0; u < unroll; ++u) _mm256_store_si256(out + u, least[u]);
        }
    }

    BITSWATH_AVX2 static void least(const Palette<double>& palette, Scratch<double>& scratch, int64_t found) {
        PlainLanes::least_vectors<32>(palette, scratch, found);
    }
};

struct Avx512Lanes : PlainLanes {
    using PlainLanes::candidates;

    // The same as `leave_out`, two bands of sixteen colours at a time.
    BITSWATH_AVX512 static int64_t candidates(const Palette<int32_t>& palette, Scratch<int32_t>& scratch) {
        __m512i near[16], bound = _mm512_set1_epi32(std::numeric_limits<int32_t>::max());
        const __m512i zero = _mm512_setzero_si512();
        const int64_t count = palette.count, vectors = (count + 15) / 16;
        for (int64_t v = 0; v < vectors; ++v) {
            const __mmask16 there = static_cast<__mmask16>(count - 16 * v < 16 ? (1 << (count - 16 * v)) - 1 : 0xFFFF);
            __m512i far = near[v] = zero;
            for (int64_t c = 0; c < palette.bands; c += 2) {
                const __m512i lowest = _mm512_set1_epi32(side_by_side(scratch.lowest[c], scratch.lowest[c + 1]));
                const __m512i highest = _mm512_set1_epi32(side_by_side(scratch.highest[c], scratch.highest[c + 1]));
                const __m512i values = _mm512_maskz_loadu_epi32(there, palette.side_by_side.data() + c / 2 * count + 16 * v);
                const __m512i outside = _mm512_max_epi16(
                    zero, _mm512_max_epi16(_mm512_sub_epi16(lowest, values), _mm512_sub_epi16(values, highest)));
                const __m512i across =
                    _mm512_max_epi16(_mm512_sub_epi16(values, lowest), _mm512_sub_epi16(highest, values));
                near[v] = _mm512_dpwssd_epi32(near[v], outside, outside);
                far = _mm512_dpwssd_epi32(far, across, across);
            }
            bound = _mm512_mask_min_epi32(bound, there, bound, far);
        }
        bound = _mm512_set1_epi32(_mm512_reduce_min_epi32(bound));
        int64_t found = 0;
        for (int64_t v = 0; v < vectors; ++v) {
            const int64_t left = count - 16 * v;
            const __mmask16 there = static_cast<__mmask16>(left < 16 ? (1 << left) - 1 : 0xFFFF);
            const __mmask16 kept = _mm512_mask_cmple_epi32_mask(there, near[v], bound);
            const __m512i numbers = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int32_t>(16 * v)),
                                                     _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
            _mm512_storeu_si512(scratch.numbers + found, _mm512_maskz_compress_epi32(kept, numbers));
            found += __builtin_popcount(kept);
        }
        return found;
    }

    BITSWATH_AVX512 static void least(const Palette<int32_t>& palette, Scratch<int32_t>& scratch, int64_t found) {
        constexpr int64_t unroll = kPixels / 16;
        const int64_t pairs = palette.factors_of_colour();
        __m512i least[unroll], key[unroll];
        for (auto& lanes : least) lanes = _mm512_set1_epi32(std::numeric_limits<int32_t>::max());
        for (int64_t n = 0; n < found; ++n) {
            const int32_t number = scratch.numbers[n], *factors = palette.factors.data() + number * pairs;
            for (auto& lanes : key) lanes = _mm512_set1_epi32(palette.constants[number]);
            for (int64_t pair = 0; pair < pairs; ++pair) {
                const int32_t* pixels = scratch.pairs[pair].pixels;
                const __m512i factor = _mm512_set1_epi32(factors[pair]);
                for (int64_t u = 0; u < unroll; ++u)
                    key[u] = _mm512_dpwssd_epi32(key[u], _mm512_load_si512(pixels + 16 * u), factor);
            }
            for (int64_t u = 0; u < unroll; ++u) least[u] = _mm512_min_epi32(least[u], key[u]);
        }
        for (int64_t u = 0; u < unroll; ++u) _mm512_store_si512(scratch.least.pixels + 16 * u, least[u]);
    }

    BITSWATH_AVX512 static void least(const Palette<double>& palette, Scratch<double>& scratch, int64_t found) {
        PlainLanes::least_vectors<64>(palette, scratch, found);
    }
};
#endif

// ---- all of it ----

// numbers[i]: of the colour nearest to pixel i.
template <class Lanes, class Key, class Number>
BITSWATH_INLINE void nearest_numbers(const Palette<Key>& palette, Scratch<Key>& scratch, Number* numbers) {
    pair_up(palette.bands, scratch);
    int64_t found = palette.count;
    if (found > kFewColours) {
        find_box(palette.bands, scratch);
        found = Lanes::candidates(palette, scratch);
    } else {
        std::iota(scratch.numbers, scratch.numbers + found, 0);
    }
    Lanes::least(palette, scratch, found);
    using Integer = std::conditional_t<sizeof(Key) == 4, int32_t, int64_t>;
    for (int64_t i = 0; i < kPixels; ++i)
        numbers[i] = static_cast<Number>(static_cast<Integer>(scratch.least.pixels[i]) & (palette.room - 1));
}

}  // namespace
}  // namespace bitswath
