// The transform codec, bound to numpy arrays.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "transform/codec.hpp"

namespace py = pybind11;

namespace bitswath {
namespace {

using Bytes = py::array_t<uint8_t, py::array::c_style>;
using Rows = std::vector<std::vector<int>>;

constexpr int kMostBands = 255;
constexpr int64_t kMostWeight = int64_t{1} << 19;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// Sums of products of 12-bit components stay within 32 bits.
void check_matrix(const TransformCodec& codec) {
    require(codec.matrix.size() == static_cast<size_t>(codec.bands) * codec.bands, "expected a matrix (C, C)");
    for (int i = 0; i < codec.bands; ++i) {
        int64_t row = 0, column = 0;
        for (int j = 0; j < codec.bands; ++j) {
            row += std::abs(int{codec.matrix[i * codec.bands + j]});
            column += std::abs(int{codec.matrix[j * codec.bands + i]});
        }
        require(std::max(row, column) <= kMostWeight, "expected rows and columns of a matrix that sum to at most 128");
    }
}

std::vector<HuffmanTable> tables_of(const Rows& counts, const Rows& symbols) {
    require(counts.size() == symbols.size(), "expected counts and symbols of as many tables");
    std::vector<HuffmanTable> tables;
    for (size_t i = 0; i < counts.size(); ++i) {
        require(std::all_of(counts[i].begin(), counts[i].end(), [](int count) { return count >= 0 && count <= 4096; }),
                "expected counts of codes from 0 to 4096");
        tables.emplace_back(CanonicalTable{counts[i], symbols[i]});
    }
    return tables;
}

void check_tables(const TransformCodec& codec) {
    require(codec.dc.size() == kClasses, "expected two tables of means");
    for (const HuffmanTable& table : codec.dc)
        for (int symbol = 0; symbol < 4096; ++symbol)
            require((table.codes[symbol].length > 0) == (symbol <= kMostBits), "expected codes of 0 to 14 bits");
    require(!codec.ac.empty() && codec.ac.size() <= kMostTables, "expected 1 to 8 tables");
    for (const HuffmanTable& table : codec.ac) {
        require(table.codes[kEnd].length && table.codes[kEscape].length, "expected codes of the end and the escape");
        for (int symbol = 1; symbol < 4096; ++symbol)
            require(!table.codes[symbol].length || symbol == kEscape ||
                        ((symbol & 0xf) >= 1 && (symbol & 0xf) <= kMostBits && symbol >> kRunShift < kBlockSize - 1),
                    "expected symbols of 1 to 14 bits behind 0 to 254 zeros");
    }
    for (uint8_t table : codec.contexts) require(table < codec.ac.size(), "expected contexts that name a table");
}

TransformCodec make(int bands, const std::vector<int16_t>& matrix, const std::vector<int>& deltas,
                    const Rows& dc_counts, const Rows& dc_symbols, const Rows& ac_counts, const Rows& ac_symbols,
                    const std::vector<int>& contexts, int seed, int longest, int index) {
    require(bands >= 1 && bands <= kMostBands, "expected 1 to 255 bands");
    require(deltas.size() == 3 && contexts.size() == kContexts, "expected 3 deltas and 56 contexts");
    require(index >= 0 && index < kSteps, "expected a step's index of 0 to 63");
    require(longest > kHeaderBytes && longest <= kLongestFrame, "expected frames of 6 to 65535 bytes");
    TransformCodec codec;
    codec.bands = bands;
    codec.matrix = matrix;
    check_matrix(codec);
    for (int i = 0; i < 3; ++i) {
        require(deltas[i] >= -31 && deltas[i] <= 31, "expected deltas of -31 to 31");
        codec.deltas[i] = deltas[i];
    }
    codec.dc = tables_of(dc_counts, dc_symbols);
    codec.ac = tables_of(ac_counts, ac_symbols);
    std::transform(contexts.begin(), contexts.end(), codec.contexts.begin(),
                   [](int table) { return static_cast<uint8_t>(std::clamp(table, 0, 255)); });
    check_tables(codec);
    codec.seed = static_cast<uint16_t>(seed);
    codec.longest = longest;
    codec.index = index;
    return codec;
}

Images images_of(const TransformCodec& codec, const Bytes& samples) {
    require(samples.ndim() == 4 && samples.size() > 0 && samples.shape(3) == codec.bands,
            "expected samples (N, H, W, C), none empty");
    return {samples.shape(0), samples.shape(1), samples.shape(2)};
}

// Frames as rows of one width, a multiple of `unit`, filled up with zeros; a row of none is a patch without a frame.
Bytes encode(const TransformCodec& codec, const Bytes& samples, int unit, int threads, const std::string& name) {
    const Images images = images_of(codec, samples);
    const TransformKernels& kernels = transform_kernels(name);
    require(unit >= 1, "expected rows of a multiple of 1 or more bytes");
    Frames frames;
    {
        py::gil_scoped_release release;
        frames = encode_frames(codec, kernels, samples.data(), images, threads);
    }
    size_t longest = 1;
    for (const auto& frame : frames) longest = std::max(longest, frame.size());
    const auto width = static_cast<int64_t>((longest + unit - 1) / unit * unit);
    Bytes out({images.count, width});
    std::fill_n(out.mutable_data(), out.size(), uint8_t{0});
    for (int64_t i = 0; i < images.count; ++i)
        std::copy(frames[i].begin(), frames[i].end(), out.mutable_data() + i * width);
    return out;
}

// Fills `samples`; the fault of each frame.
Bytes decode(const TransformCodec& codec, const Bytes& frames, Bytes& samples, int threads, const std::string& name) {
    const Images images = images_of(codec, samples);
    const TransformKernels& kernels = transform_kernels(name);
    require(frames.ndim() == 2 && frames.shape(0) == images.count, "expected frames (N, bytes)");
    Bytes faults(images.count);
    static_assert(sizeof(FrameFault) == 1);
    auto* found = reinterpret_cast<FrameFault*>(faults.mutable_data());
    uint8_t* out = samples.mutable_data();
    py::gil_scoped_release release;
    decode_frames(codec, kernels, frames.data(), frames.shape(1), images, threads, out, found);
    return faults;
}

py::dict count(const TransformCodec& codec, const Bytes& samples, const std::string& name) {
    const Images images = images_of(codec, samples);
    const TransformKernels& kernels = transform_kernels(name);
    const uint8_t* given = samples.data();
    const TransformCounts counts = [&] {
        py::gil_scoped_release release;
        return count_symbols(codec, kernels, given, images);
    }();
    py::dict found;
    found["dc"] = py::array_t<int64_t>(counts.dc.size(), counts.dc.data()).reshape({kClasses, kMostBits + 1});
    found["ac"] = py::array_t<int64_t>(counts.ac.size(), counts.ac.data()).reshape({kContexts, 4096});
    found["excess"] = counts.excess;
    found["levels"] = counts.levels;
    return found;
}

}  // namespace

void bind_transform(py::module_& m) {
    const auto samples = py::arg("samples").noconvert();
    const auto threads = py::arg("threads") = 0, kernels = py::arg("kernels") = "";
    m.def("transform_kernels", transform_kernel_names);
    py::class_<TransformCodec>(m, "TransformCodec")
        .def(py::init(&make), py::arg("bands"), py::arg("matrix"), py::arg("deltas"), py::arg("dc_counts"),
             py::arg("dc_symbols"), py::arg("ac_counts"), py::arg("ac_symbols"), py::arg("contexts"), py::arg("seed"),
             py::arg("longest"), py::arg("index"))
        .def("encode", encode, samples, py::arg("unit"), threads, kernels)
        .def("decode", decode, py::arg("frames").noconvert(), samples, threads, kernels)
        .def("count", count, samples, kernels);
}

}  // namespace bitswath
