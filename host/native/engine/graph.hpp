// The integer network as the native side sees it: stages checked, shapes and ranges proved anew.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace bitswath::emulator {

struct NetworkFault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct InputFault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class Op { input, conv, dense, threshold, max_pool, sum_pool, add, concat, lookup, take, arg_max };

// A view of integers that the caller keeps alive while the graph lives.
struct IntArray {
    std::vector<int64_t> shape;
    const int64_t* data = nullptr;

    int64_t size() const;
};

struct Shape {
    int64_t h = 1, w = 1, c = 1;

    int64_t size() const { return h * w * c; }
    bool operator==(const Shape& other) const { return h == other.h && w == other.w && c == other.c; }
};

// A tensor: its shape as declared, as (h, w, c), and the proved inclusive range of each channel.
struct Tensor {
    std::string name;
    std::vector<int64_t> dims;
    Shape shape;
    std::vector<int64_t> lo, hi;

    int64_t min() const;
    int64_t max() const;
    int64_t magnitude() const;
};

// One stage; only the members of its `op` are set. It writes tensor number (its index + 1).
struct Stage {
    Op op = Op::input;
    std::string name;
    std::vector<int> inputs;
    std::array<int64_t, 2> kernel{1, 1}, strides{1, 1}, dilations{1, 1};
    std::array<int64_t, 4> pads{0, 0, 0, 0};  // top, left, bottom, right
    int64_t groups = 1, base = 0, step = 1, fill = 0;
    std::vector<int64_t> multipliers;
    std::vector<int64_t> dims;  // of what a Take makes
    IntArray values;  // weights (Conv: out, kh, kw, in; Dense becomes that too), thresholds, table or index
    std::vector<int64_t> directions;

    // Largest magnitude that any order of summation can reach; set by `Graph::add`.
    int64_t bound = 0;
};

// Stages in topological order; tensor 0 is the input, tensor i + 1 the output of stage i.
// `add` throws NetworkFault unless the stage fits what came before, so that whatever is built
// from a graph may trust shapes, indices and ranges.
class Graph {
public:
    Graph(std::vector<int64_t> dims, int64_t lo, int64_t hi);
    void add(Stage stage);
    int tensor(const std::string& name) const;  // throws NetworkFault if unknown

    const std::vector<Stage>& stages() const { return stages_; }
    const std::vector<Tensor>& tensors() const { return tensors_; }

private:
    std::vector<Stage> stages_;
    std::vector<Tensor> tensors_;
    std::map<std::string, int> names_;
};

// Integers wider than 62 bits are refused, so sums of two and negations cannot overflow.
constexpr int64_t kLargest = (int64_t{1} << 62) - 1;
// Elements of one tensor with its padding (offsets fit 32 bits), and its channels.
constexpr int64_t kMostElements = int64_t{1} << 26;
constexpr int64_t kMostChannels = int64_t{1} << 20;

}  // namespace bitswath::emulator
