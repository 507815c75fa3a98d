// The arithmetic behind hw/rtl/mvu_model.sv: dot products of integers of 1 to 32 bits, packed as SystemVerilog
// passes them. Sums wrap at 64 bits.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "svdpi.h"

namespace {

constexpr std::size_t kPartBytes = 64;

struct Operand {
    unsigned bits;
    bool is_signed;
    std::size_t count;
    std::vector<std::uint8_t> packed;
    std::vector<std::int16_t> values;
    std::vector<std::int32_t> wide;

    Operand(unsigned bits, bool is_signed, std::size_t count)
        : bits(bits),
          is_signed(is_signed),
          count(count),
          packed((count * bits / 8 / kPartBytes + 2) * kPartBytes),
          values(count + 2 * kPartBytes * 8 / bits),
          wide(count) {}

    bool narrow() const { return bits + !is_signed <= 16; }

    void load(unsigned part, const svBitVecVal *words) {
        std::memcpy(packed.data() + part * kPartBytes, words, kPartBytes);
    }

    // Two's complement of b bits: (x ^ sign) - sign.
    template <unsigned B>
    void unpack_dividing() {
        constexpr int mask = (1 << B) - 1;
        const int sign = is_signed ? 1 << (B - 1) : 0;
        constexpr std::size_t a_byte = 8 / B;
        const std::size_t bytes = (count + a_byte - 1) / a_byte;
        for (std::size_t i = 0; i < bytes; i++)
            for (std::size_t j = 0; j < a_byte; j++)
                values[i * a_byte + j] = static_cast<std::int16_t>((((packed[i] >> (j * B)) & mask) ^ sign) - sign);
    }

    std::int64_t at(std::size_t index) const {
        const std::size_t position = index * bits;
        std::uint64_t word;
        std::memcpy(&word, packed.data() + position / 8, sizeof word);
        word = word >> (position % 8) & ((1ull << bits) - 1);
        const std::uint64_t sign = is_signed ? 1ull << (bits - 1) : 0;
        return static_cast<std::int64_t>((word ^ sign) - sign);
    }

    void unpack() {
        switch (bits) {
            case 1: return unpack_dividing<1>();
            case 2: return unpack_dividing<2>();
            case 4: return unpack_dividing<4>();
            case 8: return unpack_dividing<8>();
        }
        for (std::size_t i = 0; i < count; i++) wide[i] = static_cast<std::int32_t>(at(i));
        if (narrow())
            for (std::size_t i = 0; i < count; i++) values[i] = static_cast<std::int16_t>(wide[i]);
    }
};

struct Unit {
    unsigned pe, simd, act_pe;
    Operand weights, activations;
    std::vector<std::int64_t> sums;

    void accumulate() {
        weights.unpack();
        activations.unpack();
        const bool narrow = weights.narrow() && activations.narrow();
        for (unsigned i = 0; i < pe; i++) {
            const std::size_t w = std::size_t{i} * simd, a = act_pe == 1 ? 0 : w;
            sums[i] += narrow ? dot(weights.values.data() + w, activations.values.data() + a)
                              : dot(weights.wide.data() + w, activations.wide.data() + a);
        }
    }

    template <class T>
    std::int64_t dot(const T *w, const T *a) const {
        std::conditional_t<sizeof(T) == 2, std::int32_t, std::int64_t> sum = 0;
        for (unsigned s = 0; s < simd; s++) sum += static_cast<decltype(sum)>(w[s]) * a[s];
        return sum;
    }
};

std::vector<std::unique_ptr<Unit>> &units() {
    static std::vector<std::unique_ptr<Unit>> all;
    return all;
}

Unit &of(void *unit) { return *static_cast<Unit *>(unit); }

}  // namespace

extern "C" void *bitswath_mvu(unsigned pe, unsigned simd, unsigned act_pe, unsigned weight_bits,
                              unsigned activation_bits, svBit signed_activations) {
    units().push_back(std::make_unique<Unit>(
        Unit{pe, simd, act_pe, Operand(weight_bits, true, std::size_t{pe} * simd),
             Operand(activation_bits, signed_activations != 0, std::size_t{act_pe} * simd),
             std::vector<std::int64_t>(pe)}));
    return units().back().get();
}

extern "C" void bitswath_mvu_weights(void *unit, unsigned part, const svBitVecVal *bits) {
    of(unit).weights.load(part, bits);
}

extern "C" void bitswath_mvu_activations(void *unit, unsigned part, const svBitVecVal *bits) {
    of(unit).activations.load(part, bits);
}

extern "C" void bitswath_mvu_accumulate(void *unit) { of(unit).accumulate(); }

extern "C" long long bitswath_mvu_sum(void *unit, unsigned pe) {
    const long long sum = of(unit).sums[pe];
    of(unit).sums[pe] = 0;
    return sum;
}
