// Codes to bytes on the link and back: dense (any width 1..8, no padding inside a frame) and folded (FINN's layout:
// every innermost group starts on a byte), bound to numpy arrays.
#include "packing/packing.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <stdexcept>
#include <string>

#include "packing/rows.hpp"

namespace py = pybind11;

namespace bitswath {

namespace {

using Bytes = py::array_t<std::uint8_t, py::array::c_style>;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// (R, count) values and (R, bytes) of one width.
Rows checked(const py::array& values, const Bytes& bytes, int bits, int most) {
    require(bits >= 1 && bits <= most, "bits out of range");
    require(values.ndim() == 2 && bytes.ndim() == 2 && values.shape(0) == bytes.shape(0),
            "expected (R, count), (R, bytes)");
    require((values.shape(1) * bits + 7) / 8 == bytes.shape(1), "row size does not fit the values");
    return {values.shape(0), values.shape(1)};
}

// Fills `bytes`; returns the flat index of the first value out of range, or -1.
template <class T>
int64_t pack_array(const py::array_t<T, py::array::c_style>& values, int bits, bool is_signed, Bytes& bytes,
                   int threads, const std::string& kernels) {
    const Rows rows = checked(values, bytes, bits, std::is_floating_point_v<T> ? 8 : 32);
    require(std::is_integral_v<T> || !is_signed, "expected unsigned codes in a float array");
    const Means means{packing_kernels_named(kernels), threads};
    const T* in = values.data();
    std::uint8_t* out = bytes.mutable_data();
    py::gil_scoped_release release;
    return pack_rows(in, rows, {bits, is_signed}, means, out);
}

template <class T>
void unpack_array(const Bytes& bytes, int bits, bool is_signed, py::array_t<T, py::array::c_style>& values,
                  int threads, const std::string& kernels) {
    const Rows rows = checked(values, bytes, bits, sizeof(T) == 1 ? 8 : 32);
    require(sizeof(T) > 1 || !is_signed, "expected unsigned codes");
    const Means means{packing_kernels_named(kernels), threads};
    const std::uint8_t* in = bytes.data();
    T* out = values.mutable_data();
    py::gil_scoped_release release;
    unpack_rows(in, rows, {bits, is_signed}, means, out);
}

template <class... T>
void bind_pack(py::module_& m) {
    (m.def("pack", pack_array<T>, py::arg("values").noconvert(), py::arg("bits"), py::arg("signed"),
           py::arg("bytes").noconvert(), py::arg("threads") = 0, py::arg("kernels") = ""),
     ...);
}

template <class... T>
void bind_unpack(py::module_& m) {
    (m.def("unpack", unpack_array<T>, py::arg("bytes").noconvert(), py::arg("bits"), py::arg("signed"),
           py::arg("values").noconvert(), py::arg("threads") = 0, py::arg("kernels") = ""),
     ...);
}

}  // namespace

void bind_packing(py::module_& m) {
    m.def("packing_kernels", [] {
        std::vector<std::string> names;
        for (const auto& kernels : packing_kernels()) names.push_back(kernels.name);
        return names;
    });
    bind_pack<std::uint8_t, float, std::uint16_t, std::int8_t, std::int16_t, std::uint32_t, std::int32_t,
              std::int64_t>(m);
    bind_unpack<std::uint8_t, std::int32_t, std::int64_t>(m);
}

}  // namespace bitswath
