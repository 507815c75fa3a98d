#include "kernels/bits/bits.hpp"

#include <cstring>

namespace bitswath::emulator {
namespace {

// Two words at once where they are neighbours.
int64_t shared_bits(const uint8_t* in, const int32_t* offsets, const uint8_t* weights, int64_t depth) {
    int64_t sum = 0, k = 0;
    for (; k + 2 <= depth; k += 2, weights += 8) {
        uint64_t codes, w;
        std::memcpy(&w, weights, 8);
        if (offsets[k + 1] == offsets[k] + 4) {
            std::memcpy(&codes, in + offsets[k], 8);
        } else {
            uint32_t halves[2];
            std::memcpy(&halves[0], in + offsets[k], 4);
            std::memcpy(&halves[1], in + offsets[k + 1], 4);
            std::memcpy(&codes, halves, 8);
        }
        sum += __builtin_popcountll(codes & w);
    }
    if (k == depth) return sum;
    uint32_t codes, w;
    std::memcpy(&codes, in + offsets[k], 4);
    std::memcpy(&w, weights, 4);
    return sum + __builtin_popcountll(codes & w);
}

template <typename Acc>
void planes_loop(const BitRows& rows) {
    for (int64_t t = 0; t < rows.tiles; ++t)
        for (int64_t o = 0; o < rows.outputs; ++o) {
            const uint8_t* w = rows.weights + o * rows.weight_planes * rows.depth * 4;
            int64_t sum = 0;
            for (int64_t j = 0; j < rows.weight_planes; ++j, w += rows.depth * 4) {
                sum *= 2;
                for (int64_t i = 0; i < rows.code_planes; ++i)
                    sum += shared_bits(rows.in + rows.starts[t] + i * rows.plane, rows.offsets, w, rows.depth) << i;
            }
            static_cast<Acc*>(rows.acc)[t * rows.stride + o] =
                static_cast<Acc>(static_cast<const Acc*>(rows.level)[o] * int64_t{rows.totals[t]} +
                                 static_cast<const Acc*>(rows.slope)[o] * sum);
        }
}

// Up to eight codes as the bytes of a word.
uint64_t codes_at(const uint8_t* in, int64_t count) {
    uint64_t word;
    std::memcpy(&word, in, 8);
    return count < 8 ? word & ((uint64_t{1} << 8 * count) - 1) : word;
}

int32_t sum_of(uint64_t codes) { return static_cast<int32_t>(codes * 0x0101010101010101 >> 56); }

}  // namespace

void pack_quads(const uint8_t* in, int64_t pixels, int64_t channels, int64_t, int64_t, uint8_t* out, int32_t* sums) {
    for (int64_t p = 0; p < pixels; ++p, in += channels) {
        sums[p] = 0;
        for (int64_t c = 0; c < channels; c += 8) {
            const uint64_t codes = codes_at(in + c, channels - c);
            sums[p] += sum_of(codes);
            const uint64_t pairs = codes | codes >> 6, quads = pairs | pairs >> 12;
            *out++ = static_cast<uint8_t>(quads);
            if (channels - c > 4) *out++ = static_cast<uint8_t>(quads >> 32);
        }
    }
}

void pack_planes(const uint8_t* in, int64_t pixels, int64_t channels, int64_t planes, int64_t plane, uint8_t* out,
                 int32_t* sums) {
    constexpr uint64_t kOnes = 0x0101010101010101, kGather = 0x0102040810204080;  // bit 8i to bit 56 + i
    for (int64_t p = 0; p < pixels; ++p, in += channels) {
        sums[p] = 0;
        for (int64_t c = 0; c < channels; c += 32, out += 4) {
            for (int64_t i = 0; i < planes; ++i) std::memset(out + i * plane, 0, 4);
            for (int64_t byte = 0; byte < 4 && c + 8 * byte < channels; ++byte) {
                const uint64_t codes = codes_at(in + c + 8 * byte, channels - c - 8 * byte);
                sums[p] += sum_of(codes);
                for (int64_t i = 0; i < planes; ++i)
                    out[i * plane + byte] = static_cast<uint8_t>((codes >> i & kOnes) * kGather >> 56);
            }
        }
    }
}

BitForm plain_bits(Type acc) {
    BitForm form;
    form.name = "popcount";
    form.kernel = acc == s16 ? planes_loop<int16_t> : planes_loop<int32_t>;
    form.pack = pack_planes;
    form.acc = acc;
    form.most = int64_t{1} << 40;
    form.rate = form.lone_rate = 4.8;
    return form;
}

}  // namespace bitswath::emulator
