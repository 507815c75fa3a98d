// The exact nearest colour, or one of several that together come close. A block of pixels at a time: colours that are
// nearest to none of them are left out, then each pixel, one a lane, is compared with every colour that remains.
#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <type_traits>

#include "encoding.hpp"
#include "encoding_palette_lanes.hpp"

namespace bitswath {
namespace {

// ---- a block ----

// Planes of the first bands; `step` bands a pixel.
template <int bands, class T, class Plane>
BITSWATH_INLINE void part(const T* pixels, int64_t size, int64_t step, Plane* planes) {
    for (int64_t i = 0; i < size; ++i)
        for (int c = 0; c < bands; ++c) planes[c].pixels[i] = pixels[i * step + c];
}

template <class T, class Key>
BITSWATH_INLINE void load(const T* pixels, int64_t size, int64_t bands, Scratch<Key>& scratch) {
    if (bands == 3) {  // a constant step lets compilers use shuffles
        size == kPixels ? part<3>(pixels, kPixels, 3, scratch.planes.data())
                        : part<3>(pixels, size, 3, scratch.planes.data());
    } else {
        for (int64_t c = 0; c < bands; ++c) part<1>(pixels + c, size, bands, &scratch.planes[c]);
    }
    for (int64_t c = 0; c < bands; ++c) {
        Key* plane = scratch.planes[c].pixels;
        for (int64_t i = size; i < kPixels; ++i) plane[i] = plane[0];  // no wider box
        Key lowest = plane[0], highest = plane[0];
        for (int64_t i = 0; i < kPixels; ++i) {
            lowest = std::min(lowest, plane[i]);
            highest = std::max(highest, plane[i]);
        }
        scratch.lowest[c] = lowest;
        scratch.highest[c] = highest;
    }
    if constexpr (std::is_same_v<Key, int32_t>)
        for (int64_t c = 0; c < bands; c += 2) {
            const int32_t *low = scratch.planes[c].pixels, *high = scratch.planes[c + 1].pixels;
            for (int64_t i = 0; i < kPixels; ++i) scratch.pairs[c / 2].pixels[i] = (low[i] | high[i] << 16) << kShift;
        }
}

template <class Lanes, class T, class Key>
BITSWATH_INLINE void nearest_block(const Palette<Key>& palette, const T* pixels, int64_t size, Scratch<Key>& scratch,
                                   uint8_t* codes) {
    load(pixels, size, palette.bands, scratch);
    int64_t found = palette.count;
    if (found > kFewColours)
        found = Lanes::candidates(palette, scratch);
    else
        std::iota(scratch.numbers, scratch.numbers + found, 0);
    Lanes::least(palette, scratch, found);
    const auto low = static_cast<uint8_t>(palette.room - 1);
    for (int64_t i = 0; i < size; ++i) {
        using Integer = std::conditional_t<sizeof(Key) == 4, int32_t, int64_t>;
        codes[i] = static_cast<uint8_t>(static_cast<Integer>(scratch.least.pixels[i])) & low;
    }
}

template <class T, class Key>
using Nearest = void (*)(const Palette<Key>& palette, const T* pixels, int64_t size, Scratch<Key>& scratch,
                         uint8_t* codes);

template <class T, class Key>
void nearest_plain(const Palette<Key>& palette, const T* pixels, int64_t size, Scratch<Key>& scratch,
                   uint8_t* codes) {
    nearest_block<PlainLanes>(palette, pixels, size, scratch, codes);
}
#if defined(__x86_64__)
template <class T, class Key>
BITSWATH_AVX2 void nearest_avx2(const Palette<Key>& palette, const T* pixels, int64_t size, Scratch<Key>& scratch,
                                uint8_t* codes) {
    nearest_block<Avx2Lanes>(palette, pixels, size, scratch, codes);
}
template <class T, class Key>
BITSWATH_AVX512 void nearest_avx512(const Palette<Key>& palette, const T* pixels, int64_t size, Scratch<Key>& scratch,
                                    uint8_t* codes) {
    nearest_block<Avx512Lanes>(palette, pixels, size, scratch, codes);
}
template <class T, class Key>
constexpr Nearest<T, Key> kNearest[] = {nearest_plain<T, Key>, nearest_avx2<T, Key>, nearest_avx512<T, Key>};
#else
template <class T, class Key>
constexpr Nearest<T, Key> kNearest[] = {nearest_plain<T, Key>};
#endif

// ---- a mixture ----

// Of kMostMixed samples less colours.
template <class T>
using LeftOver = std::conditional_t<sizeof(T) == 1, int16_t, int32_t>;

// What a thread needs to mix the colours of kPixels pixels.
template <class T>
struct Mixture {
    explicit Mixture(int64_t bands) : wanted(kPixels * bands), left_over(kPixels * bands) {}

