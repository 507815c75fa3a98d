// Codes to bytes on the link and back: dense (any width 1..8, no padding inside a frame) and
// folded (FINN's layout: every innermost group starts on a byte). Both are little-endian bit streams.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "bitswath's bit streams are written for little-endian machines"
#endif

namespace py = pybind11;

namespace bitswath {
namespace {

using Index = std::int64_t;
using Bytes = py::array_t<std::uint8_t, py::array::c_style>;

constexpr Index kNone = -1;

constexpr std::uint64_t low_bits(int count) {
    return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

// `width` ones at the bottom of every `lane` bits of a 64-bit word.
constexpr std::uint64_t lanes(int lane, int width) {
    std::uint64_t mask = 0;
    for (int bottom = 0; bottom < 64; bottom += lane) mask |= low_bits(width) << bottom;
    return mask;
}

// Moves the upper half of every `lane` bits down, so that fields of `width` bits become neighbours.
template <int lane, int width>
inline std::uint64_t join(std::uint64_t x) {
    constexpr std::uint64_t lower = lanes(lane, lane / 2);
    return (x & lower) | (x & ~lower) >> (lane / 2 - width);
}

// The inverse of `join`.
template <int lane, int width>
inline std::uint64_t part(std::uint64_t x) {
    constexpr std::uint64_t lower = lanes(lane, width);
    return (x & lower) | (x & lower << width) << (lane / 2 - width);
}

// Eight codes, one a byte, to 8 * B adjacent bits.
template <int B>
inline std::uint64_t squeeze(std::uint64_t x) {
    return join<64, 4 * B>(join<32, 2 * B>(join<16, B>(x)));
}

// The inverse; bits of `x` above 8 * B are ignored.
template <int B>
inline std::uint64_t spread(std::uint64_t x) {
    return part<16, B>(part<32, 2 * B>(part<64, 4 * B>(x)));
}

// How many octets of codes may be moved as whole 64-bit words without touching bytes past the frame.
template <int B>
inline Index wide_octets(Index octets, Index bytes) {
    const Index fitting = bytes >= 8 ? (bytes - 8) / B + 1 : 0;
    return fitting < octets ? fitting : octets;
}

// Octets first..last, storing `moved` bytes for each; those above B are overwritten by the next octet.
template <int B, int moved>
inline std::uint64_t pack_octets(const std::uint8_t* codes, Index first, Index last, std::uint8_t* out) {
    std::uint64_t seen = 0;
    for (Index i = first; i < last; ++i) {
        std::uint64_t x;
        std::memcpy(&x, codes + 8 * i, 8);
        seen |= x;
        x = squeeze<B>(x);
        std::memcpy(out + B * i, &x, moved);
    }
    return seen;
}

template <int B, int moved>
inline void unpack_octets(const std::uint8_t* in, Index first, Index last, std::uint8_t* codes) {
    for (Index i = first; i < last; ++i) {
        std::uint64_t x = 0;
        std::memcpy(&x, in + B * i, moved);
        x = spread<B>(x);
        std::memcpy(codes + 8 * i, &x, 8);
    }
}

// Widths of 2 and 4 bits, a word of codes for each byte of the stream: loops that compilers vectorise.
template <int B, class Word>
inline std::uint64_t pack_words(const std::uint8_t* __restrict codes, Index bytes, std::uint8_t* __restrict out) {
    Word seen = 0;
    for (Index i = 0; i < bytes; ++i) {
        Word x;
        std::memcpy(&x, codes + sizeof(Word) * i, sizeof(Word));
        seen |= x;
        Word y = x;
        for (int j = 1; j < 8 / B; ++j) y |= x >> (8 - B) * j;
        out[i] = static_cast<std::uint8_t>(y);
    }
    return seen;
}

template <int B, class Word>
inline void unpack_words(const std::uint8_t* __restrict in, Index bytes, std::uint8_t* __restrict codes) {
    for (Index i = 0; i < bytes; ++i) {
        const Word x = in[i];
        Word y = x;
        for (int j = 1; j < 8 / B; ++j) y |= x << (8 - B) * j;
        y &= static_cast<Word>(lanes(8, B));
        std::memcpy(codes + sizeof(Word) * i, &y, sizeof(Word));
    }
}

// Packs one frame; returns the OR of all codes, so that the range check costs no second pass.
template <int B>
std::uint64_t pack_frame(const std::uint8_t* codes, Index count, std::uint8_t* out, Index bytes) {
    const Index octets = count / 8, wide = wide_octets<B>(octets, bytes);
    std::uint64_t seen = 0;
    if constexpr (B == 4) {
        seen = pack_words<4, std::uint16_t>(codes, B * octets, out);
    } else if constexpr (B == 2) {
        seen = pack_words<2, std::uint32_t>(codes, B * octets, out);
    } else {
        seen = pack_octets<B, 8>(codes, 0, wide, out);
        seen |= pack_octets<B, B>(codes, wide, octets, out);
    }
    if (count % 8) {
        std::uint64_t x = 0;
        std::memcpy(&x, codes + 8 * octets, count % 8);
        seen |= x;
        x = squeeze<B>(x);
        std::memcpy(out + B * octets, &x, bytes - B * octets);
    }
    return seen;
}

template <int B>
void unpack_frame(const std::uint8_t* in, Index bytes, std::uint8_t* codes, Index count) {
    const Index octets = count / 8, wide = wide_octets<B>(octets, bytes);
    if constexpr (B == 4) {
        unpack_words<4, std::uint16_t>(in, B * octets, codes);
    } else if constexpr (B == 2) {
        unpack_words<2, std::uint32_t>(in, B * octets, codes);
    } else {
        unpack_octets<B, 8>(in, 0, wide, codes);
        unpack_octets<B, B>(in, wide, octets, codes);
    }
    if (count % 8) {
        std::uint64_t x = 0;
        std::memcpy(&x, in + B * octets, bytes - B * octets);
        x = spread<B>(x);
        std::memcpy(codes + 8 * octets, &x, count % 8);
    }
}

using Packer = std::uint64_t (*)(const std::uint8_t*, Index, std::uint8_t*, Index);
using Unpacker = void (*)(const std::uint8_t*, Index, std::uint8_t*, Index);
constexpr Packer kPackers[] = {pack_frame<1>, pack_frame<2>, pack_frame<3>, pack_frame<4>,
                               pack_frame<5>, pack_frame<6>, pack_frame<7>};
constexpr Unpacker kUnpackers[] = {unpack_frame<1>, unpack_frame<2>, unpack_frame<3>, unpack_frame<4>,
                                   unpack_frame<5>, unpack_frame<6>, unpack_frame<7>};

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// (N, count) codes and (N, bytes) frames of one width.
void require_dense(const Bytes& codes, const Bytes& frames, int bits) {
    require(bits >= 1 && bits <= 8, "bits must be 1..8");
    require(codes.ndim() == 2 && frames.ndim() == 2 && codes.shape(0) == frames.shape(0), "expected (N, count), (N, bytes)");
    require((codes.shape(1) * bits + 7) / 8 == frames.shape(1), "frame size does not fit the codes");
}

// Fills `frames`; returns the flat index of the first code that needs more than `bits`, or -1.
Index pack_dense(const Bytes& codes, int bits, Bytes& frames) {
    require_dense(codes, frames, bits);
    const Index count = codes.shape(1), bytes = frames.shape(1), rows = codes.shape(0);
    const std::uint8_t* in = codes.data();
    std::uint8_t* out = frames.mutable_data();
    py::gil_scoped_release release;
    if (bits == 8) {
        if (codes.size() > 0) std::memcpy(out, in, codes.size());
        return kNone;
    }
    const std::uint64_t excess = ~lanes(8, bits);
    for (Index row = 0; row < rows; ++row) {
        const std::uint8_t* first = in + row * count;
        if ((kPackers[bits - 1](first, count, out + row * bytes, bytes) & excess) == 0) continue;
        for (Index i = 0; i < count; ++i)
            if (first[i] >> bits) return row * count + i;
    }
    return kNone;
}

void unpack_dense(const Bytes& frames, int bits, Bytes& codes) {
    require_dense(codes, frames, bits);
    const Index count = codes.shape(1), bytes = frames.shape(1), rows = codes.shape(0);
    const std::uint8_t* in = frames.data();
    std::uint8_t* out = codes.mutable_data();
    py::gil_scoped_release release;
    if (bits == 8) {
        if (codes.size() > 0) std::memcpy(out, in, codes.size());
        return;
    }
    for (Index row = 0; row < rows; ++row) kUnpackers[bits - 1](in + row * bytes, bytes, out + row * count, count);
}

// What a folded element may be: two's complement or unsigned, and FINN's bipolar -1/+1 stored as 0/1.
struct Element {
    int bits;
    bool is_signed;

    bool bipolar() const { return is_signed && bits == 1; }
    Index lo() const { return bipolar() ? -1 : is_signed ? -(Index{1} << (bits - 1)) : 0; }
    Index hi() const { return bipolar() ? 1 : (Index{1} << (bits - is_signed)) - 1; }
    bool holds(Index value) const { return value >= lo() && value <= hi() && !(bipolar() && value == 0); }
    std::uint64_t encode(Index value) const {
        return static_cast<std::uint64_t>(bipolar() ? (value + 1) / 2 : value) & low_bits(bits);
    }
    Index decode(std::uint64_t raw) const {
        if (bipolar()) return raw ? 1 : -1;
        const Index value = static_cast<Index>(raw);
        return is_signed && raw >> (bits - 1) ? value - (Index{1} << bits) : value;
    }
};

void require_folded(const py::array& values, const Bytes& groups, int bits) {
    require(bits >= 1 && bits <= 32, "bits must be 1..32");
    require(values.ndim() == 2 && groups.ndim() == 2 && values.shape(0) == groups.shape(0), "expected (G, group), (G, bytes)");
    require((values.shape(1) * bits + 7) / 8 == groups.shape(1), "group size does not fit the values");
}

// Fills `groups`; returns the flat index of the first value out of range, or -1.
template <class T>
Index pack_folded(const py::array_t<T, py::array::c_style>& values, int bits, bool is_signed, Bytes& groups) {
    require_folded(values, groups, bits);
    const Index count = values.shape(1), bytes = groups.shape(1), rows = values.shape(0);
    const T* in = values.data();
    std::uint8_t* out = groups.mutable_data();
    const Element element{bits, is_signed};
    py::gil_scoped_release release;
    for (Index row = 0; row < rows; ++row) {
        std::uint64_t word = 0;
        int filled = 0;
        std::uint8_t* next = out + row * bytes;
        for (Index i = row * count; i < (row + 1) * count; ++i) {
            if (!element.holds(in[i])) return i;
            word |= element.encode(in[i]) << filled;
            for (filled += bits; filled >= 8; filled -= 8, word >>= 8) *next++ = static_cast<std::uint8_t>(word);
        }
        if (filled) *next = static_cast<std::uint8_t>(word);
    }
    return kNone;
}

template <class T>
void unpack_folded(const Bytes& groups, int bits, bool is_signed, py::array_t<T, py::array::c_style>& values) {
    require_folded(values, groups, bits);
    const Index count = values.shape(1), bytes = groups.shape(1), rows = values.shape(0);
    const std::uint8_t* in = groups.data();
    T* out = values.mutable_data();
    const Element element{bits, is_signed};
    py::gil_scoped_release release;
    for (Index row = 0; row < rows; ++row) {
        std::uint64_t word = 0;
        int filled = 0;
        const std::uint8_t* next = in + row * bytes;
        for (Index i = row * count; i < (row + 1) * count; ++i) {
            for (; filled < bits; filled += 8) word |= std::uint64_t{*next++} << filled;
            out[i] = static_cast<T>(element.decode(word & low_bits(bits)));
            word >>= bits;
            filled -= bits;
        }
    }
}

template <class T>
void bind_folded(py::module_& m) {
    m.def("pack_folded", pack_folded<T>, py::arg("values").noconvert(), py::arg("bits"), py::arg("signed"),
          py::arg("groups").noconvert());
}

}  // namespace

void bind_packing(py::module_& m) {
    m.def("pack_dense", pack_dense, py::arg("codes").noconvert(), py::arg("bits"), py::arg("frames").noconvert());
    m.def("unpack_dense", unpack_dense, py::arg("frames").noconvert(), py::arg("bits"), py::arg("codes").noconvert());
    bind_folded<std::uint8_t>(m);
    bind_folded<std::int8_t>(m);
    bind_folded<std::uint16_t>(m);
    bind_folded<std::int16_t>(m);
    bind_folded<std::uint32_t>(m);
    bind_folded<std::int32_t>(m);
    bind_folded<std::int64_t>(m);
    m.def("unpack_folded", unpack_folded<std::int32_t>, py::arg("groups").noconvert(), py::arg("bits"),
          py::arg("signed"), py::arg("values").noconvert());
    m.def("unpack_folded", unpack_folded<std::int64_t>, py::arg("groups").noconvert(), py::arg("bits"),
          py::arg("signed"), py::arg("values").noconvert());
}

}  // namespace bitswath
