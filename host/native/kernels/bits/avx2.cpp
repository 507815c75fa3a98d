// Quads with AVX2: vpshufb looks up the sums of four codes with 32 outputs' weights, added up in bytes.
#include "kernels/bits/bits.hpp"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>

#define BITSWATH_TARGET BITSWATH_FOR_AVX2
namespace bitswath::emulator {
namespace {

constexpr int kBlock = 32, kWindows = 4;

BITSWATH_TARGET inline __m256i load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

BITSWATH_TARGET inline void store(void* to, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }

// Sums of 32 outputs in 16 bits, modulo 2^16: `all` as if bytes were pairs, `odd` those of odd outputs.
struct Sums {
    __m256i all, odd;

    BITSWATH_TARGET void add(__m256i bytes) {
        all = _mm256_add_epi16(all, bytes);
        odd = _mm256_add_epi16(odd, _mm256_srli_epi16(bytes, 8));
    }
    BITSWATH_TARGET void twice() {
        all = _mm256_add_epi16(all, all);
        odd = _mm256_add_epi16(odd, odd);
    }
    // Outputs 0..15 and 16..31.
    BITSWATH_TARGET void in_order(__m256i& first, __m256i& second) const {
        const __m256i even = _mm256_sub_epi16(all, _mm256_slli_epi16(odd, 8));
        const __m256i low = _mm256_unpacklo_epi16(even, odd), high = _mm256_unpackhi_epi16(even, odd);
        first = _mm256_permute2x128_si256(low, high, 0x20);
        second = _mm256_permute2x128_si256(low, high, 0x31);
    }
};

BITSWATH_TARGET inline void finish16(const BitRows& rows, int64_t o, int32_t total, __m256i sums, int16_t* acc) {
    const __m256i level = _mm256_mullo_epi16(_mm256_set1_epi16(static_cast<int16_t>(total)),
                                             load(static_cast<const int16_t*>(rows.level) + o));
    const __m256i line = _mm256_mullo_epi16(sums, load(static_cast<const int16_t*>(rows.slope) + o));
    store(acc + o, _mm256_add_epi16(line, level));
}

BITSWATH_TARGET inline void finish32(const BitRows& rows, int64_t o, int32_t total, __m128i sums, int32_t* acc) {
    const __m256i level =
        _mm256_mullo_epi32(_mm256_set1_epi32(total), load(static_cast<const int32_t*>(rows.level) + o));
    const __m256i line =
        _mm256_mullo_epi32(_mm256_cvtepu16_epi32(sums), load(static_cast<const int32_t*>(rows.slope) + o));
    store(acc + o, _mm256_add_epi32(line, level));
}

template <typename Acc>
BITSWATH_TARGET inline void finish(const BitRows& rows, int64_t o, int32_t total, const Sums& sums, Acc* acc) {
    __m256i halves[2];
    sums.in_order(halves[0], halves[1]);
    for (int i = 0; i < 2; ++i, o += 16) {
        if constexpr (sizeof(Acc) == 2) {
            finish16(rows, o, total, halves[i], acc);
        } else {
            finish32(rows, o, total, _mm256_castsi256_si128(halves[i]), acc);
            finish32(rows, o + 8, total, _mm256_extracti128_si256(halves[i], 1), acc);
        }
    }
}

// `Windows` x `Blocks` registers of bytes; `o` is the first output.
template <typename Acc, int Windows, int Blocks>
BITSWATH_TARGET inline void tile(const BitRows& rows, const uint8_t* in, int64_t o, const int32_t* totals, Acc* acc) {
    Sums sums[Windows][Blocks];
    for (auto& window : sums)
        for (Sums& sum : window) sum = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    const int64_t at_once = groups_a_byte(rows.largest, 4), depth = rows.depth, block_bytes = rows.weight_planes * depth * kBlock;
    const uint8_t* w = rows.weights + o / kBlock * block_bytes;
    for (int64_t plane = 0; plane < rows.weight_planes; ++plane) {
        if (plane > 0)
            for (auto& window : sums)
                for (Sums& sum : window) sum.twice();
        for (int64_t first = 0; first < depth; first += at_once) {
            __m256i bytes[Windows][Blocks];
            for (auto& window : bytes)
                for (__m256i& byte : window) byte = _mm256_setzero_si256();
            for (int64_t k = first, last = std::min(depth, first + at_once); k < last; ++k, w += kBlock) {
                const uint8_t* codes = in + rows.offsets[k];
                __m256i weights[Blocks];
                for (int b = 0; b < Blocks; ++b) weights[b] = load(w + b * block_bytes);
                for (int p = 0; p < Windows; ++p) {
                    const auto* entry = reinterpret_cast<const __m128i*>(kQuadSums.of[codes[p * rows.step]]);
                    const __m256i table = _mm256_broadcastsi128_si256(_mm_load_si128(entry));
                    for (int b = 0; b < Blocks; ++b)
                        bytes[p][b] = _mm256_add_epi8(bytes[p][b], _mm256_shuffle_epi8(table, weights[b]));
                }
            }
            for (int p = 0; p < Windows; ++p)
                for (int b = 0; b < Blocks; ++b) sums[p][b].add(bytes[p][b]);
        }
    }
    for (int p = 0; p < Windows; ++p)
        for (int b = 0; b < Blocks; ++b) finish(rows, o + b * kBlock, totals[p], sums[p][b], acc + p * rows.stride);
}

template <typename Acc, int Blocks>
BITSWATH_TARGET inline void tiles(const BitRows& rows, int64_t o) {
    for (int64_t t = 0; t < rows.tiles; ++t)
        tile<Acc, kWindows, Blocks>(rows, rows.in + rows.starts[t], o, rows.totals + t * kWindows,
                                    static_cast<Acc*>(rows.acc) + t * kWindows * rows.stride);
}

template <typename Acc>
BITSWATH_TARGET void quads(const BitRows& rows) {
    int64_t o = 0;
    for (; o + 2 * kBlock <= rows.outputs; o += 2 * kBlock) tiles<Acc, 2>(rows, o);
    if (o < rows.outputs) tiles<Acc, 1>(rows, o);
}

// 32 codes to eight bytes, each in 32 bits.
BITSWATH_TARGET inline __m256i quad_bytes(const uint8_t* in) {
    const __m256i pairs = _mm256_maddubs_epi16(load(in), _mm256_set1_epi16(0x0401));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00100001));
}

