// AMX: 16 windows x 16 outputs x 64 products of u8 x s8 an instruction. Windows are loaded straight from
// the tensor, row by row of a tile; the rest of the set is AVX512's.
#include "kernels/kernels.hpp"

#if defined(BITSWATH_AMX)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

namespace bitswath::emulator {
namespace {

#define BITSWATH_TARGET BITSWATH_FOR_AMX

constexpr int kBlock = 16, kTile = 16, kChunk = 64;

// Every register whole: 16 rows of 64 bytes.
BITSWATH_TARGET void enter() {
    struct alignas(64) Configuration {
        uint8_t palette = 1, start_row = 0, reserved[14] = {};
        uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } configuration;
    asm volatile("ldtilecfg %0" ::"m"(configuration));
}

BITSWATH_TARGET void leave() { _tile_release(); }

// Accumulators 0..3 (tile 0 and 1 by block 0 and 1), windows 4 and 5, weights 6 and 7.
template <int Tiles, int Blocks>
BITSWATH_TARGET inline void product(const ConvRows& rows, int64_t t, int64_t o) {
    const auto* in0 = static_cast<const uint8_t*>(rows.in) + rows.starts[t];
    const auto* in1 = static_cast<const uint8_t*>(rows.in) + rows.starts[t + Tiles - 1];
    const auto* w0 = static_cast<const int8_t*>(rows.weights) + o * kChunk * rows.depth;
    const auto* w1 = w0 + kBlock * kChunk * rows.depth;
    _tile_zero(0);
    if constexpr (Blocks == 2) _tile_zero(1);
    if constexpr (Tiles == 2) _tile_zero(2);
    if constexpr (Tiles == 2 && Blocks == 2) _tile_zero(3);
    for (int64_t k = 0; k < rows.depth; ++k, w0 += kBlock * kChunk, w1 += kBlock * kChunk) {
        _tile_loadd(6, w0, 64);
        _tile_loadd(4, in0 + rows.offsets[k], rows.step);
        _tile_dpbusd(0, 4, 6);
        if constexpr (Blocks == 2) {
            _tile_loadd(7, w1, 64);
            _tile_dpbusd(1, 4, 7);
        }
        if constexpr (Tiles == 2) {
            _tile_loadd(5, in1 + rows.offsets[k], rows.step);
            _tile_dpbusd(2, 5, 6);
            if constexpr (Blocks == 2) _tile_dpbusd(3, 5, 7);
        }
    }
    auto* acc = static_cast<int32_t*>(rows.acc) + t * kTile * rows.stride + o;
    const int64_t stride = 4 * rows.stride;
    _tile_stored(0, acc, stride);
    if constexpr (Blocks == 2) _tile_stored(1, acc + kBlock, stride);
    if constexpr (Tiles == 2) _tile_stored(2, acc + kTile * rows.stride, stride);
    if constexpr (Tiles == 2 && Blocks == 2) _tile_stored(3, acc + kTile * rows.stride + kBlock, stride);
}

// Four tiles by one block: as many sums under way, for convolutions with few outputs.
BITSWATH_TARGET inline void product4(const ConvRows& rows, int64_t t, int64_t o) {
    const auto* in = static_cast<const uint8_t*>(rows.in);
    const uint8_t *in0 = in + rows.starts[t], *in1 = in + rows.starts[t + 1];
    const uint8_t *in2 = in + rows.starts[t + 2], *in3 = in + rows.starts[t + 3];
    const auto* w = static_cast<const int8_t*>(rows.weights) + o * kChunk * rows.depth;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t k = 0; k < rows.depth; ++k, w += kBlock * kChunk) {
        const int64_t offset = rows.offsets[k];
        _tile_loadd(7, w, 64);
        _tile_loadd(4, in0 + offset, rows.step);
        _tile_dpbusd(0, 4, 7);
        _tile_loadd(5, in1 + offset, rows.step);
        _tile_dpbusd(1, 5, 7);
        _tile_loadd(6, in2 + offset, rows.step);
        _tile_dpbusd(2, 6, 7);
        _tile_loadd(4, in3 + offset, rows.step);
        _tile_dpbusd(3, 4, 7);
    }
    auto* acc = static_cast<int32_t*>(rows.acc) + t * kTile * rows.stride + o;
    const int64_t stride = 4 * rows.stride, next = kTile * rows.stride;
    _tile_stored(0, acc, stride);
    _tile_stored(1, acc + next, stride);
    _tile_stored(2, acc + 2 * next, stride);
    _tile_stored(3, acc + 3 * next, stride);
}

template <int Blocks>
BITSWATH_TARGET inline void products(const ConvRows& rows, int64_t t, int64_t o) {
    for (; t + 2 <= rows.tiles; t += 2) product<2, Blocks>(rows, t, o);
    if (t < rows.tiles) product<1, Blocks>(rows, t, o);
}

BITSWATH_TARGET void conv(const ConvRows& rows) {
    int64_t o = 0;
    for (; o + 2 * kBlock <= rows.outputs; o += 2 * kBlock) products<2>(rows, 0, o);
    if (o == rows.outputs) return;
    int64_t t = 0;
    for (; t + 4 <= rows.tiles; t += 4) product4(rows, t, o);
    products<1>(rows, t, o);
}

}  // namespace

Kernels amx_kernels() {
    Kernels k = avx512_kernels();
    const auto form =
        ConvForm("tdpbusd", conv, u8, s8, s32).inputs(4, kChunk).outputs(kBlock).windows(kTile).pays_from(5);
    k.convs.insert(k.convs.begin(), form);
    k.bits.clear();  // tiles of bytes are quicker
    k.winograd.clear();  // their products take longer than tiles of bytes
    k.enter = enter;
    k.leave = leave;
    return k;
}

}  // namespace bitswath::emulator
#endif
