// Codecs of one code a sample: shifts, counts of thresholds, positions with a dither mask.
#include <algorithm>
#include <cstring>

#include "common/cpu.hpp"
#include "encoding/encoding.hpp"

namespace bitswath {
namespace {

#define BITSWATH_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
// GCC 12's own intrinsics start from an undefined register, and warn about it.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#define BITSWATH_AVX2 BITSWATH_FOR_AVX2
#define BITSWATH_AVX512 BITSWATH_FOR_AVX512
#endif

// ---- shifts ----

using ShiftBytes = void (*)(const uint8_t* samples, int64_t count, int shift, uint8_t* codes);
using ShiftWords = uint64_t (*)(const uint16_t* samples, int64_t count, int shift, uint8_t* codes);

// Eight samples a word: what comes down from the neighbour is masked away.
BITSWATH_INLINE void shift_bytes(const uint8_t* samples, int64_t count, int shift, uint8_t* codes) {
    const uint64_t kept = ~uint64_t{0} / 255 * (255u >> shift);
    const int64_t words = count / 8;
    for (int64_t i = 0; i < words; ++i) {
        uint64_t x;
        std::memcpy(&x, samples + 8 * i, 8);
        x = x >> shift & kept;
        std::memcpy(codes + 8 * i, &x, 8);
    }
    for (int64_t i = 8 * words; i < count; ++i) codes[i] = static_cast<uint8_t>(samples[i] >> shift);
}

BITSWATH_INLINE uint64_t shift_words(const uint16_t* samples, int64_t count, int shift, uint8_t* codes) {
    uint16_t seen = 0;
    for (int64_t i = 0; i < count; ++i) {
        seen |= samples[i];
        codes[i] = static_cast<uint8_t>(samples[i] >> shift);
    }
    return seen;
}

void shift_bytes_plain(const uint8_t* __restrict samples, int64_t count, int shift, uint8_t* __restrict codes) {
    shift_bytes(samples, count, shift, codes);
}
uint64_t shift_words_plain(const uint16_t* __restrict samples, int64_t count, int shift, uint8_t* __restrict codes) {
    return shift_words(samples, count, shift, codes);
}
#if defined(__x86_64__)
BITSWATH_AVX2 void shift_bytes_avx2(const uint8_t* __restrict samples, int64_t count, int shift,
                                    uint8_t* __restrict codes) {
    shift_bytes(samples, count, shift, codes);
}
BITSWATH_AVX2 uint64_t shift_words_avx2(const uint16_t* __restrict samples, int64_t count, int shift,
                                        uint8_t* __restrict codes) {
    return shift_words(samples, count, shift, codes);
}
BITSWATH_AVX512 void shift_bytes_avx512(const uint8_t* __restrict samples, int64_t count, int shift,
                                        uint8_t* __restrict codes) {
    shift_bytes(samples, count, shift, codes);
}
BITSWATH_AVX512 uint64_t shift_words_avx512(const uint16_t* __restrict samples, int64_t count, int shift,
                                            uint8_t* __restrict codes) {
    return shift_words(samples, count, shift, codes);
}
constexpr ShiftBytes kShiftBytes[] = {shift_bytes_plain, shift_bytes_avx2, shift_bytes_avx512};
constexpr ShiftWords kShiftWords[] = {shift_words_plain, shift_words_avx2, shift_words_avx512};
#else
constexpr ShiftBytes kShiftBytes[] = {shift_bytes_plain};
constexpr ShiftWords kShiftWords[] = {shift_words_plain};
#endif

template <class T>
class ShiftEncoder final : public Encoder {
  public:
    ShiftEncoder(Patches<T> patches, int shift, Isa isa)
        : Encoder(patches.count, patches.size(), patches.size() * sizeof(T)),
          samples_(patches.samples), shift_(shift), isa_(static_cast<int>(isa)) {}

    uint64_t encode(int64_t patch, int64_t first, int64_t last, Keep*, uint8_t* out) const override {
        const T* in = samples_ + patch * codes + first;
        if constexpr (sizeof(T) == 2) {
            return kShiftWords[isa_](in, last - first, shift_, out);
        } else {
            kShiftBytes[isa_](in, last - first, shift_, out);
            return 0;
        }
    }