BITSWATH_TARGET int32_t sum_of(const uint8_t* in, int64_t channels) {
    __m128i sum = _mm_setzero_si128();
    for (int64_t c = 0; c < channels; c += 16)
        sum = _mm_add_epi64(sum, _mm_sad_epu8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + c)), _mm_setzero_si128()));
    return _mm_cvtsi128_si32(sum) + _mm_extract_epi16(sum, 4);
}

BITSWATH_TARGET void pack(const uint8_t* in, int64_t pixels, int64_t channels, int64_t planes, int64_t plane,
                          uint8_t* out, int32_t* sums) {
    if (channels % 16 != 0) return pack_quads(in, pixels, channels, planes, plane, out, sums);
    for (int64_t p = 0; p < pixels; ++p) sums[p] = sum_of(in + p * channels, channels);
    const int64_t count = pixels * channels;
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    int64_t i = 0;
    for (; i + 128 <= count; i += 128) {
        const __m256i low = _mm256_packs_epi32(quad_bytes(in + i), quad_bytes(in + i + 32));
        const __m256i high = _mm256_packs_epi32(quad_bytes(in + i + 64), quad_bytes(in + i + 96));
        store(out + i / 4, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order));
    }
    int32_t rest[8];
    if (i < count) pack_quads(in + i, (count - i) / 16, 16, planes, plane, out + i / 4, rest);
}

}  // namespace

BitForm avx2_bits(Type acc) {
    BitForm form;
    form.name = "quads";
    form.kernel = acc == s16 ? quads<int16_t> : quads<int32_t>;
    form.pack = pack;
    form.acc = acc;
    form.planes = false;
    form.block = kBlock;
    form.tile = kWindows;
    form.most = acc == s16 ? INT32_MAX : UINT16_MAX;
    form.blocks = 2;
    form.rate = 2.6;
    form.lone_rate = 1.9;
    return form;
}

}  // namespace bitswath::emulator
#endif
