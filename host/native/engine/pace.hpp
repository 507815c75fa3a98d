// Whether few frames are done sooner by their rows, all workers together, or whole, a worker each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace bitswath::emulator {

// Waking workers and waiting for each other at every step costs more than it gains where frames are short, cores are
// threads of one core, or other work has them. So both ways get turns, and the times they take decide.
class Pace {
public:
    // `least_s`: what takes less whole is left whole; 0: nothing is.
    explicit Pace(double least_s) : least_s_(least_s) {}

    bool by_rows() const {
        if (least_s_ <= 0) return true;
        if (whole_s_ < least_s_) return false;
        const bool pays = rows_s_ < kPays * whole_s_;
        return runs_ % kTurn == kFirst ? !pays : pays;
    }

    void took(bool by_rows, double seconds) {
        double& known = by_rows ? rows_s_ : whole_s_;
        known = std::min(seconds, kFading * known);
        ++runs_;
    }

private:
    static constexpr double kPays = 0.75, kFading = 1.25;  // chance and other work only ever add to a time
    static constexpr int64_t kTurn = 64, kFirst = 4;       // of the way that is not taken, one run in so many

    double least_s_, whole_s_ = std::numeric_limits<double>::infinity(), rows_s_ = whole_s_;
    int64_t runs_ = 0;
};

}  // namespace bitswath::emulator
