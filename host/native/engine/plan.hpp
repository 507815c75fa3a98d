// A graph compiled for one CPU: stored types, buffers in one arena, a resolved kernel for every step.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <vector>

#include "engine/graph.hpp"
#include "kernels/kernels.hpp"
#include "engine/steps/requantize.hpp"

namespace bitswath::emulator {

// Zeroed memory on a cache line's boundary.
class Buffer {
public:
    explicit Buffer(int64_t bytes);
    uint8_t* data() const { return data_.get(); }

private:
    struct Free {
        void operator()(uint8_t* p) const { ::operator delete[](p, std::align_val_t{64}); }
    };
    std::unique_ptr<uint8_t[], Free> data_;
};

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

class Plan {
public:
    // `fuse`: thresholds and max-pools run inside the stage that feeds them, whose own tensor is then not kept.
    Plan(const Graph& graph, const Kernels& kernels, bool fuse);

    struct Tap {
        std::string name;
        std::vector<int64_t> dims;
        Layout layout;
        bool wide;  // read as int64, else int32
    };

    int64_t arena_bytes() const { return arena_bytes_; }
    int64_t scratch_bytes() const { return scratch_bytes_; }
    const Kernels& kernels() const { return kernels_; }
    const std::vector<std::unique_ptr<Step>>& steps() const { return steps_; }
    const std::vector<Tap>& taps() const { return taps_; }  // every kept tensor; the output is the last
    const Tap& input() const { return taps_.front(); }
    const Tap& output() const { return taps_.back(); }

    // Fills the input tensor from codes (uint8 or int64, C order) or dense packed bytes (bits 1..8).
    // Returns false and sets `bad` if a code is out of the declared range.
    bool load(uint8_t* arena, const uint8_t* codes, int64_t& bad) const;
    bool load(uint8_t* arena, const int64_t* codes, int64_t& bad) const;
    bool load_packed(uint8_t* arena, const uint8_t* frame, int bits, int64_t& bad) const;
    // Copies a tensor out as int32 or int64 in C order.
    void read(const Tap& tap, uint8_t* arena, void* out) const;
    int64_t lo() const { return lo_; }
    int64_t hi() const { return hi_; }

private:
    template <typename T>
    bool load_rows(uint8_t* arena, const T* codes, Type from, int64_t& bad) const;
    void place(const Graph& graph, const std::vector<bool>& kept);

    Kernels kernels_;
    std::vector<Layout> layouts_;
    std::vector<std::unique_ptr<Step>> steps_;
    std::vector<Tap> taps_;
    int64_t lo_ = 0, hi_ = 0, arena_bytes_ = 0, unpacked_ = 0, scratch_bytes_ = 0;
};

}  // namespace bitswath::emulator
