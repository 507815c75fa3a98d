// Colours of a palette that together come close to a pixel, of which its place takes one. What is mixed depends on the
// pixel's value alone, and images have few values again and again: so mixtures are kept, and pixels whose value has none
// wait until there are kPixels of them, which are mixed at once, one a lane.
#include <algorithm>
#include <array>
#include <cstring>

#include "encoding/encoding.hpp"
#include "encoding/palette_lanes.hpp"

namespace bitswath {
namespace {

using Mixture = std::array<uint8_t, kMostMixed>;  // codes, ascending

// ---- mixing kPixels pixels ----

template <class Key>
struct Bench {
    explicit Bench(const Palette<Key>& palette)
        : scratch(palette), samples(palette.bands), left_over(palette.bands) {}

    Scratch<Key> scratch;
    std::vector<typename Scratch<Key>::Plane> samples, left_over;
    alignas(64) uint8_t sorted[kMostMixed][kPixels];
};

// Puts the last of `count` codes of each pixel among the others, which ascend.
BITSWATH_INLINE void insert(int64_t count, uint8_t (*sorted)[kPixels]) {
    uint8_t* last = sorted[count - 1];
    for (int64_t n = 0; n < count - 1; ++n)
        for (int64_t i = 0; i < kPixels; ++i) {
            const uint8_t low = std::min(sorted[n][i], last[i]);
            last[i] = std::max(sorted[n][i], last[i]);
            sorted[n][i] = low;
        }
}

// bench.samples to bench.sorted.
template <class Lanes, class Key>
BITSWATH_INLINE void mix(const Palette<Key>& palette, int64_t mixed, Key top, Bench<Key>& bench) {
    for (auto& plane : bench.left_over) plane = {};
    for (int64_t n = 0; n < mixed; ++n) {
        for (int64_t c = 0; c < palette.bands; ++c) {
            const Key *samples = bench.samples[c].pixels, *left_over = bench.left_over[c].pixels;
            Key* wanted = bench.scratch.planes[c].pixels;
            for (int64_t i = 0; i < kPixels; ++i) wanted[i] = std::clamp<Key>(samples[i] + left_over[i], 0, top);
        }
        int32_t numbers[kPixels];
        nearest_numbers<Lanes>(palette, bench.scratch, numbers);
        for (int64_t c = 0; c < palette.bands; ++c) {
            const Key *values = palette.values.data() + c * palette.count, *samples = bench.samples[c].pixels;
            Key* left_over = bench.left_over[c].pixels;
            for (int64_t i = 0; i < kPixels; ++i) left_over[i] += samples[i] - values[numbers[i]];
        }
        for (int64_t i = 0; i < kPixels; ++i) bench.sorted[n][i] = static_cast<uint8_t>(numbers[i]);
        insert(n + 1, bench.sorted);
    }
}

template <class Key>
using Mix = void (*)(const Palette<Key>& palette, int64_t mixed, Key top, Bench<Key>& bench);

template <class Key>
void mix_plain(const Palette<Key>& palette, int64_t mixed, Key top, Bench<Key>& bench) {
    mix<PlainLanes>(palette, mixed, top, bench);
}
#if defined(__x86_64__)
template <class Key>
BITSWATH_AVX2 void mix_avx2(const Palette<Key>& palette, int64_t mixed, Key top, Bench<Key>& bench) {
    mix<Avx2Lanes>(palette, mixed, top, bench);
}
template <class Key>
BITSWATH_AVX512 void mix_avx512(const Palette<Key>& palette, int64_t mixed, Key top, Bench<Key>& bench) {
    mix<Avx512Lanes>(palette, mixed, top, bench);
}
template <class Key>
constexpr Mix<Key> kMix[] = {mix_plain<Key>, mix_avx2<Key>, mix_avx512<Key>};
#else
template <class Key>
constexpr Mix<Key> kMix[] = {mix_plain<Key>};
#endif

// ---- mixtures that are kept ----

// By the pixel's samples as one number; a place holds the last mixture that was put there.
class Kept {
  public:
    explicit Kept(int64_t pixels) {
        while (bits_ < kMostBits && int64_t{1} << bits_ < pixels) ++bits_;
        values_.assign(int64_t{1} << bits_, 0);
        values_[place(0)] = 1;  // no value whose place this is
        mixtures_.reset(new Mixture[values_.size()]);
    }

    const Mixture* find(uint64_t value) const {
        const uint64_t at = place(value);
        return values_[at] == value ? &mixtures_[at] : nullptr;
    }

    void put(uint64_t value, const Mixture& mixture) {
        const uint64_t at = place(value);
        values_[at] = value;
        mixtures_[at] = mixture;
    }

  private:
    static constexpr int kMostBits = 15;  // 0.8 MB, for second-level caches

    uint64_t place(uint64_t value) const { return value * 0x9E3779B97F4A7C15u >> (64 - bits_); }  // Knuth's, 6.4

