#include <pybind11/pybind11.h>

namespace bitswath {
void bind_codecs(pybind11::module_&) {}
}  // namespace bitswath
