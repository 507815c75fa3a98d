#include "engine/steps/winograd.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/steps/windows.hpp"
#include "engine/steps/winograd_tiles.hpp"
#include "engine/steps/winograd_weights.hpp"

namespace bitswath::emulator {
namespace {

constexpr int64_t kTiles = 32;           // a call of the kernel for products should have
constexpr int kMiddle[] = {1, 2};        // what is halved
constexpr int64_t kOffset = 1 << 15;

// Bytes from one point to the next, such that all points' do not lie in the same sets of a cache.
int64_t apart(int64_t bytes) { return rounded_up(bytes, 128) + 64; }

bool is_exact(const ConvForm& form, const Transformed& weights, const Tensor& sums) {
    const int64_t largest = weights.largest_input() * weights.largest;
    if (weights.largest_input() > form.highest || !weights.fits_integers()) return false;
    if (form.pairs && largest * form.together > INT16_MAX) return false;
    if (form.acc == s32) return true;
    if (sums.min() < -INT16_MAX || sums.max() > INT16_MAX) return false;
    for (int64_t o = 0; o < weights.outputs; ++o)
        for (const int a : kMiddle)
            for (int b = 0; b < 4; ++b)
                if (!weights.products(4 * a + b, o).fits_words()) return false;
    return std::all_of(weights.rows.begin(), weights.rows.end(), [](const Range& range) { return range.fits_words(); });
}

// Products of the direct way in whose time one window is done.
double cost(const WinogradForm& form, const Stage& stage, const Shape& out) {
    const int64_t outputs = rounded_up(stage.values.shape[0], form.products.block);
    const int64_t inputs = rounded_up(stage.values.shape[3], (form.tiles ? 2 : 1) * form.products.chunk);
    const int64_t tiles = rounded_up((out.h + 1) / 2 * ((out.w + 1) / 2), form.tiles ? kGroupTiles : 1);
    const double tile = static_cast<double>(kPoints * inputs * outputs) + form.input_cost * static_cast<double>(inputs) +
                        form.output_cost * static_cast<double>(outputs);
    return static_cast<double>(tiles) * tile / static_cast<double>(out.h * out.w);
}

// The transformed inputs of some tiles and their products follow the sums in the scratch.
class WinogradStep : public WindowStep {
public:
    WinogradStep(const StepContext& context, const WinogradForm& form, const Transformed& weights, Finish finish,
                 const Factors& factors)
        : WindowStep(context, {form.sums, form.products.block, 2, 1, false, 2}, std::move(finish)), winograd_(form),
          products_(form.products), last_row_(in_.shape.h + pads_[0] + pads_[2] - 1), columns_((windows_ + 1) / 2),
          tile_rows_(std::clamp<int64_t>(kTiles / columns_, 1, band_ / 2)),
          tiles_(rounded_up(tile_rows_ * columns_, products_.tile)), pixel_(form.copies * rounded_up(weights.inputs, kPixelBytes)) {
        set_source(1, 2 * columns_);
        input_.channels = weights.inputs;
        input_.pixel = pixel_;
        input_.plane = apart(tiles_ * pixel_);
        input_.sum = static_cast<uint8_t>(weights.offset(kSumPoint));
        input_.difference = static_cast<uint8_t>(weights.offset(0));
        output_.channels = rows_.outputs = rows_.stride = stride();
        output_.plane = apart(tiles_ * stride() * product_bytes()) / product_bytes();
        rows_.step = pixel_;
        for (int64_t first = 0; first < weights.inputs; first += products_.chunk) offsets_.push_back(static_cast<int32_t>(form.copies * first));
        for (int64_t t = 0; t < tiles_; t += products_.tile) tile_starts_.push_back(static_cast<int32_t>(t * pixel_));
        rows_.depth = static_cast<int64_t>(offsets_.size());
        for (int p = 0; p < kPoints && products_.pairs; ++p) {
            runs_[p] = rows_.depth;
            while (runs_[p] > 1 && !weights.fits_words(p, runs_[p] * products_.chunk)) runs_[p] = (runs_[p] + 1) / 2;
        }
        pack(weights);
        pack_starts(weights);
        pack_scales(factors, context.kernels.convert[s64][form.sums]);
    }

protected:
    std::string sums_name() const override { return std::string("winograd-") + products_.name; }

    void sum(const Frame& frame, int64_t y, int64_t count) const override {
        for (int64_t r = 0; r < count; r += 2 * tile_rows_) {
            const int64_t rows = std::min(tile_rows_, (count - r + 1) / 2);
            for (int64_t i = 0; i < rows; ++i) transform(frame, y + r + 2 * i, i);
            multiply(frame, rows * columns_);
            for (int64_t i = 0; i < rows; ++i) transform_back(frame, r + 2 * i, i);
        }
    }

    int64_t extra_bytes() const override { return input_bytes() + rounded_up(kPoints * output_.plane * product_bytes(), 64); }

private:
    int64_t input_bytes() const { return rounded_up(kPoints * input_.plane + static_cast<int64_t>(kOverread), 64); }
    int64_t product_bytes() const { return static_cast<int64_t>(kTypeBytes[products_.acc]); }
    uint8_t* products(const Frame& frame) const { return extra(frame) + input_bytes(); }

    // Rows beyond the last are of windows that nobody reads.
    void transform(const Frame& frame, int64_t y, int64_t tile_row) const {
        WinogradInput input = input_;
        for (int64_t i = 0; i < 4; ++i) input.rows[i] = first_row(frame, std::min(y + i, last_row_));
        input.tiles = columns_;
        input.out = extra(frame) + tile_row * columns_ * pixel_;
        winograd_.input(input);
    }

