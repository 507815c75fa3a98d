#include "engine/graph.hpp"

#include <algorithm>
#include <cstdlib>

namespace bitswath::emulator {
namespace {

[[noreturn]] void fail(const std::string& stage, const std::string& what) {
    throw NetworkFault("stage '" + stage + "': " + what);
}

void require(bool condition, const Stage& stage, const std::string& expected) {
    if (!condition) fail(stage.name, "expected " + expected);
}

int64_t checked(int64_t value, const std::string& name) {
    if (value > kLargest || value < -kLargest) fail(name, "values beyond 62 bits cannot be emulated");
    return value;
}

int64_t multiply(int64_t a, int64_t b, const std::string& name) {
    int64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) fail(name, "values beyond 62 bits cannot be emulated");
    return checked(product, name);
}

Shape shape_of(const std::vector<int64_t>& dims, const std::string& name) {
    if (dims.empty()) fail(name, "expected a tensor of rank 1 or more");
    int64_t size = 1;
    for (int64_t dim : dims) {
        if (dim < 1 || dim > kMostElements || size * dim > kMostElements)
            fail(name, "expected dimensions of 1 or more with a product up to 2^26");
        size *= dim;
    }
    if (dims.back() > kMostChannels) fail(name, "expected up to 2^20 channels");
    Shape shape;
    shape.c = dims.back();
    shape.w = dims.size() > 1 ? dims[dims.size() - 2] : 1;
    shape.h = size / (shape.c * shape.w);
    return shape;
}

// Range of a sum of terms w * x, and the largest magnitude of any partial sum.
struct Sum {
    int64_t lo = 0, hi = 0, bound = 0;

