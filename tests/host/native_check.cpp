// Every packing and codec kernel of this processor against definitions written out bit by bit. Buffers are as long as
// they have to be and no longer, so that sanitizers see any access beyond. Prints what was checked; 1 on a difference.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include "encoding.hpp"
#include "packing_rows.hpp"

using namespace bitswath;

namespace {

std::mt19937 rng(2026);

int64_t below(int64_t end) { return std::uniform_int_distribution<int64_t>(0, end - 1)(rng); }

void expect(bool holds, const char* what, const char* kernels, int64_t a, int64_t b) {
    if (holds) return;
    std::printf("%s (%s): differs at %lld, %lld\n", what, kernels, static_cast<long long>(a), static_cast<long long>(b));
    std::exit(1);
}

bool bit(const std::vector<uint8_t>& bytes, int64_t i) { return bytes[i / 8] >> i % 8 & 1; }

void check_kernels(const PackingKernels& kernels) {
    for (int bits = 1; bits <= 8; ++bits)
        for (int64_t count = 0; count < 300; ++count) {
            std::vector<uint8_t> codes(count), bytes(packed_bytes(count, bits), 0xA5), back(count);
            uint64_t any = 0;
            for (auto& code : codes) any |= code = static_cast<uint8_t>(below(1 << bits));
            const uint64_t seen = kernels.pack[bits](codes.data(), count, bytes.data());
            expect(bits == 8 || any_code(seen) == any, "seen", kernels.name, bits, count);
            for (int64_t i = 0; i < 8 * static_cast<int64_t>(bytes.size()); ++i)
                expect(bit(bytes, i) == (i < count * bits && codes[i / bits] >> i % bits & 1), "pack", kernels.name, bits, count);
            kernels.unpack[bits](bytes.data(), count, back.data());
            expect(back == codes, "unpack", kernels.name, bits, count);
        }
}

template <class T>
void check_rows(const PackingKernels& kernels, Rows rows, Element element, int threads) {
    std::vector<T> values(rows.rows * rows.count);
    for (auto& value : values) {
        const int64_t top = std::min<int64_t>(element.hi(), static_cast<int64_t>(std::numeric_limits<T>::max()));
        do value = static_cast<T>(element.lo() + below(top - element.lo() + 1));
        while (!element.holds(static_cast<int64_t>(value)));
    }
    const int64_t row_bytes = packed_bytes(rows.count, element.bits);
    std::vector<uint8_t> bytes(rows.rows * row_bytes, 0xA5);
    const Means means{kernels, threads};
    expect(pack_rows(values.data(), rows, element, means, bytes.data()) == kNone, "range", kernels.name, rows.rows, rows.count);
    for (int64_t row = 0; row < rows.rows; ++row)
        for (int64_t i = 0; i < 8 * row_bytes; ++i) {
            const int64_t at = i / element.bits;
            const bool set = at < rows.count && element.encode(static_cast<int64_t>(values[row * rows.count + at])) >> i % element.bits & 1;
            expect((bytes[row * row_bytes + i / 8] >> i % 8 & 1) == set, "rows", kernels.name, row, i);
        }
    std::vector<int64_t> back(values.size());
    unpack_rows(bytes.data(), rows, element, means, back.data());
    for (size_t i = 0; i < values.size(); ++i) expect(back[i] == static_cast<int64_t>(values[i]), "back", kernels.name, i, element.bits);
    if (values.empty()) return;
    const int64_t bad = below(values.size());
    if (std::numeric_limits<T>::max() > element.hi()) {
        values[bad] = static_cast<T>(element.hi() + 1);
        expect(pack_rows(values.data(), rows, element, means, bytes.data()) == bad, "offender", kernels.name, bad, element.bits);
    }
}

void check_types(const PackingKernels& kernels) {
    for (int round = 0; round < 150; ++round) {
        const Rows rows = round % 10 ? Rows{below(20), below(90)} : Rows{1 + below(3), 8000 + below(3000)};
        const int bits = 1 + static_cast<int>(below(8)), threads = 1 + static_cast<int>(below(3));
        check_rows<uint8_t>(kernels, rows, {bits}, threads);
        check_rows<uint16_t>(kernels, rows, {bits}, threads);
        check_rows<float>(kernels, rows, {bits}, threads);
        check_rows<int8_t>(kernels, rows, {bits, true}, threads);
        check_rows<int32_t>(kernels, rows, {bits + static_cast<int>(below(24)), round % 2 == 1}, threads);
        check_rows<int64_t>(kernels, rows, {bits + static_cast<int>(below(25)), round % 3 == 1}, threads);
    }
}

// Codes and frames of an encoder against a definition of the code at (h, w, c).
template <class Definition>
void check_encoder(const Encoder& encoder, const char* what, const char* kernels, const Definition& definition) {
    std::vector<uint8_t> codes(encoder.patches * encoder.codes);
    encode_codes(encoder, 2, codes.data());
    for (int64_t i = 0; i < static_cast<int64_t>(codes.size()); ++i)
        expect(codes[i] == definition(i / encoder.codes, i % encoder.codes), what, kernels, i, codes[i]);
    std::vector<uint8_t> frames(encoder.patches * packed_bytes(encoder.codes, 8));
    encode_frames(encoder, 8, {packing_kernels().back(), 2}, frames.data());
    expect(frames == codes, "frames", kernels, 0, 0);
}

template <class T>
void check_encoders(const std::string& kernels) {
    const Isa isa = codec_isa(kernels);
    for (int round = 0; round < 40; ++round) {
        const Patches<T> shape{nullptr, 1 + below(3), 1 + below(20), 1 + below(70), 1 + below(4)};
        std::vector<T> samples(shape.count * shape.size());
        for (auto& sample : samples) sample = static_cast<T>(below(round % 2 ? 9 : std::numeric_limits<T>::max() + 1));
        Patches<T> patches = shape;
        patches.samples = samples.data();
        const int shift = static_cast<int>(below(8 * sizeof(T)));
        check_encoder(*shift_encoder(patches, shift, isa), "shift", kernels.c_str(),
                      [&](int64_t n, int64_t i) { return static_cast<uint8_t>(samples[n * shape.size() + i] >> shift); });

        Thresholds<T> table{nullptr, round % 3 ? 8 : 1, below(20), (round % 3 ? 8 : 1) * shape.bands};
        const int64_t stride = table.period + kOverhang;
        std::vector<T> values(table.rows * table.steps * stride);
        for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i)
            values[i] = i % stride < table.period ? static_cast<T>(below(12)) : values[i - table.period];
        table.values = values.data();
        check_encoder(*count_encoder(patches, table, isa), "count", kernels.c_str(), [&](int64_t n, int64_t i) {
            const int64_t y = table.rows == 1 ? 0 : i / shape.line() % 8, x = table.rows == 1 ? i : i % shape.line();
            int code = 0;
            for (int64_t step = 0; step < table.steps; ++step)
                code += samples[n * shape.size() + i] >= values[(y * table.steps + step) * stride + x % table.period];
            return code;
        });

        const int64_t count = 1 + below(256);
        std::vector<int64_t> colours(count * shape.bands);
        for (auto& colour : colours) colour = below(round % 2 ? 9 : std::numeric_limits<T>::max() + 1);
        check_encoder(*palette_encoder(patches, colours.data(), count, nullptr, isa), "palette", kernels.c_str(),
                      [&](int64_t n, int64_t i) {
                          int64_t best = 0, least = std::numeric_limits<int64_t>::max();
                          for (int64_t k = 0; k < count; ++k) {
                              int64_t distance = 0;
                              for (int64_t c = 0; c < shape.bands; ++c) {
                                  const int64_t by = samples[n * shape.size() + i * shape.bands + c] - colours[k * shape.bands + c];
                                  distance += by * by;
                              }
                              if (distance < least) least = distance, best = k;
                          }
                          return best;
                      });
    }
}

}  // namespace

int main() {
    for (const auto& kernels : packing_kernels()) {
        check_kernels(kernels);
        check_types(kernels);
        std::printf("packing %s\n", kernels.name);
    }
    for (const auto& kernels : codec_kernels()) {
        check_encoders<uint8_t>(kernels);
        check_encoders<uint16_t>(kernels);
        std::printf("codec %s\n", kernels.c_str());
    }
}
