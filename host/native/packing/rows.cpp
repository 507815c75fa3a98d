#include "packing/rows.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>
#include <type_traits>

#include "common/threads.hpp"

namespace bitswath {
namespace {

constexpr int64_t kBlock = 8192;  // values at a time: they stay in the first cache; a multiple of 8

// Narrowing values to codes of `element`, one a byte; the result has bits above the element's width if a value is
// out of range. `Wide` keeps a biased byte from wrapping; wider unsigned values are seen before and after.
template <class T>
__attribute__((noinline)) uint64_t narrow(const T* values, int64_t count, Element element, uint8_t* codes) {
    using Wide = std::conditional_t<sizeof(T) == 1, uint16_t, std::make_unsigned_t<T>>;
    Wide seen = 0;
    if (element.bipolar()) {  // -1, 1 to 0, 2, and rotated: odd sums leave the range
        for (int64_t i = 0; i < count; ++i) {
            const Wide sum = static_cast<Wide>(static_cast<Wide>(values[i]) + 1);
            const Wide code = static_cast<Wide>(sum >> 1 | sum << (8 * sizeof(Wide) - 1));
            seen |= std::is_unsigned_v<T> ? code | static_cast<Wide>(values[i]) : code;
            codes[i] = static_cast<uint8_t>(code);
        }
        return seen;
    }
    const Wide half = element.is_signed ? static_cast<Wide>(1 << (element.bits - 1)) : 0;
    for (int64_t i = 0; i < count; ++i) {
        const Wide sum = static_cast<Wide>(static_cast<Wide>(values[i]) + half);
        seen |= std::is_unsigned_v<T> ? sum | static_cast<Wide>(values[i]) : sum;
        codes[i] = static_cast<uint8_t>(sum ^ half);
    }
    return seen;
}

// x + 2^23 has the integer in its low bits; what was no integer differs when 2^23 is taken away again.
__attribute__((noinline)) uint64_t narrow(const float* values, int64_t count, Element, uint8_t* codes) {
    constexpr float shift = 0x1p23f;
    uint32_t seen = 0;
    for (int64_t i = 0; i < count; ++i) {
        const float sum = values[i] + shift;
        uint32_t code;
        std::memcpy(&code, &sum, 4);
        code -= 0x4B000000u;
        seen |= code | (sum - shift != values[i] ? ~0u : 0u);
        codes[i] = static_cast<uint8_t>(code);
    }
    return seen;
}

template <class T>
void widen(const uint8_t* codes, int64_t count, Element element, T* values) {
    if (element.bipolar()) {
        for (int64_t i = 0; i < count; ++i) values[i] = 2 * codes[i] - 1;
        return;
    }
    const T half = element.is_signed ? T{1} << (element.bits - 1) : 0;
    for (int64_t i = 0; i < count; ++i) values[i] = (codes[i] ^ half) - half;
}

// Whether values are codes already, as bytes. A negative one has its upper bit set, so eight bits are not enough.
template <class T>
bool are_codes(Element element) {
    if (element.is_signed || sizeof(T) != 1) return false;
    return std::is_unsigned_v<T> || element.bits < 8;
}

template <class T>
int64_t first_bad(const T* values, int64_t first, int64_t last, Element element) {
    using Value = std::conditional_t<std::is_floating_point_v<T>, float, int64_t>;
    for (int64_t i = first; i < last; ++i)
        if (!element.holds(static_cast<Value>(values[i]))) return i;
    return kNone;
}

// Values cut into rows of `row` <= kBlock, of which the last may be shorter, each row starting on a byte.
struct Cut {
    int64_t total, row;