    void add(int64_t w, int64_t x_lo, int64_t x_hi, const std::string& name) {
        const int64_t a = multiply(checked(w, name), x_lo, name), b = multiply(w, x_hi, name);
        lo = checked(lo + std::min(a, b), name);
        hi = checked(hi + std::max(a, b), name);
        bound = checked(bound + std::max(std::abs(a), std::abs(b)), name);
    }
};

void append(Tensor& out, Stage& stage, const Sum& sum) {
    out.lo.push_back(sum.lo);
    out.hi.push_back(sum.hi);
    stage.bound = std::max(stage.bound, sum.bound);
}

bool is_padded(const Stage& stage) {
    return std::any_of(stage.pads.begin(), stage.pads.end(), [](int64_t pad) { return pad > 0; });
}

// Output height and width of a window sliding over the padded input.
void slide(const Stage& stage, const Shape& in, Tensor& out) {
    constexpr int64_t limit = kMostElements;
    int64_t out_size[2];
    for (int axis = 0; axis < 2; ++axis) {
        const int64_t before = stage.pads[axis], after = stage.pads[axis + 2];
        const int64_t values[] = {stage.kernel[axis], stage.strides[axis], stage.dilations[axis]};
        for (int64_t value : values)
            require(value >= 1 && value <= limit, stage, "kernel, strides and dilations in 1..2^26");
        require(before >= 0 && after >= 0 && before <= limit && after <= limit, stage, "pads in 0..2^26");
        const int64_t padded = (axis ? in.w : in.h) + before + after;
        const int64_t extent = stage.dilations[axis] * (stage.kernel[axis] - 1) + 1;
        require(extent <= padded, stage, "an input of at least the kernel's extent");
        out_size[axis] = (padded - extent) / stage.strides[axis] + 1;
    }
    shape_of({in.h + stage.pads[0] + stage.pads[2], in.w + stage.pads[1] + stage.pads[3], in.c}, stage.name);
    out.dims = {out_size[0], out_size[1], out.shape.c};
}

void infer_conv(Stage& stage, const Tensor& in, Tensor& out) {
    require(stage.values.shape.size() == 4 && stage.values.size() > 0, stage, "weights of rank 4, none empty");
    const int64_t outputs = stage.values.shape[0], per_group = stage.values.shape[3];
    require(stage.op == Op::dense || in.dims.size() == 3, stage, "an (H, W, C) input");
    require(stage.groups >= 1 && in.shape.c % stage.groups == 0 && per_group == in.shape.c / stage.groups &&
                outputs % stage.groups == 0,
            stage, "channels that fit weights and groups");
    stage.kernel = {stage.values.shape[1], stage.values.shape[2]};
    out.shape.c = outputs;
    slide(stage, in.shape, out);
    const bool padded = is_padded(stage);
    const int64_t taps = stage.kernel[0] * stage.kernel[1];
    const int64_t* w = stage.values.data;
    for (int64_t o = 0; o < outputs; ++o) {
        const int64_t first = o / (outputs / stage.groups) * per_group;
        Sum sum;
        for (int64_t tap = 0; tap < taps; ++tap)
            for (int64_t i = first; i < first + per_group; ++i, ++w)
                sum.add(*w, padded ? std::min<int64_t>(in.lo[i], 0) : in.lo[i],
                        padded ? std::max<int64_t>(in.hi[i], 0) : in.hi[i], stage.name);
        append(out, stage, sum);
    }
    if (stage.op == Op::dense) out.dims = {outputs};
}

void infer_dense(Stage& stage, const Tensor& in, Tensor& out) {
    auto& shape = stage.values.shape;
    require(shape.size() == 2 && shape[1] == in.shape.size(), stage,
            "weights (out, " + std::to_string(in.shape.size()) + ")");
    shape = {shape[0], in.shape.h, in.shape.w, in.shape.c};
    infer_conv(stage, in, out);
}

void infer_threshold(Stage& stage, const Tensor& in, Tensor& out) {
    const auto& shape = stage.values.shape;
    require(shape.size() == 2, stage, "thresholds of rank 2");
    const int64_t count = shape[1], channels = in.shape.c;
    require(shape[0] == 1 || shape[0] == channels, stage, "a row of thresholds for each channel, or one");
    const int64_t directions = static_cast<int64_t>(stage.directions.size());
    require(directions == 1 || directions == channels, stage, "a direction for each channel, or one");
    for (int64_t direction : stage.directions) require(std::abs(direction) == 1, stage, "directions of +1 or -1");
    for (int64_t row = 0; row < shape[0]; ++row)
        require(std::is_sorted(stage.values.data + row * count, stage.values.data + (row + 1) * count), stage,
                "thresholds in ascending order");
    checked(stage.base, stage.name);
    const int64_t last = checked(stage.base + multiply(stage.step, count, stage.name), stage.name);
    out.dims = in.dims;
    out.lo.assign(channels, std::min(stage.base, last));
    out.hi.assign(channels, std::max(stage.base, last));
    stage.bound = in.magnitude();
}

void infer_max_pool(Stage& stage, const Tensor& in, Tensor& out) {
    require(in.dims.size() == 3, stage, "an (H, W, C) input");
    for (int side = 0; side < 4; ++side)
        require(stage.pads[side] < stage.kernel[side % 2], stage, "pads below the kernel");
    out.shape.c = in.shape.c;
    slide(stage, in.shape, out);
    out.lo = in.lo;
    out.hi = in.hi;
}

void infer_sum_pool(Stage& stage, const Tensor& in, Tensor& out) {
    require(in.dims.size() == 3, stage, "an (H, W, C) input");
    out.shape.c = in.shape.c;
    slide(stage, in.shape, out);
    const bool padded = is_padded(stage);
    const int64_t count = multiply(stage.kernel[0], stage.kernel[1], stage.name);
    for (int64_t c = 0; c < in.shape.c; ++c) {
        Sum sum;
        sum.add(count, padded ? std::min<int64_t>(in.lo[c], 0) : in.lo[c],
                padded ? std::max<int64_t>(in.hi[c], 0) : in.hi[c], stage.name);
        append(out, stage, sum);
    }
}

void infer_add(Stage& stage, const std::vector<const Tensor*>& in, Tensor& out) {
    require(in.size() >= 2 && in.size() == stage.multipliers.size(), stage, "a multiplier for each of two or more inputs");
    for (const Tensor* tensor : in) require(tensor->dims == in[0]->dims, stage, "inputs of one shape");
    out.dims = in[0]->dims;
    for (int64_t c = 0; c < in[0]->shape.c; ++c) {
        Sum sum;
        for (size_t i = 0; i < in.size(); ++i) sum.add(stage.multipliers[i], in[i]->lo[c], in[i]->hi[c], stage.name);
        append(out, stage, sum);
    }
}

void infer_concat(const Stage& stage, const std::vector<const Tensor*>& in, Tensor& out) {
    out.dims = in[0]->dims;
    out.dims.back() = 0;
    for (const Tensor* tensor : in) {
        require(std::equal(tensor->dims.begin(), tensor->dims.end() - 1, out.dims.begin(), out.dims.end() - 1), stage,
                "inputs of one height and width");
        out.dims.back() += tensor->shape.c;
        out.lo.insert(out.lo.end(), tensor->lo.begin(), tensor->lo.end());
        out.hi.insert(out.hi.end(), tensor->hi.begin(), tensor->hi.end());
    }
}

void infer_lookup(Stage& stage, const Tensor& in, Tensor& out) {
    const auto& shape = stage.values.shape;
    require(shape.size() == 3 && stage.values.size() > 0, stage, "a table of rank 3, not empty");
    const int64_t channels = shape[0], entries = shape[1], depth = shape[2];
    require(channels == in.shape.c, stage, "a table for each channel");
    require(in.min() >= 0 && in.max() < entries, stage, "codes within the table");
    require(depth <= kMostChannels, stage, "a table of less depth");
    out.dims = in.dims;
    out.dims.back() = channels * depth;
    for (int64_t c = 0; c < channels; ++c)
        for (int64_t d = 0; d < depth; ++d) {
            const int64_t* column = stage.values.data + c * entries * depth + d;
            int64_t lo = kLargest, hi = -kLargest;
            for (int64_t e = 0; e < entries; ++e) {
                lo = std::min(lo, checked(column[e * depth], stage.name));
                hi = std::max(hi, column[e * depth]);
            }
            out.lo.push_back(lo);
            out.hi.push_back(hi);
        }
    stage.bound = out.magnitude();
}

void infer_take(const Stage& stage, const Tensor& in, Tensor& out) {
    require(stage.dims.size() == 1 || stage.dims.size() == 3, stage, "a shape (H, W, C) or (C,)");
    const Shape shape = shape_of(stage.dims, stage.name);
    require(stage.values.shape == std::vector<int64_t>{shape.size()}, stage, "an index for each value of the shape");
    checked(stage.fill, stage.name);
    out.dims = stage.dims;
    out.lo.assign(shape.c, kLargest);
    out.hi.assign(shape.c, -kLargest);
    for (int64_t i = 0; i < shape.size(); ++i) {
        const int64_t index = stage.values.data[i], c = i % shape.c;
        require(index >= -1 && index < in.shape.size(), stage, "indices of the input's values, or -1");
        const int64_t source = index % in.shape.c;  // not read for -1
        out.lo[c] = std::min(out.lo[c], index < 0 ? stage.fill : in.lo[source]);
        out.hi[c] = std::max(out.hi[c], index < 0 ? stage.fill : in.hi[source]);
    }
}

void infer_arg_max(const Stage& stage, const Tensor& in, Tensor& out) {
    require(in.dims.size() == 1, stage, "a flat input");
    out.dims = {1};
    out.lo = {0};
    out.hi = {in.shape.c - 1};
}

void infer(Stage& stage, const std::vector<const Tensor*>& in, Tensor& out) {
    const bool one = stage.op != Op::add && stage.op != Op::concat;
    require(one ? in.size() == 1 : !in.empty(), stage, one ? "one input" : "inputs");
    switch (stage.op) {
        case Op::conv: return infer_conv(stage, *in[0], out);
        case Op::dense: return infer_dense(stage, *in[0], out);
        case Op::threshold: return infer_threshold(stage, *in[0], out);
        case Op::max_pool: return infer_max_pool(stage, *in[0], out);
        case Op::sum_pool: return infer_sum_pool(stage, *in[0], out);
        case Op::add: return infer_add(stage, in, out);
        case Op::concat: return infer_concat(stage, in, out);
        case Op::lookup: return infer_lookup(stage, *in[0], out);
        case Op::take: return infer_take(stage, *in[0], out);
        case Op::arg_max: return infer_arg_max(stage, *in[0], out);
        case Op::input: break;
    }
    fail(stage.name, "unknown operator");
}

}  // namespace