    std::vector<T> wanted;
    std::vector<LeftOver<T>> left_over;
    uint8_t sorted[kMostMixed][kPixels];
};

// Takes the colours of the codes off; `bands` that of a pixel where it is not 0, for which compilers unroll.
template <int bands, class T>
BITSWATH_INLINE void take(const T* pixels, int64_t size, const uint8_t* codes, const int32_t* colours, int64_t step,
                          LeftOver<T>* left_over) {
    const int64_t width = bands ? bands : step;
    for (int64_t i = 0; i < size; ++i)
        for (int64_t c = 0; c < width; ++c)
            left_over[i * width + c] += static_cast<LeftOver<T>>(pixels[i * width + c] - colours[codes[i] * width + c]);
}

// Puts codes[i] among sorted[0 .. count - 1][i], which ascend.
inline void insert(const uint8_t* codes, int64_t count, uint8_t (*sorted)[kPixels]) {
    std::copy_n(codes, kPixels, sorted[count]);
    for (int64_t n = 0; n < count; ++n)
        for (int64_t i = 0; i < kPixels; ++i) {
            const uint8_t low = std::min(sorted[n][i], sorted[count][i]);
            sorted[count][i] = std::max(sorted[n][i], sorted[count][i]);
            sorted[n][i] = low;
        }
}

template <class T, class Key>
class PaletteEncoder final : public Encoder {
  public:
    PaletteEncoder(Patches<T> patches, const int64_t* colours, int64_t count, Mask<uint8_t> ranks, Isa isa)
        : Encoder(patches.count, patches.height * patches.width, patches.size() * sizeof(T)),
          patches_(patches), palette_(palette_of<Key>(colours, count, patches.bands)),
          colours_(colours, colours + count * patches.bands), ranks_(ranks),
          mixed_(1 + *std::max_element(ranks.values, ranks.values + ranks.side * ranks.side)),
          kernel_(kNearest<T, Key>[static_cast<int>(isa)]) {}

    uint64_t encode(int64_t patch, int64_t first, int64_t last, uint8_t* out) const override {
        Scratch<Key> scratch(palette_);
        Mixture<T> mixture(mixed_ > 1 ? patches_.bands : 0);
        uint64_t seen = 0;
        for (; first < last; first += kPixels, out += kPixels) {
            const int64_t size = std::min(kPixels, last - first);
            const T* pixels = patches_.samples + patch * patches_.size() + first * patches_.bands;
            if (sizeof(T) == 2)
                for (int64_t i = 0; i < size * patches_.bands; ++i) seen |= pixels[i];
            if (mixed_ == 1) {
                kernel_(palette_, pixels, size, scratch, out);
            } else {
                mix(pixels, size, scratch, mixture);
                pick(mixture, first, size, out);
            }
        }
        return seen;
    }

  private:
    void mix(const T* pixels, int64_t size, Scratch<Key>& scratch, Mixture<T>& mixture) const {
        constexpr LeftOver<T> top = std::numeric_limits<T>::max();
        const int64_t bands = patches_.bands, samples = size * bands;
        uint8_t codes[kPixels] = {};
        std::fill(mixture.left_over.begin(), mixture.left_over.end(), 0);
        for (int64_t n = 0; n < mixed_; ++n) {
            for (int64_t i = 0; i < samples; ++i) {
                const auto sum = static_cast<LeftOver<T>>(pixels[i] + mixture.left_over[i]);
                mixture.wanted[i] = static_cast<T>(std::clamp<LeftOver<T>>(sum, 0, top));
            }
            kernel_(palette_, mixture.wanted.data(), size, scratch, codes);
            if (bands == 3)
                take<3>(pixels, size, codes, colours_.data(), bands, mixture.left_over.data());
            else
                take<0>(pixels, size, codes, colours_.data(), bands, mixture.left_over.data());
            insert(codes, n, mixture.sorted);
        }
    }

    void pick(const Mixture<T>& mixture, int64_t first, int64_t size, uint8_t* out) const {
        over_lines(patches_.width, first, first + size, [&](int64_t y, int64_t x, int64_t at, int64_t count) {
            const uint8_t* ranks = ranks_.values + y % ranks_.side * ranks_.side;
            for (int64_t i = 0; i < count; ++i)
                out[at - first + i] = mixture.sorted[ranks[(x + i) % ranks_.side]][at - first + i];
        });
    }

    Patches<T> patches_;
    Palette<Key> palette_;
    std::vector<int32_t> colours_;
    Mask<uint8_t> ranks_;
    int64_t mixed_;
    Nearest<T, Key> kernel_;
};

}  // namespace

template <class T>
std::unique_ptr<Encoder> palette_encoder(Patches<T> patches, const int64_t* colours, int64_t count,
                                         Mask<uint8_t> ranks, Isa isa) {
    constexpr double top = std::numeric_limits<T>::max();
    // Of a key: |c|^2 + 2 c.p and the colour's number.
    const double largest = static_cast<double>(std::max<int64_t>(room_for(count), 8)) * (3 * top * top * patches.bands + 1);
    if (largest > 0x1p53) throw std::invalid_argument("too many bands");
    if constexpr (sizeof(T) == 1)
        if (largest < 0x1p31)
            return std::make_unique<PaletteEncoder<T, int32_t>>(patches, colours, count, ranks, isa);
    return std::make_unique<PaletteEncoder<T, double>>(patches, colours, count, ranks, isa);
}

template std::unique_ptr<Encoder> palette_encoder(Patches<uint8_t>, const int64_t*, int64_t, Mask<uint8_t>, Isa);
template std::unique_ptr<Encoder> palette_encoder(Patches<uint16_t>, const int64_t*, int64_t, Mask<uint8_t>, Isa);

}  // namespace bitswath
