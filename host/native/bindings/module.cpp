// The one extension module; each part binds itself.
#include <pybind11/pybind11.h>

namespace bitswath {
void bind_packing(pybind11::module_& m);
void bind_codecs(pybind11::module_& m);
void bind_emulator(pybind11::module_& m);
}  // namespace bitswath

PYBIND11_MODULE(_native, m) {
    m.doc() = "bitswath's native core: packing, codecs, emulator.";
    bitswath::bind_packing(m);
    bitswath::bind_codecs(m);
    bitswath::bind_emulator(m);
}
