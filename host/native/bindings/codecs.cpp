// The codecs' encoders, bound to numpy arrays. Each function fills `out`, (N, m): with codes where `pack_bits` is 0,
// else with frames of that width; it returns the OR of all samples of more than 8 bits.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "encoding/encoding.hpp"

namespace py = pybind11;

namespace bitswath {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

constexpr int64_t kLongestPeriod = 32;  // of a dither
constexpr int64_t kMostSteps = 256;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

bool power_of_two(int64_t value, int64_t most) { return value > 0 && value <= most && (value & (value - 1)) == 0; }

// (P, P, C)
template <class V>
Mask<V> checked_mask(const Array<V>& mask, int64_t bands) {
    require(mask.ndim() == 3 && power_of_two(mask.shape(0), kLongestPeriod) && mask.shape(1) == mask.shape(0) &&
                mask.shape(2) == bands,
            "expected a mask (P, P, C), P a power of two up to 32");
    return {mask.data(), mask.shape(0)};
}

uint64_t run(const Encoder& encoder, Array<uint8_t>& out, int pack_bits, int threads) {
    require(pack_bits >= 0 && pack_bits <= 8, "pack_bits must be 0..8");
    const int64_t size = pack_bits ? packed_bytes(encoder.codes, pack_bits) : encoder.codes;
    require(out.ndim() == 2 && out.shape(0) == encoder.patches && out.shape(1) == size,
            "expected out (N, codes) or (N, frame bytes)");
    const Means means{packing_kernels_named(""), threads};
    uint8_t* bytes = out.mutable_data();
    py::gil_scoped_release release;
    return pack_bits ? encode_frames(encoder, pack_bits, means, bytes)
                         : encode_codes(encoder, threads, bytes);
}

template <class T>
Patches<T> checked(const Array<T>& patches) {
    require(patches.ndim() == 4 && patches.size() > 0, "expected patches (N, H, W, C), none empty");
    return {patches.data(), patches.shape(0), patches.shape(1), patches.shape(2), patches.shape(3)};
}

template <class T>
uint64_t encode_shifts(const Array<T>& patches, int shift, Array<uint8_t>& out, int pack_bits, int threads,
                       const std::string& kernels) {
    require(shift >= 0 && shift < static_cast<int>(8 * sizeof(T)), "shift out of range");
    return run(*shift_encoder(checked(patches), shift, codec_isa(kernels)), out, pack_bits, threads);
}

template <class T>
uint64_t encode_counts(const Array<T>& patches, const Array<T>& thresholds, Array<uint8_t>& out, int pack_bits,
                       int threads, const std::string& kernels) {
    const auto source = checked(patches);
    require(thresholds.ndim() == 3 && power_of_two(thresholds.shape(0), kLongestPeriod) &&
                thresholds.shape(1) < 256 && thresholds.shape(2) > kOverhang &&
                (thresholds.shape(2) - kOverhang) % source.bands == 0,
            "expected thresholds (P, steps, P C + 64), P a power of two up to 32");
    const Thresholds<T> table{thresholds.data(), thresholds.shape(0), thresholds.shape(1),
                              thresholds.shape(2) - kOverhang};
    return run(*count_encoder(source, table, codec_isa(kernels)), out, pack_bits, threads);
}

template <class T>
uint64_t encode_positions(const Array<T>& patches, const Array<uint16_t>& positions, int steps,
                          const Array<uint8_t>& mask, Array<uint8_t>& out, int pack_bits, int threads) {
    const auto source = checked(patches);
    require(power_of_two(steps, kMostSteps), "expected steps as a power of two up to 256");
    int shift = 0;
    while (1 << shift < steps) ++shift;
    require(positions.ndim() == 2 && positions.shape(1) == int64_t{1} << (8 * sizeof(T)) &&
                (positions.shape(0) == source.bands || positions.shape(0) == 1),
            "expected one position a sample value");
    const bool per_band = positions.shape(0) > 1;
    return run(*position_encoder(source, positions.data(), per_band, shift, checked_mask(mask, source.bands)), out,
               pack_bits, threads);
}

template <class T>
std::unique_ptr<Encoder> encoder_of(Patches<T> source, const Array<int64_t>& colours, Mask<uint8_t> ranks,
                                    const std::string& kernels) {
    require(colours.ndim() == 2 && colours.shape(1) == source.bands, "expected colours (K, C)");
    require(colours.shape(0) >= 1 && colours.shape(0) <= 256, "expected 1 to 256 colours");
    const auto within = [](int64_t value) { return value >= 0 && value <= std::numeric_limits<T>::max(); };
    require(std::all_of(colours.data(), colours.data() + colours.size(), within),
            "expected colours within the pixels' type");
    if (std::any_of(ranks.values, ranks.values + ranks.side * ranks.side, [](uint8_t rank) { return rank > 0; }))
        return mixture_encoder(source, colours.data(), colours.shape(0), ranks, codec_isa(kernels));
    return palette_encoder(source, colours.data(), colours.shape(0), codec_isa(kernels));
}

// `ranks` (P, P, 1) below 16; one of 0 for the nearest colour.
template <class T>
uint64_t encode_palette(const Array<T>& patches, const Array<int64_t>& colours, const Array<uint8_t>& ranks,
                        Array<uint8_t>& out, int pack_bits, int threads, const std::string& kernels) {
    const auto source = checked(patches);
    const auto mask = checked_mask(ranks, 1);
    require(std::all_of(ranks.data(), ranks.data() + ranks.size(), [](uint8_t rank) { return rank < kMostMixed; }),
            "expected ranks below 16");
    return run(*encoder_of(source, colours, mask, kernels), out, pack_bits, threads);
}

// codes[i]: the number of the colour nearest to pixel i. pixels (n, C), colours (1..256, C) within T.
template <class T>
void nearest(const Array<T>& pixels, const Array<int64_t>& colours, Array<uint8_t>& codes, int threads) {
    require(pixels.ndim() == 2 && pixels.size() > 0, "expected pixels (n, C), none empty");
    require(codes.ndim() == 1 && codes.shape(0) == pixels.shape(0), "expected one code a pixel");
    const Patches<T> source{pixels.data(), 1, 1, pixels.shape(0), pixels.shape(1)};
    const uint8_t nearest_of_all = 0;
    const auto encoder = encoder_of(source, colours, {&nearest_of_all, 1}, "");
    uint8_t* out = codes.mutable_data();
    py::gil_scoped_release release;
    encode_codes(*encoder, threads, out);
}

template <class T>
void bind_samples(py::module_& m) {
    const auto patches = py::arg("patches").noconvert(), out = py::arg("out").noconvert();
    const auto pack_bits = py::arg("pack_bits");
    const auto threads = py::arg("threads") = 0, kernels = py::arg("kernels") = "";
    m.def("encode_shifts", encode_shifts<T>, patches, py::arg("shift"), out, pack_bits, threads, kernels);
    m.def("encode_counts", encode_counts<T>, patches, py::arg("thresholds").noconvert(), out, pack_bits, threads,
          kernels);
    m.def("encode_positions", encode_positions<T>, patches, py::arg("positions").noconvert(),
          py::arg("steps"), py::arg("mask").noconvert(), out, pack_bits, threads);
    m.def("encode_palette", encode_palette<T>, patches, py::arg("colours").noconvert(), py::arg("ranks").noconvert(),
          out, pack_bits, threads, kernels);
    m.def("nearest", nearest<T>, py::arg("pixels").noconvert(), py::arg("colours").noconvert(),
          py::arg("codes").noconvert(), threads);
}

}  // namespace

void bind_codecs(py::module_& m) {
    m.def("codec_kernels", codec_kernels);
    bind_samples<uint8_t>(m);
    bind_samples<uint16_t>(m);
}

}  // namespace bitswath
