// A stage that can be run: what it reads and writes, what it is built from.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/graph.hpp"
#include "kernels/kernels.hpp"

namespace bitswath::emulator {

// Where a tensor lives in the arena: rows of w * c elements inside a border that stays zero, so that
// convolutions need no special case at the edges. Tensors fused away have no buffer (`offset` < 0).
struct Layout {
    Shape shape;
    Type type = u8;
    int64_t row = 0;      // elements from one row to the next
    int64_t offset = -1;  // bytes from the arena's start to element (0, 0, 0)

    int64_t width() const { return shape.w * shape.c; }
    uint8_t* at(uint8_t* arena, int64_t y, int64_t x = 0) const {
        return arena + offset + (y * row + x * shape.c) * static_cast<int64_t>(kTypeBytes[type]);
    }
};

// What a worker computes a frame in: all tensors, and room for the step at hand.
struct Frame {
    uint8_t* arena;
    uint8_t* scratch;
};

// One executable stage. `run` computes some rows of its output, `first` up to `last`, which need not be in
// order and may run on several workers that share an arena.
class Step {
public:
    virtual ~Step() = default;
    virtual void run(const Frame& frame, int64_t first, int64_t last) const = 0;
    virtual std::string kernel() const = 0;
    virtual int64_t scratch_bytes() const { return 0; }
    virtual int64_t rows() const { return 1; }

    std::string name;
};

// What a step is built from: a stage, and those of its successors that it computes at once.
struct StepContext {
    const Kernels& kernels;
    const Graph& graph;
    const std::vector<Layout>& layouts;
    const Stage& stage;
    const Stage* threshold;  // or null
    const Stage* pool;       // a MaxPool of 2 x 2 after the threshold, or null
    int output;              // tensor number

    const Tensor& tensor(int number) const { return graph.tensors()[number]; }
    const Tensor& sums() const { return tensor(graph.tensor(stage.name)); }
};

std::unique_ptr<Step> make_conv(const StepContext& context);
std::unique_ptr<Step> make_step(const StepContext& context);
Type narrowest(const Tensor& tensor);
bool needs_s64(int64_t bound);
// The stored type of its input that suits the best exact kernel for this convolution; false if any will do.
bool wanted_input(const Stage& stage, const Graph& graph, const Kernels& kernels, Type& type);

}  // namespace bitswath::emulator