  private:
    const T* samples_;
    int shift_, isa_;
};

// ---- counts ----

// Samples that begin at `phase` of the thresholds' period; one row of thresholds.
template <class T>
using CountKernel = uint64_t (*)(const T* samples, int64_t count, Thresholds<T> row, int64_t phase, uint8_t* codes);

// As many codes as a vector has lanes.
template <int bytes, class T>
BITSWATH_INLINE void count_vector(const T* samples, const T* thresholds, int64_t steps, int64_t stride,
                                  uint8_t* codes) {
    typedef T Vector __attribute__((vector_size(bytes)));
    typedef uint8_t Narrow __attribute__((vector_size(bytes / sizeof(T))));
    Vector x, threshold, code = {};
    std::memcpy(&x, samples, bytes);
    for (int64_t step = 0; step < steps; ++step, thresholds += stride) {
        std::memcpy(&threshold, thresholds, bytes);
        code -= reinterpret_cast<Vector>(x >= threshold);
    }
    const Narrow narrow = __builtin_convertvector(code, Narrow);
    std::memcpy(codes, &narrow, sizeof(narrow));
}

// As many at a time as `Lanes::count` does.
template <class Lanes, class T>
BITSWATH_INLINE uint64_t count_steps(const T* samples, int64_t count, Thresholds<T> row, int64_t phase,
                                     uint8_t* codes) {
    constexpr int64_t lanes = Lanes::bytes / sizeof(T);
    static_assert(lanes <= kOverhang);
    const int64_t stride = row.period + kOverhang, advance = lanes % row.period;
    T seen = 0;
    if (sizeof(T) == 2)
        for (int64_t i = 0; i < count; ++i) seen |= samples[i];
    int64_t at = 0;
    for (; at + lanes <= count; at += lanes) {
        Lanes::count(samples + at, row.values + phase, row.steps, stride, codes + at);
        phase += advance;
        if (phase >= row.period) phase -= row.period;
    }
    if (at < count) {
        T rest[lanes] = {};
        uint8_t rest_codes[lanes];
        std::memcpy(rest, samples + at, (count - at) * sizeof(T));
        Lanes::count(rest, row.values + phase, row.steps, stride, rest_codes);
        std::memcpy(codes + at, rest_codes, count - at);
    }
    return seen;
}

template <int size>
struct Vectors {
    static constexpr int64_t bytes = size;
    template <class T>
    static BITSWATH_INLINE void count(const T* samples, const T* thresholds, int64_t steps, int64_t stride,
                                      uint8_t* codes) {
        count_vector<size>(samples, thresholds, steps, stride, codes);
    }
};

template <class T>
uint64_t count_plain(const T* samples, int64_t count, Thresholds<T> row, int64_t phase, uint8_t* codes) {
    return count_steps<Vectors<16>>(samples, count, row, phase, codes);
}
#if defined(__x86_64__)
template <class T>
BITSWATH_AVX2 uint64_t count_avx2(const T* samples, int64_t count, Thresholds<T> row, int64_t phase, uint8_t* codes) {
    return count_steps<Vectors<32>>(samples, count, row, phase, codes);
}

// Compilers do not subtract under a comparison's mask by themselves.
struct Masked {
    static constexpr int64_t bytes = 64;
    BITSWATH_AVX512 static void count(const uint8_t* samples, const uint8_t* thresholds, int64_t steps,
                                      int64_t stride, uint8_t* codes) {
        const __m512i x = _mm512_loadu_si512(samples), one = _mm512_set1_epi8(1);
        __m512i code = _mm512_setzero_si512();
        for (; steps > 0; --steps, thresholds += stride)
            code = _mm512_mask_add_epi8(code, _mm512_cmpge_epu8_mask(x, _mm512_loadu_si512(thresholds)), code, one);
        _mm512_storeu_si512(codes, code);
    }
    BITSWATH_AVX512 static void count(const uint16_t* samples, const uint16_t* thresholds, int64_t steps,
                                      int64_t stride, uint8_t* codes) {
        const __m512i x = _mm512_loadu_si512(samples), one = _mm512_set1_epi16(1);
        __m512i code = _mm512_setzero_si512();
        for (; steps > 0; --steps, thresholds += stride)
            code = _mm512_mask_add_epi16(code, _mm512_cmpge_epu16_mask(x, _mm512_loadu_si512(thresholds)), code, one);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), _mm512_cvtepi16_epi8(code));
    }
};

template <class T>
BITSWATH_AVX512 uint64_t count_avx512(const T* samples, int64_t count, Thresholds<T> row, int64_t phase,
                                      uint8_t* codes) {
    return count_steps<Masked>(samples, count, row, phase, codes);
}
template <class T>
constexpr CountKernel<T> kCount[] = {count_plain<T>, count_avx2<T>, count_avx512<T>};
#else
template <class T>
constexpr CountKernel<T> kCount[] = {count_plain<T>};
#endif