    int bits_ = 10;
    std::vector<uint64_t> values_;
    std::unique_ptr<Mixture[]> mixtures_;
};

// Of a pixel whose samples have at most 64 bits.
template <int bands, class T>
BITSWATH_INLINE uint64_t value_of(const T* pixel, int64_t count) {
    uint64_t value = 0;
    for (int64_t c = 0; c < (bands ? bands : count); ++c) value = value << (8 * sizeof(T)) | pixel[c];
    return value;
}

template <class T, class Key>
class MixtureEncoder final : public Encoder {
  public:
    MixtureEncoder(Patches<T> patches, const int64_t* colours, int64_t count, Mask<uint8_t> ranks, Isa isa)
        : Encoder(patches.count, patches.height * patches.width, patches.size() * sizeof(T)),
          patches_(patches), palette_(palette_of<Key>(colours, count, patches.bands)), ranks_(ranks),
          mixed_(1 + *std::max_element(ranks.values, ranks.values + ranks.side * ranks.side)),
          mix_(kMix<Key>[static_cast<int>(isa)]) {}

    struct Own final : Keep {
        Own(const Palette<Key>& palette, int64_t pixels) : bench(palette), kept(pixels) {}

        Bench<Key> bench;
        Kept kept;
        int64_t waiting = 0;
        struct {
            uint64_t value;
            uint8_t rank;
            uint8_t* code;
        } pixels[kPixels];
    };
    std::unique_ptr<Keep> keep() const override { return std::make_unique<Own>(palette_, patches * codes); }

    uint64_t encode(int64_t patch, int64_t first, int64_t last, Keep* kept, uint8_t* out) const override {
        auto& own = static_cast<Own&>(*kept);
        const T* samples = patches_.samples + patch * patches_.size();
        const bool few = patches_.bands * sizeof(T) <= sizeof(uint64_t);
        over_lines(patches_.width, first, last, [&](int64_t y, int64_t x, int64_t at, int64_t count) {
            const uint8_t* ranks = ranks_.values + y % ranks_.side * ranks_.side;
            const T* pixels = samples + at * patches_.bands;
            uint8_t* codes = out + at - first;
            if (!few)
                line<-1>(pixels, ranks, x, count, codes, own);
            else if (patches_.bands == 3)
                line<3>(pixels, ranks, x, count, codes, own);
            else
                line<0>(pixels, ranks, x, count, codes, own);
        });
        settle(own);
        uint64_t seen = 0;
        if (sizeof(T) == 2)
            for (int64_t i = first * patches_.bands; i < last * patches_.bands; ++i) seen |= samples[i];
        return seen;
    }

  private:
    // `bands`: of a pixel, 0 for as many as there are, -1 for too many to keep mixtures.
    template <int bands>
    void line(const T* pixels, const uint8_t* ranks, int64_t x, int64_t count, uint8_t* codes, Own& own) const {
        for (int64_t i = 0; i < count; ++i, pixels += patches_.bands) {
            const uint8_t rank = ranks[(x + i) & (ranks_.side - 1)];
            uint64_t value = 0;
            if constexpr (bands >= 0) {
                value = value_of<bands>(pixels, patches_.bands);
                if (const Mixture* mixture = own.kept.find(value)) {
                    codes[i] = (*mixture)[rank];
                    continue;
                }
            }
            for (int64_t c = 0; c < patches_.bands; ++c) own.bench.samples[c].pixels[own.waiting] = pixels[c];
            own.pixels[own.waiting++] = {value, rank, codes + i};
            if (own.waiting == kPixels) settle(own);
        }
    }

    // Mixes for the pixels that wait.
    void settle(Own& own) const {
        if (!own.waiting) return;
        for (auto& plane : own.bench.samples) std::fill_n(plane.pixels + own.waiting, kPixels - own.waiting, plane.pixels[0]);
        mix_(palette_, mixed_, std::numeric_limits<T>::max(), own.bench);
        for (int64_t i = 0; i < own.waiting; ++i) {
            Mixture mixture;
            for (int64_t n = 0; n < mixed_; ++n) mixture[n] = own.bench.sorted[n][i];
            const auto& pixel = own.pixels[i];
            *pixel.code = mixture[pixel.rank];
            own.kept.put(pixel.value, mixture);
        }
        own.waiting = 0;
    }

    Patches<T> patches_;
    Palette<Key> palette_;
    Mask<uint8_t> ranks_;
    int64_t mixed_;
    Mix<Key> mix_;
};

}  // namespace

template <class T>
std::unique_ptr<Encoder> mixture_encoder(Patches<T> patches, const int64_t* colours, int64_t count,
                                         Mask<uint8_t> ranks, Isa isa) {
    if (fits_int32<T>(count, patches.bands))
        return std::make_unique<MixtureEncoder<T, int32_t>>(patches, colours, count, ranks, isa);
    return std::make_unique<MixtureEncoder<T, double>>(patches, colours, count, ranks, isa);
}

template std::unique_ptr<Encoder> mixture_encoder(Patches<uint8_t>, const int64_t*, int64_t, Mask<uint8_t>, Isa);
template std::unique_ptr<Encoder> mixture_encoder(Patches<uint16_t>, const int64_t*, int64_t, Mask<uint8_t>, Isa);

}  // namespace bitswath
