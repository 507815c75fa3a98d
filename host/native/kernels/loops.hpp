// The plain loops of every kernel, the reference for the hand-written ones. Included once by each
// set's file, inside its own namespace, with BITSWATH_TARGET set to the function attribute that lets
// the compiler vectorize them for that CPU feature. No include guard on purpose.

template <typename In, typename Acc>
BITSWATH_TARGET void conv_loop(const ConvRows& rows) {
    const int64_t outputs = rows.outputs;
    for (int64_t t = 0; t < rows.tiles; ++t) {
        const In* in = static_cast<const In*>(rows.in) + rows.starts[t];
        Acc* __restrict acc = static_cast<Acc*>(rows.acc) + t * rows.stride;
        const Acc* __restrict w = static_cast<const Acc*>(rows.weights);
        std::memset(acc, 0, outputs * sizeof(Acc));
        for (int64_t k = 0; k < rows.depth; ++k, w += outputs) {
            const Acc x = static_cast<Acc>(in[rows.offsets[k]]);
            for (int64_t o = 0; o < outputs; ++o) acc[o] += x * w[o];
        }
    }
}

template <typename In, typename Acc>
BITSWATH_TARGET void depthwise_loop(const ConvRows& rows) {
    const int64_t outputs = rows.outputs;
    for (int64_t t = 0; t < rows.tiles; ++t) {
        const In* in = static_cast<const In*>(rows.in) + rows.starts[t];
        Acc* __restrict acc = static_cast<Acc*>(rows.acc) + t * rows.stride;
        const Acc* __restrict w = static_cast<const Acc*>(rows.weights);
        std::memset(acc, 0, outputs * sizeof(Acc));
        for (int64_t k = 0; k < rows.depth; ++k, w += outputs) {
            const In* __restrict x = in + rows.offsets[k];
            for (int64_t o = 0; o < outputs; ++o) acc[o] += static_cast<Acc>(x[o]) * w[o];
        }
    }
}

template <typename T>
BITSWATH_TARGET void pool2x2_loop(const void* above, const void* below, void* out, int64_t pixels, int64_t channels) {
    const T *__restrict a = static_cast<const T*>(above), *__restrict b = static_cast<const T*>(below);
    T* __restrict y = static_cast<T*>(out);
    for (int64_t p = 0; p < pixels; ++p, a += 2 * channels, b += 2 * channels, y += channels)
        for (int64_t c = 0; c < channels; ++c) {
            const T upper = a[c] > a[channels + c] ? a[c] : a[channels + c];
            const T lower = b[c] > b[channels + c] ? b[c] : b[channels + c];
            y[c] = upper > lower ? upper : lower;
        }
}

BITSWATH_TARGET inline void interleave_loop(const Interleaving& how, const uint8_t* const* rows, int64_t pixels,
                                            uint8_t* out) {
    for (int64_t x = 0; x < pixels; ++x)
        for (int64_t r = 0; r < how.rows; ++r)
            for (int64_t c = 0; c < how.channels; ++c) *out++ = rows[r][x * how.channels + c];
}

template <typename Acc>
BITSWATH_TARGET void line_loop(const NarrowLine& line, const void* acc, uint8_t* out, int64_t count) {
    const Acc *__restrict x = static_cast<const Acc*>(acc), *__restrict bias = static_cast<const Acc*>(line.bias);
    for (int64_t first = 0; first < count; first += line.period) {
        const int64_t n = count - first < line.period ? count - first : line.period;
        for (int64_t i = 0; i < n; ++i) {
            const auto sum = static_cast<Acc>(x[first + i] + bias[i]);
            const int32_t low = sum < INT16_MIN ? INT16_MIN : static_cast<int32_t>(sum);
            const int32_t narrow = low > INT16_MAX ? INT16_MAX : low;
            const int32_t z = (narrow * line.gain[i] + (1 << 14)) >> 15;
            const int32_t code = z * line.slice[i] >> 16;
            const int32_t above = code < line.lo ? line.lo : code;
            out[first + i] = static_cast<uint8_t>((above > line.hi ? line.hi : above) + line.offset);
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
    for (int64_t i = 0; i < count; ++i) y[i] = static_cast<Acc>(y[i] + m * static_cast<Acc>(x[i]));
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
    k.pool2x2[in] = pool2x2_loop<In>;
    k.add[in][0] = add_loop<In, int16_t>;
    k.add[in][1] = add_loop<In, int32_t>;
    k.add[in][2] = add_loop<In, int64_t>;
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
    k.interleave = interleave_loop;
    k.lines = {{line_loop<int16_t>, line_loop<int32_t>}, {in_order, in_order}};
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
