#include "engine/plan.hpp"

#include <algorithm>
#include <cstring>

#include "common/buffer.hpp"
#include "packing/packing.hpp"

namespace bitswath::emulator {
namespace {

constexpr int64_t kMostArenaBytes = int64_t{1} << 30;

int64_t rounded(int64_t bytes) { return rounded_up(bytes, kCacheLine); }

bool accumulates(Op op) { return op == Op::conv || op == Op::dense || op == Op::add || op == Op::sum_pool; }

// The stages that a step computes at once with its own.
struct Fused {
    const Stage *threshold = nullptr, *pool = nullptr;

    const Stage& last(const Stage& own) const { return pool ? *pool : threshold ? *threshold : own; }
};

bool halves(const Stage& stage) {
    return stage.op == Op::max_pool && stage.kernel == std::array<int64_t, 2>{2, 2} && stage.strides == stage.kernel &&
           stage.pads == std::array<int64_t, 4>{0, 0, 0, 0};
}

// A Threshold stage joins the stage that only it reads, a MaxPool stage the convolution and threshold before it.
std::vector<Fused> fused_stages(const Graph& graph) {
    const auto& stages = graph.stages();
    std::vector<int> readers(stages.size() + 1, 0);
    for (const Stage& stage : stages)
        for (int index : stage.inputs) ++readers[index];
    std::vector<Fused> fused(stages.size());
    for (const Stage& stage : stages) {
        const int source = stage.inputs[0] - 1;
        if (source < 0 || readers[source + 1] != 1) continue;
        if (stage.op == Op::threshold && accumulates(stages[source].op)) fused[source].threshold = &stage;
        if (!halves(stage) || stages[source].op != Op::threshold) continue;
        const int conv = stages[source].inputs[0] - 1;
        if (conv >= 0 && fused[conv].threshold == &stages[source] && stages[conv].op == Op::conv &&
            stages[source].step > 0)
            fused[conv].pool = &stage;
    }
    return fused;
}

}  // namespace

Plan::Plan(const Graph& graph, const Kernels& kernels, bool fuse) : kernels_(kernels) {
    const auto& stages = graph.stages();
    if (stages.empty()) throw NetworkFault("expected at least one stage");
    lo_ = graph.tensors()[0].min();
    hi_ = graph.tensors()[0].max();
    auto fused = fused_stages(graph);
    if (!fuse) std::fill(fused.begin(), fused.end(), Fused{});
    std::vector<bool> kept(stages.size() + 1, true), joins(stages.size() + 1, false);
    for (size_t i = 0; i < stages.size(); ++i) {
        if (!fused[i].threshold) continue;
        kept[i + 1] = false;
        joins[graph.tensor(fused[i].threshold->name)] = true;
        if (!fused[i].pool) continue;
        kept[graph.tensor(fused[i].threshold->name)] = false;
        joins[graph.tensor(fused[i].pool->name)] = true;
    }
    place(graph, kept);
    for (size_t i = 0; i < stages.size(); ++i) {
        if (joins[i + 1]) continue;
        const int output = graph.tensor(fused[i].last(stages[i]).name);
        steps_.push_back(
            make_step({kernels_, graph, layouts_, stages[i], fused[i].threshold, fused[i].pool, output}));
        steps_.back()->name = graph.tensors()[output].name;
        scratch_bytes_ = std::max(scratch_bytes_, rounded(steps_.back()->scratch_bytes()));
    }
    for (size_t i = 0; i < kept.size(); ++i) {
        const Tensor& tensor = graph.tensors()[i];
        if (kept[i]) taps_.push_back({tensor.name, tensor.dims, layouts_[i], needs_s64(tensor.magnitude())});
    }
}

// Chooses every tensor's stored type, border and place.
void Plan::place(const Graph& graph, const std::vector<bool>& kept) {
    const auto& tensors = graph.tensors();
    std::vector<std::array<int64_t, 4>> borders(tensors.size(), {0, 0, 0, 0});
    std::vector<int64_t> windows(tensors.size(), 0);  // elements that a tile of windows may span
    for (const Tensor& tensor : tensors) {
        layouts_.emplace_back();
        layouts_.back().shape = tensor.shape;
        layouts_.back().type = narrowest(tensor);
    }
    for (const Stage& stage : graph.stages()) {
        if (stage.op != Op::conv && stage.op != Op::dense) continue;
        const int in = stage.inputs[0];
        for (int side = 0; side < 4; ++side) borders[in][side] = std::max(borders[in][side], stage.pads[side]);
        if (stage.op == Op::conv) windows[in] = std::max(windows[in], kMostTile * stage.strides[1] * tensors[in].shape.c);
        Type wanted;
        if (wanted_input(stage, graph, kernels_, wanted) && wanted == s16) layouts_[in].type = s16;
    }
    int64_t top = 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
        if (!kept[i]) continue;
        Layout& layout = layouts_[i];
        const auto& border = borders[i];
        const auto bytes = static_cast<int64_t>(kTypeBytes[layout.type]);
        const int64_t rows = layout.shape.h + border[0] + border[2];
        layout.row = (layout.shape.w + border[1] + border[3]) * layout.shape.c;
        if (rows > kMostElements / layout.row) throw NetworkFault("tensor '" + tensors[i].name + "': too large padded");
        layout.offset = top + rounded((border[0] * layout.row + border[1] * layout.shape.c) * bytes);
        top = rounded(layout.offset + (rows * layout.row + windows[i]) * bytes + static_cast<int64_t>(kOverread));
        if (top > kMostArenaBytes) throw NetworkFault("expected a network whose tensors fit 1 GiB a frame");
    }
    unpacked_ = top;
    arena_bytes_ = rounded(unpacked_ + tensors[0].shape.size());
    if (arena_bytes_ > kMostArenaBytes) throw NetworkFault("expected a network whose tensors fit 1 GiB a frame");
}

