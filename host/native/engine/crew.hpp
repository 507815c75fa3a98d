// Threads that wait for work and do it together.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace bitswath::emulator {

// Lets workers go on only when all have arrived; spins first, since steps are short.
class Barrier {
public:
    explicit Barrier(int workers) : workers_(workers) {}

    void wait() {
        const unsigned round = round_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == workers_) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.fetch_add(1, std::memory_order_release);
            return;
        }
        for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins)
            if (spins > kSpins) std::this_thread::yield();
    }

private:
    static constexpr int kSpins = 2000;
    const int workers_;
    std::atomic<int> arrived_{0};
    std::atomic<unsigned> round_{0};
};

// Up to `size` workers, the caller among them; threads start with the first work that needs them. One `run` at a time,
// in the process that made it.
class Crew {
public:
    explicit Crew(int size) : size_(size) {}
    ~Crew() { dismiss(); }
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    // Calls work(i) for i below the number of workers there are, at most `wanted`; tells `work` how many.
    void run(int wanted, const std::function<void(int worker, int workers)>& work) {
        const int workers = muster(wanted);
        if (workers == 1) return work(0, 1);
        State& state = *state_;
        {
            const std::lock_guard<std::mutex> lock(state.mutex);
            state.work = &work;
            state.workers = workers;
            state.left = static_cast<int>(threads_.size());
            ++state.round;
        }
        state.called.notify_all();
        work(0, workers);
        std::unique_lock<std::mutex> lock(state.mutex);
        state.done.wait(lock, [&state] { return state.left == 0; });
    }

    // Starts threads up to `wanted` workers; returns how many there are, fewer if no more can be had.
    int muster(int wanted) {
        wanted = std::min(wanted, size_);
        while (static_cast<int>(threads_.size()) + 1 < wanted) {
            const int worker = static_cast<int>(threads_.size()) + 1;
            try {
                threads_.push_back(std::make_unique<std::thread>(serve, std::ref(*state_), worker, state_->round));
            } catch (const std::system_error&) {
                break;
            }
        }
        return std::min(wanted, static_cast<int>(threads_.size()) + 1);
    }

private:
    struct State {
        std::mutex mutex;
        std::condition_variable called, done;
        const std::function<void(int, int)>* work = nullptr;
        int workers = 0, left = 0;
        unsigned round = 0;
        bool dismissed = false;
    };

    // In a forked process: the threads and what they wait on are the parent's.
    void abandon() {
        for (auto& thread : threads_) static_cast<void>(thread.release());
        threads_.clear();
        static_cast<void>(state_.release());
    }

    static void serve(State& state, int worker, unsigned seen) {
        std::unique_lock<std::mutex> lock(state.mutex);
        for (;;) {
            state.called.wait(lock, [&] { return state.dismissed || state.round != seen; });
            if (state.dismissed) return;
            seen = state.round;
            const auto* work = state.work;
            const int workers = state.workers;
            lock.unlock();
            if (worker < workers) (*work)(worker, workers);
            lock.lock();
            if (--state.left == 0) state.done.notify_one();
        }
    }

    void dismiss() {
        if (pid_ != getpid()) return abandon();
        {
            const std::lock_guard<std::mutex> lock(state_->mutex);
            state_->dismissed = true;
        }
        state_->called.notify_all();
        for (auto& thread : threads_) thread->join();
    }

    const int size_;
    const pid_t pid_ = getpid();
    std::unique_ptr<State> state_ = std::make_unique<State>();
    std::vector<std::unique_ptr<std::thread>> threads_;
};

}  // namespace bitswath::emulator
