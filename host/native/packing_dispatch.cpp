#include "cpu.hpp"
#include "packing_kernels.hpp"

namespace bitswath {

const std::vector<PackingKernels>& packing_kernels() {
    static const std::vector<PackingKernels> found = [] {
        std::vector<PackingKernels> kernels = {plain_packing()};
#if defined(__x86_64__)
        if (cpu().avx2) kernels.push_back(avx2_packing());
        if (cpu().avx512bw && cpu().avx512vl && cpu().avx512vbmi) kernels.push_back(avx512_packing());
#elif defined(__aarch64__) || defined(__arm__)
        if (cpu().neon) kernels.push_back(neon_packing());
#endif
        return kernels;
    }();
    return found;
}

}  // namespace bitswath
