// Faults of the memory, and when they strike.

#pragma once

#include "protocol.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

// What was injected; each strikes once so many more beats have passed, so many times in a row.
class Faults {
public:
    void add(FaultKind kind, uint64_t after, uint64_t times) { pending_.push_back({kind, after, times}); }
    void beat() {
        for (auto& fault : pending_)
            if (fault.after) --fault.after;
    }
    bool strikes(FaultKind kind) {
        for (size_t i = 0; i < pending_.size(); ++i) {
            if (pending_[i].kind != kind || pending_[i].after) continue;
            if (--pending_[i].times == 0) pending_.erase(pending_.begin() + static_cast<long>(i));
            return true;
        }
        return false;
    }
    // For good from then on.
    bool holds(FaultKind kind) const {
        for (const auto& fault : pending_)
            if (fault.kind == kind && !fault.after) return true;
        return false;
    }

private:
    struct Fault {
        FaultKind kind;
        uint64_t after, times;
    };
    std::vector<Fault> pending_;
};