template <typename T>
bool Plan::load_rows(uint8_t* arena, const T* codes, Type from, int64_t& bad) const {
    const Layout& in = layouts_[0];
    const int64_t width = in.width();
    const ConvertKernel convert = kernels_.convert[from][in.type];
    for (int64_t y = 0; y < in.shape.h; ++y, codes += width) {
        T lo = codes[0], hi = codes[0];
        for (int64_t i = 0; i < width; ++i) {
            lo = codes[i] < lo ? codes[i] : lo;
            hi = codes[i] > hi ? codes[i] : hi;
        }
        if (lo < lo_ || hi > hi_) {
            bad = lo < lo_ ? lo : hi;
            return false;
        }
        convert(codes, in.at(arena, y), width);
    }
    return true;
}

bool Plan::load(uint8_t* arena, const uint8_t* codes, int64_t& bad) const { return load_rows(arena, codes, u8, bad); }

bool Plan::load(uint8_t* arena, const int64_t* codes, int64_t& bad) const { return load_rows(arena, codes, s64, bad); }

// Straight into the tensor where its rows start on whole bytes and every code is in range.
bool Plan::load_packed(uint8_t* arena, const uint8_t* frame, int bits, int64_t& bad) const {
    const Layout& in = layouts_[0];
    const int64_t width = in.width();
    if (in.type != u8 || width * bits % 8 || lo_ > 0 || hi_ < (1 << bits) - 1) {
        unpack_codes(frame, bits, in.shape.size(), arena + unpacked_);
        return load(arena, arena + unpacked_, bad);
    }
    for (int64_t y = 0; y < in.shape.h; ++y, frame += width * bits / 8) unpack_codes(frame, bits, width, in.at(arena, y));
    return true;
}

void Plan::read(const Tap& tap, uint8_t* arena, void* out) const {
    const Layout& layout = tap.layout;
    const Type to = tap.wide ? s64 : s32;
    auto* row = static_cast<uint8_t*>(out);
    for (int64_t y = 0; y < layout.shape.h; ++y, row += layout.width() * static_cast<int64_t>(kTypeBytes[to]))
        kernels_.convert[layout.type][to](layout.at(arena, y), row, layout.width());
}

}  // namespace bitswath::emulator
