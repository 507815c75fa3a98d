// The transforms on registers of any width. Included once by each set's file, inside its own namespace, with
// BITSWATH_TARGET set, and with `half` for its lanes of 16 bits. No include guard on purpose.

template <typename T, int Bytes>
struct Register {
    typedef T Of __attribute__((vector_size(Bytes)));
};
template <typename T, int Bytes>
using Lanes = typename Register<T, Bytes>::Of;

template <typename V, typename T>
BITSWATH_TARGET inline V load(const T* from) {
    V lanes;
    std::memcpy(&lanes, from, sizeof(V));
    return lanes;
}

template <typename V, typename T>
BITSWATH_TARGET inline void store(T* to, V lanes) {
    std::memcpy(to, &lanes, sizeof(V));
}

// B times a column of inputs.
template <typename V>
BITSWATH_TARGET inline void down(const WinogradInput& from, int64_t at, V (&column)[4]) {
    V d[4];
    for (int i = 0; i < 4; ++i) d[i] = load<V>(from.rows[i] + at);
    column[0] = d[0] - d[2];
    column[1] = d[1] + d[2];
    column[2] = d[2] - d[1];
    column[3] = d[1] - d[3];
}

// Bytes as they are, or pairs of them twice.
template <bool Twice, typename V>
BITSWATH_TARGET inline void store_bytes(uint8_t* to, V bytes) {
    if constexpr (Twice) {
        V pairs[2];
        double_pairs(bytes, pairs);
        store(to, pairs[0]);
        store(to + sizeof(V), pairs[1]);
    } else {
        store(to, bytes);
    }
}

// Bytes c.. of all tiles; each has two columns in common with the one before it. (In an order that registers suffice for.)
template <bool Twice, typename V>
BITSWATH_TARGET inline void input_bytes(const WinogradInput& from, int64_t c) {
    const V difference = V{} + from.difference, sum = V{} + from.sum;
    const int64_t plane = from.plane, pixel = from.channels;
    uint8_t* out = from.out + (Twice ? 2 * c : c);
    V d0[4], d1[4], d2[4];
    down(from, c, d0);
    down(from, c + pixel, d1);
    for (int64_t t = 0; t < from.tiles; ++t, out += from.pixel) {
        down(from, c + (2 * t + 2) * pixel, d2);
        for (int a = 0; a < 4; ++a) store_bytes<Twice>(out + 4 * a * plane, d0[a] - d2[a] + difference);
        for (int a = 0; a < 4; ++a) store_bytes<Twice>(out + (4 * a + 1) * plane, d1[a] + d2[a] + (a == 1 ? sum : difference));
        for (int a = 0; a < 4; ++a) {
            store_bytes<Twice>(out + (4 * a + 2) * plane, d2[a] - d1[a] + difference);
            d0[a] = d2[a];
        }
        down(from, c + (2 * t + 3) * pixel, d2);
        for (int a = 0; a < 4; ++a) {
            store_bytes<Twice>(out + (4 * a + 3) * plane, d1[a] - d2[a] + difference);
            d1[a] = d2[a];
        }
    }
}

template <int Bytes, bool Twice = false>
BITSWATH_TARGET void input(const WinogradInput& from) {
    int64_t c = 0;
    for (; c + Bytes <= from.channels; c += Bytes) input_bytes<Twice, Lanes<uint8_t, Bytes>>(from, c);
    for (; c < from.channels; c += 16) input_bytes<Twice, Lanes<uint8_t, 16>>(from, c);
}

// A times four numbers.
template <typename V>
BITSWATH_TARGET inline void shorten(V x0, V x1, V x2, V x3, V& y0, V& y1) {
    const V middle = half(x1, x2);
    y0 = x0 + middle;
    y1 = x1 - middle - x3;
}

template <typename V, typename Sum, typename Lane>
BITSWATH_TARGET inline void store_scaled(Sum* to, const Sum* scale, V lanes) {
    if constexpr (sizeof(Sum) == sizeof(Lane)) {
        store(to, lanes * load<V>(scale));
    } else {
        using Wide = Lanes<Sum, sizeof(V)>;
        constexpr int kHalf = sizeof(V) / sizeof(Sum);
        Wide wide[2];
        widen(lanes, wide);
        for (int i = 0; i < 2; ++i) store(to + i * kHalf, wide[i] * load<Wide>(scale + i * kHalf));
    }
}

// Products of type `Lane`, uint16_t or int32_t, to as wide or wider sums.
template <typename Lane, typename Sum, int Bytes>
BITSWATH_TARGET void output(const WinogradOutput& from) {
    using V = Lanes<Lane, Bytes>;
    const int64_t channels = from.channels;
    const auto* scale = static_cast<const Sum*>(from.scale);
    auto *above = static_cast<Sum*>(from.above), *below = static_cast<Sum*>(from.below);
    for (int64_t t = 0; t < from.tiles; ++t, above += 2 * channels, below += 2 * channels)
        for (int64_t o = 0; o < channels; o += Bytes / static_cast<int64_t>(sizeof(Lane))) {
            const Lane* m = static_cast<const Lane*>(from.products) + t * channels + o;
            V upper[4], lower[4], y[4];
            for (int b = 0; b < 4; ++b, m += from.plane)
                shorten(load<V>(m), load<V>(m + 4 * from.plane), load<V>(m + 8 * from.plane),
                        load<V>(m + 12 * from.plane), upper[b], lower[b]);
            shorten(upper[0], upper[1], upper[2], upper[3], y[0], y[1]);
            shorten(lower[0], lower[1], lower[2], lower[3], y[2], y[3]);
            if constexpr (sizeof(Lane) == 4)
                for (int i = 0; i < 4; ++i) y[i] += load<V>(from.bias + i * channels + o);
            Sum* const to[4] = {above + o, above + channels + o, below + o, below + channels + o};
            for (int i = 0; i < 4; ++i) store_scaled<V, Sum, Lane>(to[i], scale + o, y[i]);
        }
}