    void multiply(const Frame& frame, int64_t tiles) const {
        ConvRows rows = rows_;
        rows.starts = tile_starts_.data();
        rows.offsets = offsets_.data();
        rows.tiles = rounded_up(tiles, products_.tile) / products_.tile;
        for (int p = 0; p < kPoints; ++p) {
            rows.in = extra(frame) + p * input_.plane;
            rows.weights = weights_.data() + p * rows_.outputs * rows_.depth * products_.chunk;
            rows.run = runs_[p];
            rows.start = starts_of_products_.data() + p * stride();
            rows.acc = products(frame) + p * output_.plane * product_bytes();
            products_.kernel(rows);
        }
    }

    void transform_back(const Frame& frame, int64_t r, int64_t tile_row) const {
        WinogradOutput output = output_;
        output.tiles = columns_;
        output.products = products(frame) + tile_row * columns_ * stride() * product_bytes();
        output.bias = biases_.data();
        output.scale = scales_.data();
        output.above = frame.scratch + tiling_.sums(r) * stride() * acc_bytes();
        output.below = frame.scratch + tiling_.sums(r + 1) * stride() * acc_bytes();
        winograd_.output(output);
    }

    void pack(const Transformed& weights) {
        weights_ = Buffer(kPoints * rows_.outputs * rows_.depth * products_.chunk);
        auto* out = reinterpret_cast<int8_t*>(weights_.data());
        for (int p = 0; p < kPoints; ++p)
            for (int64_t first = 0; first < rows_.outputs; first += products_.block)
                for (int64_t lane = 0; lane < rows_.depth * products_.chunk; lane += products_.lanes)
                    for (int64_t o = first; o < first + products_.block; ++o)
                        for (int64_t i = lane; i < lane + products_.lanes; ++i, ++out)
                            if (o < weights.outputs && i < weights.inputs)
                                *out = static_cast<int8_t>(weights.weights(p, o)[i]);
    }

    // What products start from, modulo 2^16, or else is added to windows.
    void pack_starts(const Transformed& weights) {
        starts_of_products_.resize(kPoints * stride());
        biases_.resize(4 * stride());
        for (int64_t o = 0; o < weights.outputs; ++o) {
            int64_t start[4][4];
            for (int p = 0; p < kPoints; ++p) {
                start[p / 4][p % 4] = weights.start(p, o);
                starts_of_products_[p * stride() + o] =
                    static_cast<uint16_t>(start[p / 4][p % 4] + kOffsetPoints[p] * kOffset);
            }
            for (int i = 0; i < 4; ++i)
                biases_[i * stride() + o] = static_cast<int32_t>(window(start, i / 2, i % 2));
        }
    }

    void pack_scales(const Factors& factors, ConvertKernel convert) {
        scales_ = Buffer(stride() * acc_bytes());
        convert(factors.data(), scales_.data(), channels_);
    }

    // A window of A M A'.
    static int64_t window(const int64_t (&m)[4][4], int row, int column) {
        constexpr int64_t kTwice[2][4] = {{2, 1, 1, 0}, {0, 1, -1, -2}};
        int64_t four = 0;
        for (int a = 0; a < 4; ++a)
            for (int b = 0; b < 4; ++b) four += kTwice[row][a] * kTwice[column][b] * m[a][b];
        return four / 4;
    }

    WinogradForm winograd_;
    ConvForm products_;
    int64_t last_row_, columns_, tile_rows_, tiles_, pixel_;  // tiles of a row, rows of tiles and tiles at once; bytes
    WinogradInput input_{};
    WinogradOutput output_{};
    ConvRows rows_{};
    std::array<int64_t, kPoints> runs_{};
    std::vector<int32_t> offsets_, tile_starts_;
    Buffer weights_{0}, scales_{0};
    std::vector<uint16_t> starts_of_products_;
    std::vector<int32_t> biases_;
};

}  // namespace

double winograd_cost(const Stage& stage, const Graph& graph, const Kernels& kernels, bool any_threshold) {
    const Tensor& sums = graph.tensors()[graph.tensor(stage.name)];
    const auto weights = transformed(stage, graph.tensors()[stage.inputs[0]]);
    if (weights)
        for (const WinogradForm& form : kernels.winograd)
            if ((form.sums == s32 || !any_threshold) && is_exact(form.products, *weights, sums))
                return cost(form, stage, sums.shape);
    return std::numeric_limits<double>::infinity();
}

std::unique_ptr<Step> make_winograd(const StepContext& context) {
    const Stage& stage = context.stage;
    const auto direct = static_cast<double>(stage.values.size());
    const auto weights = transformed(stage, context.tensor(stage.inputs[0]));
    if (!weights || kTypeBytes[context.layouts[stage.inputs[0]].type] > 1) return nullptr;
    const std::vector<int64_t> signs = signs_of(stage, context.threshold), most(signs.size(), kMostScale);
    Finish finish;
    Factors factors;
    for (const WinogradForm& form : context.kernels.winograd)
        if (cost(form, stage, context.sums().shape) < direct && is_exact(form.products, *weights, context.sums()) &&
            make_finish(context, form.sums, most, signs, finish, factors))
            return form.tiles ? make_winograd_tiles(context, form, *weights, std::move(finish), factors)
                              : std::make_unique<WinogradStep>(context, form, *weights, std::move(finish), factors);
    return nullptr;
}

}  // namespace bitswath::emulator
