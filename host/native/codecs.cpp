// The codecs' inner loops: position tables with a dither mask, and the exact nearest colour.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#define BITSWATH_X86 1
#endif

namespace py = pybind11;

namespace bitswath {
namespace {

using Index = std::int64_t;
template <class T>
using Array = py::array_t<T, py::array::c_style>;

constexpr Index kSide = 8;     // of the dither mask
constexpr int kStepShift = 6;  // positions count 64ths of a code, as the mask does

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

template <class T>
void require_patches(const Array<T>& patches, const py::array& mask) {
    require(patches.ndim() == 4, "expected patches (N, H, W, C)");
    require(mask.ndim() == 3 && mask.shape(0) == kSide && mask.shape(1) == kSide && mask.shape(2) == patches.shape(3),
            "expected a mask (8, 8, C)");
}

// Calls `row(offset, mask_row, samples)` for every run of at most 8 pixels that lies over one mask row.
template <class Mask, class Row>
void over_mask(const Index (&shape)[4], const Mask* mask, Row row) {
    const Index line = kSide * shape[3], width = shape[2] * shape[3];
    for (Index y = 0; y < shape[0] * shape[1]; ++y)
        for (Index x = 0; x < width; x += line)
            row(y * width + x, mask + y % shape[1] % kSide * line, std::min(line, width - x));
}

// code = (positions[c][x] + mask[h % 8][w % 8][c]) >> 6; positions (C or 1, 2^depth).
template <class T>
void encode_positions(const Array<T>& patches, const Array<std::uint16_t>& positions, const Array<std::uint8_t>& mask,
                      Array<std::uint8_t>& codes) {
    require_patches(patches, mask);
    const Index bands = patches.shape(3), entries = Index{1} << (8 * sizeof(T));
    require(positions.ndim() == 2 && positions.shape(1) == entries &&
                (positions.shape(0) == bands || positions.shape(0) == 1),
            "expected one position a sample value");
    require(codes.size() == patches.size(), "expected as many codes as samples");
    std::vector<const std::uint16_t*> tables(kSide * bands);
    for (Index i = 0; i < kSide * bands; ++i)
        tables[i] = positions.data() + (positions.shape(0) == 1 ? 0 : i % bands * entries);
    const T* in = patches.data();
    std::uint8_t* out = codes.mutable_data();
    const Index shape[4] = {patches.shape(0), patches.shape(1), patches.shape(2), bands};
    py::gil_scoped_release release;
    over_mask(shape, mask.data(), [&](Index offset, const std::uint8_t* mask_row, Index samples) {
        for (Index i = 0; i < samples; ++i)
            out[offset + i] = static_cast<std::uint8_t>((tables[i][in[offset + i]] + mask_row[i]) >> kStepShift);
    });
}

// shifted = clamp(x + offsets[h % 8][w % 8][c], 0, 2^depth - 1).
template <class T>
void add_offsets(const Array<T>& patches, const Array<std::int32_t>& offsets, Array<T>& shifted) {
    require_patches(patches, offsets);
    require(shifted.size() == patches.size(), "expected as many results as samples");
    constexpr std::int32_t top = (1 << (8 * sizeof(T))) - 1;
    const T* in = patches.data();
    T* out = shifted.mutable_data();
    const Index shape[4] = {patches.shape(0), patches.shape(1), patches.shape(2), patches.shape(3)};
    py::gil_scoped_release release;
    over_mask(shape, offsets.data(), [&](Index offset, const std::int32_t* row, Index samples) {
        for (Index i = 0; i < samples; ++i)
            out[offset + i] = static_cast<T>(std::clamp(in[offset + i] + row[i], 0, top));
    });
}

// ---- nearest colour: a block of pixels at a time, one pixel a lane, against every colour ----

constexpr Index kBlock = 64;

// The power of two, at least the count of colours, that leaves room for a colour's number in a key.
Index numbers(Index count) {
    Index room = 1;
    while (room < count) room *= 2;
    return room;
}

// For pixel p and colour number k, the key numbers (|c|^2 - 2 c.p) + k orders colours as the distance
// |p - c|^2 does and, of equally near ones, puts the lowest number first; so the smallest key names
// the winner. Where Real holds every sum exactly (integers up to 2^24 or 2^53) so is the result,
// whatever the instruction set. `planes` (bands, kBlock) are pixels, `terms` (count, 1 + bands) the
// keys' constant and factors, `bytes` the size of the vectors to compute with.
template <int bytes, class Real>
inline __attribute__((always_inline)) void least_keys(const Real* planes, const Real* terms, Index count, Index bands,
                                                      Real* keys) {
    typedef Real Vector __attribute__((vector_size(bytes)));
    constexpr Index lanes = bytes / sizeof(Real), unroll = 4;
    static_assert(kBlock % (lanes * unroll) == 0);
    for (Index first = 0; first < kBlock; first += lanes * unroll) {
        Vector least[unroll], key[unroll];
        for (Index u = 0; u < unroll; ++u) least[u] = Vector{} + std::numeric_limits<Real>::max();
        const Real* term = terms;
        for (Index k = 0; k < count; ++k) {
            for (Index u = 0; u < unroll; ++u) key[u] = Vector{} + *term;
            ++term;
            for (Index c = 0; c < bands; ++c, ++term)
                for (Index u = 0; u < unroll; ++u)
                    key[u] += *reinterpret_cast<const Vector*>(planes + c * kBlock + first + u * lanes) * *term;
            for (Index u = 0; u < unroll; ++u) least[u] = key[u] < least[u] ? key[u] : least[u];
        }
        for (Index u = 0; u < unroll; ++u) *reinterpret_cast<Vector*>(keys + first + u * lanes) = least[u];
    }
}

template <class Real>
void least_keys_baseline(const Real* planes, const Real* terms, Index count, Index bands, Real* keys) {
    least_keys<16>(planes, terms, count, bands, keys);
}

#ifdef BITSWATH_X86
template <class Real>
__attribute__((target("avx2,fma"))) void least_keys_avx2(const Real* planes, const Real* terms, Index count,
                                                         Index bands, Real* keys) {
    least_keys<32>(planes, terms, count, bands, keys);
}

template <class Real>
__attribute__((target("avx512f"))) void least_keys_avx512(const Real* planes, const Real* terms, Index count,
                                                          Index bands, Real* keys) {
    least_keys<64>(planes, terms, count, bands, keys);
}
#endif

template <class Real>
auto choose_least_keys(const std::string& isa) {
#ifdef BITSWATH_X86
    const bool best = isa.empty();
    if ((best || isa == "avx512") && __builtin_cpu_supports("avx512f")) return least_keys_avx512<Real>;
    if ((best || isa == "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return least_keys_avx2<Real>;
#endif
    require(isa.empty() || isa == "baseline", "this machine does not have the instruction set asked for");
    return least_keys_baseline<Real>;
}

template <class Real>
std::vector<Real> key_terms(const std::int64_t* colours, Index count, Index bands) {
    const Index room = numbers(count);
    std::vector<Real> terms;
    for (Index k = 0; k < count; ++k, colours += bands) {
        const std::int64_t square = std::inner_product(colours, colours + bands, colours, std::int64_t{0});
        terms.push_back(static_cast<Real>(room * square + k));
        for (Index c = 0; c < bands; ++c) terms.push_back(static_cast<Real>(-2 * room * colours[c]));
    }
    return terms;
}

template <class T, class Real>
void nearest_as(const T* in, Index total, const std::int64_t* colours, Index count, Index bands,
                const std::string& isa, std::uint8_t* codes) {
    const auto kernel = choose_least_keys<Real>(isa);
    const auto terms = key_terms<Real>(colours, count, bands);
    struct alignas(64) Plane {
        Real pixels[kBlock] = {};
    };
    std::vector<Plane> planes(bands);
    Plane keys;
    for (Index first = 0; first < total; first += kBlock, in += kBlock * bands) {
        const Index size = std::min(kBlock, total - first);
        for (Index c = 0; c < bands; ++c)
            for (Index i = 0; i < size; ++i) planes[c].pixels[i] = in[i * bands + c];
        kernel(planes[0].pixels, terms.data(), count, bands, keys.pixels);
        using Integer = std::conditional_t<sizeof(Real) == 4, std::int32_t, std::int64_t>;
        const auto low = static_cast<std::uint8_t>(numbers(count) - 1);
        for (Index i = 0; i < size; ++i)
            codes[first + i] = static_cast<std::uint8_t>(static_cast<Integer>(keys.pixels[i])) & low;
    }
}

// codes[i]: the number of the colour nearest to pixel i. pixels (n, C), colours (1..256, C) within T.
template <class T>
void nearest(const Array<T>& pixels, const Array<std::int64_t>& colours, Array<std::uint8_t>& codes,
             const std::string& isa) {
    require(pixels.ndim() == 2 && colours.ndim() == 2 && pixels.shape(1) == colours.shape(1) && pixels.shape(1) >= 1,
            "expected (n, C), (K, C)");
    require(colours.shape(0) >= 1 && colours.shape(0) <= 256, "expected 1 to 256 colours");
    require(codes.size() == pixels.shape(0), "expected one code a pixel");
    const Index total = pixels.shape(0), bands = pixels.shape(1), count = colours.shape(0);
    constexpr double top = std::numeric_limits<T>::max();
    require(std::all_of(colours.data(), colours.data() + count * bands, [](auto v) { return v >= 0 && v <= top; }),
            "expected colours within the pixels' type");
    const double largest_sum = numbers(count) * (top * top * (bands + 1) + 1);
    require(largest_sum <= 0x1p53, "too many bands");
    const T* in = pixels.data();
    std::uint8_t* out = codes.mutable_data();
    py::gil_scoped_release release;
    if (largest_sum <= 0x1p24)
        nearest_as<T, float>(in, total, colours.data(), count, bands, isa, out);
    else
        nearest_as<T, double>(in, total, colours.data(), count, bands, isa, out);
}

template <class T>
void bind_samples(py::module_& m) {
    m.def("encode_positions", encode_positions<T>, py::arg("patches").noconvert(), py::arg("positions").noconvert(),
          py::arg("mask").noconvert(), py::arg("codes").noconvert());
    m.def("add_offsets", add_offsets<T>, py::arg("patches").noconvert(), py::arg("offsets").noconvert(),
          py::arg("shifted").noconvert());
    m.def("nearest", nearest<T>, py::arg("pixels").noconvert(), py::arg("colours").noconvert(),
          py::arg("codes").noconvert(), py::arg("isa") = "");
}

}  // namespace

void bind_codecs(py::module_& m) {
    bind_samples<std::uint8_t>(m);
    bind_samples<std::uint16_t>(m);
}

}  // namespace bitswath
