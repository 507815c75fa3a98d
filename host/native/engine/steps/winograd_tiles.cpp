#include "engine/steps/winograd_tiles.hpp"

#include <algorithm>

#include "engine/steps/windows.hpp"

namespace bitswath::emulator {
namespace {

constexpr int kBlock = 16, kChunk = 4;  // outputs, inputs of a product
constexpr int kSide = 2;                // of a tile, in windows
constexpr int kRowPoints = 4;

int64_t tiles_of(int64_t windows) { return (windows + kSide - 1) / kSide; }

// What fills up the last group, then V of the band follow the sums in the scratch.
class WinogradTilesStep : public WindowStep {
public:
    WinogradTilesStep(const StepContext& context, const WinogradForm& form, const Transformed& weights, Finish finish,
                      const Factors& factors)
        : WindowStep(context, {s32, kBlock, kSide, 1, false, kSide, true}, std::move(finish)), name_(form.products.name),
          transform_(form.input), kernel_(context.pool ? form.pooled_tiles : form.tiles),
          last_row_(in_.shape.h + pads_[0] + pads_[2] - 1) {
        input_.tiles = tiles_.columns = tiles_of(windows_);
        set_source(1, kSide * tiles_.columns);
        input_.channels = weights.inputs;
        input_.pixel = tiles_.pixel = rounded_up(weights.inputs, kPixelBytes);
        const int64_t tiles = rounded_up(band_ / kSide * tiles_.columns, kGroupTiles);
        input_.plane = tiles_.plane = tiles * input_.pixel + 64;  // not in the same sets of a cache
        input_.sum = static_cast<uint8_t>(weights.offset(kSumPoint));
        input_.difference = static_cast<uint8_t>(weights.offset(0));
        tiles_.pairs = rounded_up(weights.inputs, 2 * kChunk) / (2 * kChunk);
        tiles_.outputs = group_outputs();
        tiles_.stride = stride();
        tiles_.row = tiling_.sums(1) * stride();
        pack(weights);
        scales_.assign(factors.begin(), factors.end());
        scales_.resize(tiles_.outputs);
    }

protected:
    std::string sums_name() const override { return std::string("winograd-") + name_; }

    // Rows beyond the last are of windows that nobody reads.
    void sum(const Frame& frame, int64_t y, int64_t count) const override {
        WinogradInput input = input_;
        WinogradTiles tiles = tiles_;
        tiles.in = input.out = extra(frame) + surplus_bytes();
        tiles.tiles = tiles_of(count) * tiles.columns;
        for (int64_t r = 0; r < count; r += kSide, input.out += input.tiles * input.pixel) {
            for (int64_t i = 0; i < 4; ++i) input.rows[i] = first_row(frame, std::min(y + r + i, last_row_));
            transform_(input);
        }
        tiles.weights = reinterpret_cast<const int8_t*>(weights_.data());
        tiles.start = starts_.data();
        tiles.scale = scales_.data();
        tiles.sums = reinterpret_cast<int32_t*>(frame.scratch);
        kernel_(tiles);
    }

    int64_t extra_bytes() const override {
        return surplus_bytes() + rounded_up(kPoints * input_.plane + static_cast<int64_t>(kOverread), 64);
    }

private:
    int64_t surplus_bytes() const { return kSide * (kGroupTiles - 1) * tiles_.row * acc_bytes(); }
    void pack(const Transformed& weights) {
        weights_ = Buffer(tiles_.outputs * tiles_.pairs * 2 * kChunk * kPoints);
        starts_.resize(tiles_.outputs * kPoints);
        auto* out = reinterpret_cast<int8_t*>(weights_.data());
        for (int64_t first = 0; first < tiles_.outputs; first += kBlock)
            for (int row = 0; row < kPoints; row += kRowPoints)
                for (int64_t pair = 0; pair < tiles_.pairs; ++pair)
                    for (int point = row; point < row + kRowPoints; ++point)
                        for (int turn = 0; turn < 2; ++turn)
                            for (int64_t o = first; o < first + kBlock; ++o, out += kChunk)
                                if (o < weights.outputs) pack_chunk(weights, point, o, 2 * pair + (o + turn) % 2, out);
        for (int64_t o = 0; o < weights.outputs; ++o)
            for (int point = 0; point < kPoints; ++point)
                starts_[(o / kBlock * kPoints + point) * kBlock + o % kBlock] =
                    static_cast<int32_t>(weights.start(point, o));
    }

    static void pack_chunk(const Transformed& weights, int point, int64_t o, int64_t chunk, int8_t* out) {
        const int64_t first = chunk * kChunk, last = std::min(first + kChunk, weights.inputs);
        for (int64_t i = first; i < last; ++i) *out++ = static_cast<int8_t>(weights.weights(point, o)[i]);
    }

    const char* name_;
    WinogradInputKernel transform_;
    WinogradTilesKernel kernel_;
    int64_t last_row_;
    WinogradInput input_{};
    WinogradTiles tiles_{};
    Buffer weights_{0};
    std::vector<int32_t> starts_, scales_;
};

}  // namespace

std::unique_ptr<Step> make_winograd_tiles(const StepContext& context, const WinogradForm& form, const Transformed& weights,
                                          Finish finish, const Factors& factors) {
    return std::make_unique<WinogradTilesStep>(context, form, weights, std::move(finish), factors);
}

}  // namespace bitswath::emulator
