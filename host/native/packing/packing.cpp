#include <stdexcept>

#include "packing/kernels.hpp"

namespace bitswath {

const std::vector<PackingKernels>& packing_kernels() {
    static const std::vector<PackingKernels> found = [] {
        std::vector<PackingKernels> kernels = {plain_packing()};
#if defined(__x86_64__)
        if (cpu().avx2) kernels.push_back(avx2_packing());
        if (cpu().avx512vbmi) kernels.push_back(avx512_packing());
#elif defined(BITSWATH_NEON)
        if (cpu().neon) kernels.push_back(neon_packing());
#endif
        return kernels;
    }();
    return found;
}

const PackingKernels& packing_kernels_named(const std::string& name) {
    if (name.empty()) return packing_kernels().back();
    for (const auto& kernels : packing_kernels())
        if (name == kernels.name) return kernels;
    throw std::invalid_argument("this machine has no packing kernels " + name);
}

}  // namespace bitswath
