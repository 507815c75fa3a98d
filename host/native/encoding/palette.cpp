// The exact nearest colour of a palette. A block of pixels at a time: colours that are nearest to none of them are left
// out, then each pixel, one a lane, is compared with every colour that remains.
#include <algorithm>

#include "encoding/encoding.hpp"
#include "encoding/palette_lanes.hpp"

namespace bitswath {
namespace {

// Planes of the first bands; `step` bands a pixel.
template <int bands, class T, class Plane>
BITSWATH_INLINE void part(const T* pixels, int64_t size, int64_t step, Plane* planes) {
    for (int64_t i = 0; i < size; ++i)
        for (int c = 0; c < bands; ++c) planes[c].pixels[i] = pixels[i * step + c];
}

template <class Lanes, class T, class Key>
BITSWATH_INLINE void nearest_block(const Palette<Key>& palette, const T* pixels, int64_t size, Scratch<Key>& scratch,
                                   uint8_t* codes) {
    const int64_t bands = palette.bands;
    if (bands == 3) {  // a constant step lets compilers use shuffles
        size == kPixels ? part<3>(pixels, kPixels, 3, scratch.planes.data())
                        : part<3>(pixels, size, 3, scratch.planes.data());
    } else {
        for (int64_t c = 0; c < bands; ++c) part<1>(pixels + c, size, bands, &scratch.planes[c]);
    }
    for (int64_t c = 0; c < bands; ++c) fill_up(size, scratch.planes[c].pixels);
    uint8_t numbers[kPixels];
    nearest_numbers<Lanes>(palette, scratch, numbers);
    std::copy_n(numbers, size, codes);
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

template <class T, class Key>
class NearestEncoder final : public Encoder {
  public:
    NearestEncoder(Patches<T> patches, const int64_t* colours, int64_t count, Isa isa)
        : Encoder(patches.count, patches.height * patches.width, patches.size() * sizeof(T)),
          patches_(patches), palette_(palette_of<Key>(colours, count, patches.bands)),
          kernel_(kNearest<T, Key>[static_cast<int>(isa)]) {}

    struct Own final : Keep {
        explicit Own(const Palette<Key>& palette) : scratch(palette) {}
        Scratch<Key> scratch;
    };
    std::unique_ptr<Keep> keep() const override { return std::make_unique<Own>(palette_); }

    uint64_t encode(int64_t patch, int64_t first, int64_t last, Keep* kept, uint8_t* out) const override {
        auto& scratch = static_cast<Own*>(kept)->scratch;
        uint64_t seen = 0;
        for (; first < last; first += kPixels, out += kPixels) {
            const int64_t size = std::min(kPixels, last - first);
            const T* pixels = patches_.samples + patch * patches_.size() + first * patches_.bands;
            if (sizeof(T) == 2)
                for (int64_t i = 0; i < size * patches_.bands; ++i) seen |= pixels[i];
            kernel_(palette_, pixels, size, scratch, out);
        }
        return seen;
    }

  private:
    Patches<T> patches_;
    Palette<Key> palette_;
    Nearest<T, Key> kernel_;
};

}  // namespace

template <class T>
std::unique_ptr<Encoder> palette_encoder(Patches<T> patches, const int64_t* colours, int64_t count, Isa isa) {
    if (fits_int32<T>(count, patches.bands))
        return std::make_unique<NearestEncoder<T, int32_t>>(patches, colours, count, isa);
    return std::make_unique<NearestEncoder<T, double>>(patches, colours, count, isa);
}

template std::unique_ptr<Encoder> palette_encoder(Patches<uint8_t>, const int64_t*, int64_t, Isa);
template std::unique_ptr<Encoder> palette_encoder(Patches<uint16_t>, const int64_t*, int64_t, Isa);

}  // namespace bitswath
