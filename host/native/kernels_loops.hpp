// The plain loops of every kernel, the reference for the hand-written ones. Included once by each
// kernels_*.cpp, inside its own namespace, with BITSWATH_TARGET set to the function attribute that lets
// the compiler vectorize them for that CPU feature. No include guard on purpose.

template <typename In, typename Acc>
BITSWATH_TARGET void conv_loop(const ConvRow& row) {
    const auto* in = static_cast<const In*>(row.in);
    const int64_t outputs = row.outputs;
    for (int64_t p = 0; p < row.pixels; ++p, in += row.step) {
        Acc* __restrict acc = static_cast<Acc*>(row.acc) + p * row.stride;
        const Acc* __restrict w = static_cast<const Acc*>(row.weights);
        for (int64_t o = 0; o < outputs; ++o) acc[o] = 0;
        for (int64_t k = 0; k < row.depth; ++k, w += outputs) {
            const Acc x = static_cast<Acc>(in[row.offsets[k]]);
            for (int64_t o = 0; o < outputs; ++o) acc[o] += x * w[o];
        }
    }
}

template <typename In, typename Acc>
BITSWATH_TARGET void depthwise_loop(const ConvRow& row) {
    const auto* in = static_cast<const In*>(row.in);
    const int64_t outputs = row.outputs;
    for (int64_t p = 0; p < row.pixels; ++p, in += row.step) {
        Acc* __restrict acc = static_cast<Acc*>(row.acc) + p * row.stride;
        const Acc* __restrict w = static_cast<const Acc*>(row.weights);
        for (int64_t o = 0; o < outputs; ++o) acc[o] = 0;
        for (int64_t k = 0; k < row.depth; ++k, w += outputs) {
            const In* __restrict x = in + row.offsets[k];
            for (int64_t o = 0; o < outputs; ++o) acc[o] += static_cast<Acc>(x[o]) * w[o];
        }
    }
}

template <typename In, typename Out>
BITSWATH_TARGET void convert_loop(const void* in, void* out, int64_t count) {
    const In* __restrict x = static_cast<const In*>(in);
    Out* __restrict y = static_cast<Out*>(out);
    for (int64_t i = 0; i < count; ++i) y[i] = static_cast<Out>(x[i]);
}

template <typename T>
BITSWATH_TARGET void max_loop(const void* in, void* out, int64_t count) {
    const T* __restrict x = static_cast<const T*>(in);
    T* __restrict y = static_cast<T*>(out);
    for (int64_t i = 0; i < count; ++i) y[i] = y[i] < x[i] ? x[i] : y[i];
}

template <typename In, typename Acc>
BITSWATH_TARGET void add_loop(const void* in, void* acc, int64_t multiplier, int64_t count) {
    const In* __restrict x = static_cast<const In*>(in);
    Acc* __restrict y = static_cast<Acc*>(acc);
    const Acc m = static_cast<Acc>(multiplier);
    for (int64_t i = 0; i < count; ++i) y[i] += m * static_cast<Acc>(x[i]);
}

template <typename In, typename Acc>
BITSWATH_TARGET void lookup_loop(const void* in, const void* table, void* acc, int64_t pixels, int64_t channels,
                                 int64_t entries, int64_t depth) {
    const In* x = static_cast<const In*>(in);
    Acc* y = static_cast<Acc*>(acc);
    for (int64_t p = 0; p < pixels; ++p)
        for (int64_t c = 0; c < channels; ++c) {
            const Acc* entry = static_cast<const Acc*>(table) + (c * entries + static_cast<int64_t>(*x++)) * depth;
            for (int64_t d = 0; d < depth; ++d) *y++ = entry[d];
        }
}

// `Word`: uint32_t or uint64_t, in which the line is drawn.
template <typename Acc, typename Word, typename Out>
BITSWATH_TARGET void affine_loop(const Requantizer& r, const void* acc, void* out, int64_t pixels, int64_t channels) {
    const Acc *__restrict lo = static_cast<const Acc*>(r.lo), *__restrict hi = static_cast<const Acc*>(r.hi);
    const Word* __restrict gain = static_cast<const Word*>(r.gain);
    const Word* __restrict offset = static_cast<const Word*>(r.offset);
    const auto step = static_cast<Word>(r.step), base = static_cast<Word>(r.base);
    for (int64_t p = 0; p < pixels; ++p) {
        const Acc* __restrict x = static_cast<const Acc*>(acc) + p * channels;
        Out* __restrict y = static_cast<Out*>(out) + p * channels;
        for (int64_t c = 0; c < channels; ++c) {
            const Acc low = x[c] < lo[c] ? lo[c] : x[c];
            const Acc clamped = low > hi[c] ? hi[c] : low;
            const Word code = (static_cast<Word>(clamped) * gain[c] + offset[c]) >> r.shift;
            y[c] = static_cast<Out>(base + step * code);
        }
    }
}

