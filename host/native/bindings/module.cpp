// The one extension module; each part binds itself.
#include "native.hpp"

PYBIND11_MODULE(_native, m) {
    m.doc() = "bitswath's native core: packing, codecs, emulator.";
    bitswath::bind_packing(m);
    bitswath::bind_codecs(m);
    bitswath::bind_transform(m);
    bitswath::bind_emulator(m);
}
