#include "transform/codec.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace bitswath {
namespace {

constexpr int kOctave = 8;  // steps that double
constexpr int kMantissas[kOctave] = {256, 279, 304, 332, 362, 395, 431, 470};

std::array<uint8_t, kBlockSize> zigzag() {
    std::array<uint8_t, kBlockSize> scan;
    std::iota(scan.begin(), scan.end(), uint8_t{0});
    const auto key = [](uint8_t place) {
        const int row = place / kBlock, column = place % kBlock;
        return std::pair(row + column, (row + column) % 2 ? row : column);
    };
    std::sort(scan.begin(), scan.end(), [&](uint8_t a, uint8_t b) { return key(a) < key(b); });
    return scan;
}

std::array<uint8_t, kBlockSize> inverted(const std::array<uint8_t, kBlockSize>& scan) {
    std::array<uint8_t, kBlockSize> place;
    for (int i = 0; i < kBlockSize; ++i) place[scan[i]] = static_cast<uint8_t>(i);
    return place;
}

std::array<uint16_t, 256> check_table() {
    std::array<uint16_t, 256> table;
    for (int byte = 0; byte < 256; ++byte) {
        auto value = static_cast<uint16_t>(byte << 8);
        for (int bit = 0; bit < 8; ++bit)
            value = static_cast<uint16_t>(value & 0x8000 ? value << 1 ^ 0x1021 : value << 1);
        table[byte] = value;
    }
    return table;
}

}  // namespace

const std::array<uint8_t, kBlockSize> kScan = zigzag();
const std::array<uint8_t, kBlockSize> kPlace = inverted(kScan);

HuffmanTable::HuffmanTable(const CanonicalTable& table) : codes(1 << 12), decoding{} {
    if (table.counts.size() != kLongestCode) throw std::invalid_argument("expected counts of codes of 1 to 12 bits");
    uint32_t code = 0;
    size_t next = 0;
    for (int length = 1; length <= kLongestCode; ++length, code <<= 1)
        for (int i = 0; i < table.counts[length - 1]; ++i, ++code, ++next) {
            if (next >= table.symbols.size() || code >> length)
                throw std::invalid_argument("expected a complete code with a symbol for each of its codes");
            const int symbol = table.symbols[next];
            if (symbol < 0 || symbol >= 1 << 12 || codes[symbol].length)
                throw std::invalid_argument("expected distinct symbols of 12 bits");
            codes[symbol] = {static_cast<uint16_t>(code), static_cast<uint8_t>(length)};
            const uint32_t first = code << (kLongestCode - length);
            std::fill_n(decoding.begin() + first, 1 << (kLongestCode - length),
                        static_cast<uint16_t>(symbol | (length - 1) << 12));
        }
    if (next != table.symbols.size() || code != 2u << kLongestCode)
        throw std::invalid_argument("expected a complete code with a symbol for each of its codes");
}

int32_t magnitude_of(int level, int delta, int index, int headroom) {
    const int shift = 11 - index / kOctave + headroom;
    const int32_t scaled = (32 * level - delta) * kMantissas[index % kOctave];
    return std::min((scaled + (1 << (shift - 1))) >> shift, 32767);
}

uint16_t frame_check(const uint8_t* frame, int64_t bytes, uint16_t seed) {
    static const std::array<uint16_t, 256> table = check_table();
    uint16_t check = seed;
    const auto take = [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i)
            check = static_cast<uint16_t>(check << 8 ^ table[check >> 8 ^ frame[i]]);
    };
    take(0, 3);
    take(kHeaderBytes, bytes);
    return check;
}

}  // namespace bitswath