template <class T>
class CountEncoder final : public Encoder {
  public:
    CountEncoder(Patches<T> patches, Thresholds<T> thresholds, Isa isa)
        : Encoder(patches.count, patches.size(), patches.size() * sizeof(T)),
          patches_(patches), thresholds_(thresholds), kernel_(kCount<T>[static_cast<int>(isa)]) {}

    uint64_t encode(int64_t patch, int64_t first, int64_t last, Keep*, uint8_t* out) const override {
        const T* in = patches_.samples + patch * codes;
        if (thresholds_.rows == 1) return kernel_(in + first, last - first, thresholds_, first % thresholds_.period, out);
        const int64_t row_values = thresholds_.steps * (thresholds_.period + kOverhang);
        uint64_t seen = 0;
        over_lines(patches_.line(), first, last, [&](int64_t y, int64_t x, int64_t at, int64_t samples) {
            Thresholds<T> row = thresholds_;
            row.values += y % row.rows * row_values;
            seen |= kernel_(in + at, samples, row, x % row.period, out + (at - first));
        });
        return seen;
    }

  private:
    Patches<T> patches_;
    Thresholds<T> thresholds_;
    CountKernel<T> kernel_;
};

// ---- positions ----

template <class T>
class PositionEncoder final : public Encoder {
  public:
    PositionEncoder(Patches<T> patches, const uint16_t* positions, bool per_band, int shift, Mask<uint8_t> mask)
        : Encoder(patches.count, patches.size(), patches.size() * sizeof(T)),
          patches_(patches), shift_(shift), mask_(mask) {
        constexpr int64_t entries = int64_t{1} << (8 * sizeof(T));
        for (int64_t i = 0; i < mask.side * patches.bands; ++i)
            tables_.push_back(positions + (per_band ? i % patches.bands * entries : 0));
    }

    uint64_t encode(int64_t patch, int64_t first, int64_t last, Keep*, uint8_t* out) const override {
        const T* in = patches_.samples + patch * codes;
        const int64_t period = static_cast<int64_t>(tables_.size());
        const int shift = shift_;
        T seen = 0;
        over_lines(patches_.line(), first, last, [&](int64_t y, int64_t x, int64_t at, int64_t samples) {
            const uint8_t* mask = mask_.values + y % mask_.side * period;
            uint8_t* next = out + (at - first);
            for (int64_t phase = x % period; samples > 0; phase = 0) {
                const int64_t run = std::min(period - phase, samples);
                for (int64_t i = 0; i < run; ++i) {
                    const T sample = in[at + i];
                    seen |= sample;
                    next[i] = static_cast<uint8_t>((tables_[phase + i][sample] + mask[phase + i]) >> shift);
                }
                at += run, next += run, samples -= run;
            }
        });
        return sizeof(T) == 2 ? seen : 0;
    }

  private:
    Patches<T> patches_;
    int shift_;
    Mask<uint8_t> mask_;
    std::vector<const uint16_t*> tables_;  // of each phase of the mask
};

}  // namespace

template <class T>
std::unique_ptr<Encoder> shift_encoder(Patches<T> patches, int shift, Isa isa) {
    return std::make_unique<ShiftEncoder<T>>(patches, shift, isa);
}

template <class T>
std::unique_ptr<Encoder> count_encoder(Patches<T> patches, Thresholds<T> thresholds, Isa isa) {
    return std::make_unique<CountEncoder<T>>(patches, thresholds, isa);
}

template <class T>
std::unique_ptr<Encoder> position_encoder(Patches<T> patches, const uint16_t* positions, bool per_band, int shift,
                                          Mask<uint8_t> mask) {
    return std::make_unique<PositionEncoder<T>>(patches, positions, per_band, shift, mask);
}

template std::unique_ptr<Encoder> shift_encoder(Patches<uint8_t>, int, Isa);
template std::unique_ptr<Encoder> shift_encoder(Patches<uint16_t>, int, Isa);
template std::unique_ptr<Encoder> count_encoder(Patches<uint8_t>, Thresholds<uint8_t>, Isa);
template std::unique_ptr<Encoder> count_encoder(Patches<uint16_t>, Thresholds<uint16_t>, Isa);
template std::unique_ptr<Encoder> position_encoder(Patches<uint8_t>, const uint16_t*, bool, int,
                                                   Mask<uint8_t>);
template std::unique_ptr<Encoder> position_encoder(Patches<uint16_t>, const uint16_t*, bool, int,
                                                   Mask<uint8_t>);

}  // namespace bitswath
