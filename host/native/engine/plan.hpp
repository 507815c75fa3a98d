// A graph compiled for one CPU: stored types, buffers in one arena, a resolved kernel for every step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/steps/step.hpp"

namespace bitswath::emulator {

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
