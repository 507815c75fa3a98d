#include "encoding/encoding.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "common/cpu.hpp"
#include "common/threads.hpp"

namespace bitswath {
namespace {

constexpr int64_t kBlock = 8192;  // codes at a time: they stay in the first cache; a multiple of 8
constexpr const char* kNames[] = {"plain", "avx2", "avx512"};

std::vector<Isa> available() {
    std::vector<Isa> found = {Isa::plain};
    if (cpu().avx2fma) found.push_back(Isa::avx2);
    if (cpu().avx512vnni) found.push_back(Isa::avx512);
    return found;
}

// Calls block(patch, first, last, kept) for at most kBlock codes of a patch at a time; ORs what it returns.
template <class Block>
uint64_t over_blocks(const Encoder& encoder, int threads, const Block& block) {
    const int64_t blocks = (encoder.codes + kBlock - 1) / kBlock;
    std::atomic<uint64_t> seen{0};
    const int workers = useful_threads(threads, encoder.patches * encoder.sample_bytes);
    over_threads(encoder.patches * blocks, workers, [&](int64_t unit, int64_t end) {
        uint64_t own = 0;
        const auto kept = encoder.keep();
        for (; unit < end; ++unit) {
            const int64_t first = unit % blocks * kBlock;
            own |= block(unit / blocks, first, std::min(first + kBlock, encoder.codes), kept.get());
        }
        seen |= own;
    });
    return seen;
}

}  // namespace

std::vector<std::string> codec_kernels() {
    std::vector<std::string> names;
    for (const Isa isa : available()) names.push_back(kNames[static_cast<int>(isa)]);
    return names;
}

Isa codec_isa(const std::string& name) {
    static const std::vector<Isa> found = available();
    if (name.empty()) return found.back();
    for (const Isa isa : found)
        if (name == kNames[static_cast<int>(isa)]) return isa;
    throw std::invalid_argument("this machine has no codec kernels " + name);
}

uint64_t encode_codes(const Encoder& encoder, int threads, uint8_t* codes) {
    return over_blocks(encoder, threads, [&](int64_t patch, int64_t first, int64_t last, Encoder::Keep* kept) {
        return encoder.encode(patch, first, last, kept, codes + patch * encoder.codes + first);
    });
}

uint64_t encode_frames(const Encoder& encoder, int bits, Means means, uint8_t* frames) {
    const int64_t frame = packed_bytes(encoder.codes, bits);
    return over_blocks(encoder, means.threads, [&](int64_t patch, int64_t first, int64_t last, Encoder::Keep* kept) {
        alignas(64) uint8_t codes[kBlock];
        const uint64_t seen = encoder.encode(patch, first, last, kept, codes);
        means.kernels.pack[bits](codes, last - first, frames + patch * frame + first * bits / 8);
        return seen;
    });
}

}  // namespace bitswath