int64_t IntArray::size() const {
    int64_t size = 1;
    for (int64_t dim : shape) size *= dim;
    return size;
}

int64_t Tensor::min() const { return *std::min_element(lo.begin(), lo.end()); }
int64_t Tensor::max() const { return *std::max_element(hi.begin(), hi.end()); }
int64_t Tensor::magnitude() const { return std::max(std::abs(min()), std::abs(max())); }

Graph::Graph(std::vector<int64_t> dims, int64_t lo, int64_t hi) {
    Tensor input;
    input.name = "input";
    input.shape = shape_of(dims, input.name);
    input.dims = std::move(dims);
    if (lo > hi) fail(input.name, "expected a range lo..hi with lo <= hi");
    input.lo.assign(input.shape.c, checked(lo, input.name));
    input.hi.assign(input.shape.c, checked(hi, input.name));
    names_[input.name] = 0;
    tensors_.push_back(std::move(input));
}

void Graph::add(Stage stage) {
    std::vector<const Tensor*> in;
    for (int index : stage.inputs) in.push_back(&tensors_.at(index));
    Tensor out;
    out.name = stage.name;
    infer(stage, in, out);
    out.shape = shape_of(out.dims, stage.name);
    if (!names_.emplace(stage.name, static_cast<int>(tensors_.size())).second) fail(stage.name, "name is taken");
    tensors_.push_back(std::move(out));
    stages_.push_back(std::move(stage));
}

int Graph::tensor(const std::string& name) const {
    const auto found = names_.find(name);
    if (found == names_.end()) throw NetworkFault("tensor '" + name + "': expected one computed before its use");
    return found->second;
}

}  // namespace bitswath::emulator