template <typename Acc, typename Out>
BITSWATH_TARGET void count_loop(const Requantizer& r, const void* acc, void* out, int64_t pixels, int64_t channels) {
    const Acc* __restrict flip = static_cast<const Acc*>(r.flip);
    constexpr int64_t kChunk = 64;
    Acc codes[kChunk];
    for (int64_t p = 0; p < pixels; ++p)
        for (int64_t first = 0; first < channels; first += kChunk) {
            const int64_t n = channels - first < kChunk ? channels - first : kChunk;
            const Acc* __restrict x = static_cast<const Acc*>(acc) + p * channels + first;
            Out* __restrict y = static_cast<Out*>(out) + p * channels + first;
            for (int64_t c = 0; c < n; ++c) codes[c] = 0;
            for (int64_t t = 0; t < r.columns; ++t) {
                const Acc* __restrict row = static_cast<const Acc*>(r.thresholds) + t * channels + first;
                for (int64_t c = 0; c < n; ++c) codes[c] += (x[c] ^ flip[first + c]) >= row[c];
            }
            for (int64_t c = 0; c < n; ++c) y[c] = static_cast<Out>(r.base + r.step * codes[c]);
        }
}

template <typename Acc, typename Out>
BITSWATH_TARGET void search_loop(const Requantizer& r, const void* acc, void* out, int64_t pixels, int64_t channels) {
    const Acc* __restrict flip = static_cast<const Acc*>(r.flip);
    constexpr int64_t kChunk = 64;
    Acc values[kChunk];
    int32_t codes[kChunk];
    for (int64_t p = 0; p < pixels; ++p)
        for (int64_t first = 0; first < channels; first += kChunk) {
            const int64_t n = channels - first < kChunk ? channels - first : kChunk;
            const Acc* __restrict x = static_cast<const Acc*>(acc) + p * channels + first;
            const Acc* __restrict rows = static_cast<const Acc*>(r.thresholds) + first * r.columns;
            Out* __restrict y = static_cast<Out*>(out) + p * channels + first;
            for (int64_t c = 0; c < n; ++c) values[c] = x[c] ^ flip[first + c];
            for (int64_t c = 0; c < n; ++c) codes[c] = 0;
            for (int64_t half = (r.columns + 1) / 2; half > 0; half /= 2) {
                const auto reach = static_cast<int32_t>(half);
                for (int64_t c = 0; c < n; ++c)
                    codes[c] += rows[c * r.columns + codes[c] + reach - 1] <= values[c] ? reach : 0;
            }
            for (int64_t c = 0; c < n; ++c) y[c] = static_cast<Out>(r.base + r.step * codes[c]);
        }
}

template <typename In>
void fill_from(Kernels& k, Type in) {
    k.conv[in][0] = conv_loop<In, int32_t>;
    k.conv[in][1] = conv_loop<In, int64_t>;
    k.depthwise[in][0] = depthwise_loop<In, int32_t>;
    k.depthwise[in][1] = depthwise_loop<In, int64_t>;
    k.convert[in][u8] = convert_loop<In, uint8_t>;
    k.convert[in][s8] = convert_loop<In, int8_t>;
    k.convert[in][s16] = convert_loop<In, int16_t>;
    k.convert[in][s32] = convert_loop<In, int32_t>;
    k.convert[in][s64] = convert_loop<In, int64_t>;
    k.max[in] = max_loop<In>;
    k.add[in][0] = add_loop<In, int32_t>;
    k.add[in][1] = add_loop<In, int64_t>;
    k.lookup[in][0] = lookup_loop<In, int32_t>;
    k.lookup[in][1] = lookup_loop<In, int64_t>;
}

template <typename Out>
void fill_to(Kernels& k, Type out) {
    k.affine[out] = affine_loop<int32_t, uint32_t, Out>;
    k.affine64[0][out] = affine_loop<int32_t, uint64_t, Out>;
    k.affine64[1][out] = affine_loop<int64_t, uint64_t, Out>;
    k.count[0][out] = count_loop<int32_t, Out>;
    k.count[1][out] = count_loop<int64_t, Out>;
    k.search[0][out] = search_loop<int32_t, Out>;
    k.search[1][out] = search_loop<int64_t, Out>;
}

inline Kernels loops() {
    Kernels k{};
    fill_from<uint8_t>(k, u8);
    fill_from<int8_t>(k, s8);
    fill_from<int16_t>(k, s16);
    fill_from<int32_t>(k, s32);
    fill_from<int64_t>(k, s64);
    fill_to<uint8_t>(k, u8);
    fill_to<int8_t>(k, s8);
    fill_to<int16_t>(k, s16);
    fill_to<int32_t>(k, s32);
    fill_to<int64_t>(k, s64);
    return k;
}
