// Convolutions on registers of 256 bits. Included once by each set's file that has them, inside its own
// namespace, with BITSWATH_TARGET set. No include guard on purpose.

constexpr int kBlock = 16;

BITSWATH_TARGET inline __m256i load(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}

BITSWATH_TARGET inline void store(void* to, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }

BITSWATH_TARGET inline __m256i four_bytes(const void* from) {
    int32_t group;
    std::memcpy(&group, from, 4);
    return _mm256_set1_epi32(group);
}

// Sums of 16 outputs for some windows.
template <int Windows>
struct Tile {
    __m256i of[Windows][2];
};

// What one group of inputs adds to the sums: 64 bytes of `w`.
template <typename Dot, int Windows, bool First = false>
BITSWATH_TARGET inline void add_group(Tile<Windows>& sums, const typename Dot::In* x, int64_t step, const int8_t* w) {
    __m256i w0 = load(w), w1 = load(w + 32);
    asm("" : "+x"(w0), "+x"(w1));  // stay in registers, and are not loaded for every window
    for (int p = 0; p < Windows; ++p) {
        const __m256i group = four_bytes(x + p * step);
        sums.of[p][0] = First ? Dot::product(group, w0) : Dot::dot(sums.of[p][0], group, w0);
        sums.of[p][1] = First ? Dot::product(group, w1) : Dot::dot(sums.of[p][1], group, w1);
    }
}

// Over offsets first..last, at least one.
template <typename Dot, int Windows>
BITSWATH_TARGET inline Tile<Windows> sums_of(const ConvRows& rows, const typename Dot::In* in, const int8_t* w,
                                             int64_t first, int64_t last) {
    Tile<Windows> sums;
    const int64_t step = rows.step;
    const int32_t *offset = rows.offsets + first, *end = rows.offsets + last;
    w += first * 64;
    add_group<Dot, Windows, true>(sums, in + *offset, step, w);
    while (++offset != end) add_group<Dot>(sums, in + *offset, step, w += 64);
    return sums;
}

// Sums of 32 bits straight from Dot.
template <typename Dot>
struct Wide {
    using In = typename Dot::In;
    using Acc = int32_t;

    template <int Windows>
    BITSWATH_TARGET static inline void tile(const ConvRows& rows, const In* in, const int8_t* w, int64_t, Acc* acc) {
        const Tile<Windows> sums = sums_of<Dot, Windows>(rows, in, w, 0, rows.depth);
        for (int p = 0; p < Windows; ++p)
            for (int i = 0; i < 2; ++i) store(acc + p * rows.stride + 8 * i, sums.of[p][i]);
    }
};

template <typename Sums, int Windows, int Outputs>
BITSWATH_TARGET void conv(const ConvRows& given) {
    const ConvRows rows = given;  // which no store can change
    for (int64_t o = 0; o < rows.outputs; o += Outputs) {
        const auto* weights = static_cast<const int8_t*>(rows.weights) + o * rows.depth * 4;
        auto* acc = static_cast<typename Sums::Acc*>(rows.acc) + o;
        for (int64_t t = 0; t < rows.tiles; ++t, acc += Windows * rows.stride)
            Sums::template tile<Windows>(rows, static_cast<const typename Sums::In*>(rows.in) + rows.starts[t], weights,
                                         o, acc);
    }
}

template <typename Sums, int Windows, int Outputs = kBlock>
ConvForm form(const char* name, Type in, Type weights, Type acc) {
    const int group = 4 / static_cast<int>(kTypeBytes[weights]);  // of inputs, in 32 bits
    return tiled_form(Windows, name, conv<Sums, Windows, Outputs>, in, weights, acc).inputs(group).outputs(Outputs);
}