    int64_t rows() const { return (total + row - 1) / row; }
};

// Rows from..to, packed codes of a byte each.
uint64_t pack_cut(const uint8_t* codes, Cut cut, int bits, const PackingKernels& kernels, uint8_t* bytes) {
    if (cut.row <= 8 && bits < 8 && cut.total % cut.row == 0)
        return kernels.pack_groups[bits](codes, cut.total / cut.row, static_cast<int>(cut.row), bytes);
    uint64_t seen = 0;
    for (int64_t at = 0; at < cut.total; at += cut.row, bytes += packed_bytes(cut.row, bits))
        seen |= kernels.pack[bits](codes + at, std::min(cut.row, cut.total - at), bytes);
    return seen;
}

void unpack_cut(const uint8_t* bytes, Cut cut, int bits, const PackingKernels& kernels, uint8_t* codes) {
    if (cut.row <= 8 && bits < 8 && cut.total % cut.row == 0)
        return kernels.unpack_groups[bits](bytes, cut.total / cut.row, static_cast<int>(cut.row), codes);
    for (int64_t at = 0; at < cut.total; at += cut.row, bytes += packed_bytes(cut.row, bits))
        kernels.unpack[bits](bytes, std::min(cut.row, cut.total - at), codes + at);
}

// Calls block(first value, last value, first byte) for pieces of whole rows that fit a block, on threads.
template <class Block>
void over_blocks(Cut cut, int bits, int64_t value_bytes, int threads, const Block& block) {
    const int64_t together = std::max<int64_t>(kBlock / cut.row, 1), row_bytes = packed_bytes(cut.row, bits);
    over_threads(cut.rows(), useful_threads(threads, cut.total * value_bytes), [&](int64_t row, int64_t last) {
        for (; row < last; row += together)
            block(row * cut.row, std::min({(row + together) * cut.row, last * cut.row, cut.total}), row * row_bytes);
    });
}

template <class T>
int64_t pack_blocks(const T* values, Cut cut, Element element, Means means, uint8_t* bytes) {
    std::mutex mutex;
    int64_t bad = std::numeric_limits<int64_t>::max();
    over_blocks(cut, element.bits, sizeof(T), means.threads, [&](int64_t first, int64_t last, int64_t byte) {
        alignas(64) uint8_t narrowed[kBlock];
        const Cut part{last - first, cut.row};
        uint64_t seen;
        if (are_codes<T>(element)) {
            const auto* codes = reinterpret_cast<const uint8_t*>(values) + first;
            seen = any_code(pack_cut(codes, part, element.bits, means.kernels, bytes + byte));
        } else {
            seen = narrow(values + first, last - first, element, narrowed);
            pack_cut(narrowed, part, element.bits, means.kernels, bytes + byte);
        }
        if (seen >> element.bits == 0) return;
        const std::lock_guard<std::mutex> lock(mutex);
        if (const int64_t index = first_bad(values, first, last, element); index != kNone) bad = std::min(bad, index);
    });
    return bad == std::numeric_limits<int64_t>::max() ? kNone : bad;
}

template <class T>
void unpack_blocks(const uint8_t* bytes, Cut cut, Element element, Means means, T* values) {
    over_blocks(cut, element.bits, sizeof(T), means.threads, [&](int64_t first, int64_t last, int64_t byte) {
        const Cut part{last - first, cut.row};
        if constexpr (sizeof(T) == 1) {
            unpack_cut(bytes + byte, part, element.bits, means.kernels, values + first);
        } else {
            alignas(64) uint8_t codes[kBlock];
            unpack_cut(bytes + byte, part, element.bits, means.kernels, codes);
            widen(codes, last - first, element, values + first);
        }
    });
}

// Widths above eight bits, value by value.
template <class T>
int64_t pack_wide(const T* values, Rows rows, Element element, Means means, uint8_t* bytes) {
    std::mutex mutex;
    int64_t bad = std::numeric_limits<int64_t>::max();
    const int64_t row_bytes = packed_bytes(rows.count, element.bits);
    const auto work = [&](int64_t first, int64_t last) {
        for (int64_t row = first; row < last; ++row) {
            uint64_t word = 0;
            int filled = 0;
            uint8_t* next = bytes + row * row_bytes;
            for (int64_t i = row * rows.count; i < (row + 1) * rows.count; ++i) {
                if (!element.holds(static_cast<int64_t>(values[i]))) {
                    const std::lock_guard<std::mutex> lock(mutex);
                    bad = std::min(bad, i);
                    return;
                }
                word |= element.encode(static_cast<int64_t>(values[i])) << filled;
                for (filled += element.bits; filled >= 8; filled -= 8, word >>= 8) *next++ = static_cast<uint8_t>(word);
            }
            if (filled) *next = static_cast<uint8_t>(word);
        }
    };
    over_threads(rows.rows, useful_threads(means.threads, rows.rows * rows.count * sizeof(T)), work);
    return bad == std::numeric_limits<int64_t>::max() ? kNone : bad;
}

template <class T>
void unpack_wide(const uint8_t* bytes, Rows rows, Element element, Means means, T* values) {
    const int64_t row_bytes = packed_bytes(rows.count, element.bits);
    const auto work = [&](int64_t first, int64_t last) {
        for (int64_t row = first; row < last; ++row) {
            uint64_t word = 0;
            int filled = 0;
            const uint8_t* next = bytes + row * row_bytes;
            for (int64_t i = row * rows.count; i < (row + 1) * rows.count; ++i) {
                for (; filled < element.bits; filled += 8) word |= uint64_t{*next++} << filled;
                values[i] = static_cast<T>(element.decode(word & ((uint64_t{1} << element.bits) - 1)));
                word >>= element.bits;
                filled -= element.bits;
            }
        }
    };
    over_threads(rows.rows, useful_threads(means.threads, rows.rows * rows.count * sizeof(T)), work);
}

// One long row where rows end on bytes.
Rows joined(Rows rows, int bits) {
    return rows.count * bits % 8 == 0 ? Rows{1, rows.rows * rows.count} : rows;
}

}  // namespace

template <class T>
int64_t pack_rows(const T* values, Rows rows, Element element, Means means, uint8_t* bytes) {
    if (rows.rows * rows.count == 0) return kNone;
    if constexpr (std::is_integral_v<T>)
        if (element.bits > 8) return pack_wide(values, rows, element, means, bytes);
    const Rows long_rows = joined(rows, element.bits);
    if (long_rows.count <= kBlock)
        return pack_blocks(values, {long_rows.rows * long_rows.count, long_rows.count}, element, means, bytes);
    for (int64_t row = 0; row < long_rows.rows; ++row, bytes += packed_bytes(long_rows.count, element.bits)) {
        const int64_t first = row * long_rows.count;
        const int64_t bad = pack_blocks(values + first, {long_rows.count, kBlock}, element, means, bytes);
        if (bad != kNone) return first + bad;
    }
    return kNone;
}

template <class T>
void unpack_rows(const uint8_t* bytes, Rows rows, Element element, Means means, T* values) {
    if (rows.rows * rows.count == 0) return;
    if constexpr (sizeof(T) > 1)
        if (element.bits > 8) return unpack_wide(bytes, rows, element, means, values);
    const Rows long_rows = joined(rows, element.bits);
    if (long_rows.count <= kBlock)
        return unpack_blocks(bytes, {long_rows.rows * long_rows.count, long_rows.count}, element, means, values);
    for (int64_t row = 0; row < long_rows.rows; ++row, bytes += packed_bytes(long_rows.count, element.bits))
        unpack_blocks(bytes, {long_rows.count, kBlock}, element, means, values + row * long_rows.count);
}

#define BITSWATH_PACK(T) template int64_t pack_rows(const T*, Rows, Element, Means, uint8_t*)
BITSWATH_PACK(uint8_t);
BITSWATH_PACK(int8_t);
BITSWATH_PACK(uint16_t);
BITSWATH_PACK(int16_t);
BITSWATH_PACK(uint32_t);
BITSWATH_PACK(int32_t);
BITSWATH_PACK(int64_t);
BITSWATH_PACK(float);
#undef BITSWATH_PACK
template void unpack_rows(const uint8_t*, Rows, Element, Means, uint8_t*);
template void unpack_rows(const uint8_t*, Rows, Element, Means, int32_t*);
template void unpack_rows(const uint8_t*, Rows, Element, Means, int64_t*);

}  // namespace bitswath
