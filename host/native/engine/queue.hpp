// Batches for an engine, worked off in order by a thread of their own.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "engine/engine.hpp"

namespace bitswath::emulator {

struct TimeoutFault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct UnknownBatchFault : BackendFault {
    using BackendFault::BackendFault;
};

class Queue {
public:
    // Holds up to `room` frames; a larger batch is taken when there is no other.
    Queue(Engine& engine, int64_t room) : engine_(engine), room_(room) {}
    ~Queue() { close(); }
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    // Its number. A batch alone that is very small and, going by the last one, done in a moment is begun by who waits
    // for it, or by the next one. What `frames` and `sinks` point to must last until the batch was waited for or dropped.
    // Throws TimeoutFault if there is no room in time, BackendFault once closed.
    int64_t submit(const Frames& frames, std::vector<Sink> sinks, double timeout_s);
    // Returns when the batch is done, or throws what it threw, and forgets it; throws TimeoutFault if it is late, and
    // UnknownBatchFault for one that it does not know or that another waiter had. A batch that nobody has begun runs
    // here and now if it is small and, going by the last one, soon done: waking the thread would take longer.
    void wait(int64_t number, double timeout_s);
    // Forgets a batch, done or not; returns when nothing of it runs any more.
    void drop(int64_t number);
    // Drops batches that wait, stops the running one; more than once is fine.
    void close();

private:
    struct Batch {
        Frames frames;
        std::vector<Sink> sinks;
        bool done = false;
        std::atomic<bool> unwanted{false};
        std::exception_ptr error;
    };

    bool fits(int64_t count) const { return frames_ == 0 || frames_ + count <= room_; }
    bool small(const Frames& frames, double most_s) const;
    void serve();
    void run_first(std::unique_lock<std::mutex>& lock);
    void finish(Batch& batch, std::exception_ptr error);

    Engine& engine_;
    const int64_t room_;
    std::mutex mutex_;
    std::condition_variable called_, changed_;
    std::map<int64_t, std::shared_ptr<Batch>> batches_;
    std::deque<std::shared_ptr<Batch>> waiting_;
    int64_t submitted_ = 0, frames_ = 0;
    double frame_s_ = std::numeric_limits<double>::infinity();  // as the last batch took
    bool running_ = false, closed_ = false;
    std::thread thread_;
};

}  // namespace bitswath::emulator
