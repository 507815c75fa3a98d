// Packs and unpacks values with every packing kernel of this CPU, without Python; see emulate.cpp.
//
//   pack --list          prints the kernels
//   pack CASES OUT       CASES: their number; each the type of its values, rows, values in each, bits, whether signed,
//                        and the values as an array. OUT: for each case and kernel, on one thread and on three, the
//                        index of the first bad value; if there is none, the bytes and the values read back, as arrays
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "packing/rows.hpp"
#include "words.hpp"

namespace {

using namespace bitswath;

struct Case {
    Rows rows;
    Element element;
    Words values;
};

template <typename T>
void unpack(const std::vector<uint8_t>& bytes, const Case& one, Means means, Writer& out) {
    std::vector<T> values(one.values.size());
    unpack_rows(bytes.data(), one.rows, one.element, means, values.data());
    out.array(values);
}

template <typename T>
void pack(const Case& one, Means means, Writer& out) {
    const std::vector<T> values(one.values.begin(), one.values.end());
    std::vector<uint8_t> bytes(static_cast<size_t>(one.rows.rows * packed_bytes(one.rows.count, one.element.bits)));
    const int64_t bad = pack_rows(values.data(), one.rows, one.element, means, bytes.data());
    out.word(bad);
    if (bad != kNone) return;
    out.array(bytes);
    if (!one.element.is_signed && one.element.bits <= 8) return unpack<uint8_t>(bytes, one, means, out);
    if (one.element.bits < 32) return unpack<int32_t>(bytes, one, means, out);
    unpack<int64_t>(bytes, one, means, out);
}

void pack(int64_t type, const Case& one, Means means, Writer& out) {
    switch (type) {
        case 0: return pack<uint8_t>(one, means, out);
        case 1: return pack<int8_t>(one, means, out);
        case 2: return pack<uint16_t>(one, means, out);
        case 3: return pack<int16_t>(one, means, out);
        case 4: return pack<uint32_t>(one, means, out);
        case 5: return pack<int32_t>(one, means, out);
        case 6: return pack<int64_t>(one, means, out);
        case 7: return pack<float>(one, means, out);
        default: throw std::invalid_argument("expected a type in 0..7");
    }
}

int pack_cases(const char* cases, const char* to) {
    Reader reader(cases);
    Writer out(to);
    for (int64_t left = reader.next(); left > 0; --left) {
        const int64_t type = reader.next(), rows = reader.next(), count = reader.next(), bits = reader.next();
        const bool is_signed = reader.next() != 0;
        const Case one{{rows, count}, {static_cast<int>(bits), is_signed}, reader.array()};
        for (const PackingKernels& kernels : packing_kernels())
            for (int threads : {1, 3}) pack(type, one, {kernels, threads}, out);
    }
    return out.good() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
    if (count == 2 && std::strcmp(arguments[1], "--list") == 0) {
        for (const PackingKernels& kernels : packing_kernels()) std::printf("%s\n", kernels.name);
        return 0;
    }
    if (count != 3) {
        std::fprintf(stderr, "expected --list, or CASES OUT\n");
        return 2;
    }
    try {
        return pack_cases(arguments[1], arguments[2]);
    } catch (const std::exception& fault) {
        std::fprintf(stderr, "%s\n", fault.what());
        return 1;
    }
}
