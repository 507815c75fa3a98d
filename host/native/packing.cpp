#include <pybind11/pybind11.h>

namespace bitswath {
void bind_packing(pybind11::module_&) {}
}  // namespace bitswath
