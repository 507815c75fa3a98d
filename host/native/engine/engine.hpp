// Frames through a compiled plan on every thread: whole frames each, or the rows of one frame together.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/buffer.hpp"
#include "engine/crew.hpp"
#include "engine/pace.hpp"
#include "engine/plan.hpp"

namespace bitswath::emulator {

struct BackendFault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Frames as they come: dense packed bytes, or codes as uint8 or int64.
struct Frames {
    const uint8_t* data;
    int64_t count, bytes;
    int bits;   // 0: codes
    bool wide;  // codes are int64
};

// Where a tensor goes, frame after frame.
struct Sink {
    const Plan::Tap* tap;
    uint8_t* data;
    int64_t bytes;  // a frame
};

// Fewer frames than threads that take at least so long are worth a trial of what all threads do together.
constexpr double kRowsFromS = 0.002;

class Engine {
public:
    // `winograd`: whether convolutions may take that form. `rows_from_s`: as `Pace` takes it. Throws NetworkFault for a
    // graph that cannot be run, BackendFault for kernels this CPU does not have.
    Engine(const Graph& graph, const std::string& kernel, int threads, bool fuse, bool winograd,
           double rows_from_s = kRowsFromS);

    // Throws InputFault for a code out of range, BackendFault if `unwanted`, or the engine cancelled, before it is done:
    // then it returns once the steps at hand are done.
    void run(const Frames& frames, const std::vector<Sink>& sinks, const std::atomic<bool>& unwanted);
    void cancel() { cancelled_ = true; }
    // Steps done since it was made: what stands still while something runs, hangs.
    int64_t progress() const;

    // Seconds that loading and then each step takes for these frames on one thread.
    std::vector<double> profile(const Frames& frames);

    const Plan& plan() const { return plan_; }
    const char* kernel() const { return plan_.kernels().name; }
    int threads() const { return static_cast<int>(workers_.size()); }
    int64_t worker_bytes() const { return plan_.arena_bytes() + plan_.scratch_bytes(); }

private:
    struct Worker {
        Buffer arena, scratch;
        int64_t bad_frame = 0, bad_value = 0;
    };

    // A worker's own, on a cache line of its own, so that counting costs nothing.
    class alignas(64) Count {
    public:
        void add() { steps_.store(steps() + 1, std::memory_order_relaxed); }
        int64_t steps() const { return steps_.load(std::memory_order_relaxed); }

    private:
        std::atomic<int64_t> steps_{0};
    };

    Frame frame(int worker) { return {workers_[worker].arena.data(), workers_[worker].scratch.data()}; }
    bool load(const Frames& frames, int64_t index, uint8_t* arena, int64_t& bad) const;
    void run_frames(const Frames& frames, const std::vector<Sink>& sinks, const std::atomic<bool>& unwanted);
    void run_rows(const Frames& frames, const std::vector<Sink>& sinks, const std::atomic<bool>& unwanted);
    void read(const std::vector<Sink>& sinks, int64_t index, uint8_t* arena) const;
    void check(const Frames& frames) const;

    Plan plan_;
    std::vector<Worker> workers_;
    std::vector<Count> done_;
    std::vector<Pace> paces_;  // of fewer frames than threads, by their count
    Crew crew_;
    std::mutex mutex_;
    std::atomic<bool> cancelled_{false};
};

}  // namespace bitswath::emulator
