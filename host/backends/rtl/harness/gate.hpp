// An end of the accelerator that pauses at random.

#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

// Open in a share of the cycles, in runs of random length; most runs are short, some last hundreds of cycles.
class Gate {
public:
    Gate(double stall, uint64_t seed) : stall_(stall), state_(seed * 0x9E3779B97F4A7C15u + 1) {}
    bool open() {
        if (stall_ <= 0) return true;
        if (left_ == 0) begin_run();
        --left_;
        return open_;
    }

private:
    void begin_run() {
        open_ = !open_;
        if (open_) scale_ = std::array<double, 8>{1, 1, 1, 1, 3, 3, 16, 100}[next() >> 61];
        const double mean = scale_ * (open_ ? (1 - stall_) / std::min(stall_, 1 - stall_)
                                            : stall_ / std::min(stall_, 1 - stall_));
        const double uniform = (static_cast<double>(next() >> 11) + 0.5) / 9007199254740992.0;
        left_ = mean <= 1 ? 1 : 1 + static_cast<uint64_t>(std::log(uniform) / std::log1p(-1 / mean));
    }
    uint64_t next() {  // xorshift64*
        state_ ^= state_ >> 12, state_ ^= state_ << 25, state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Du;
    }
    double stall_, scale_ = 1;
    uint64_t state_, left_ = 0;
    bool open_ = false;
};
