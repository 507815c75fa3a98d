#include "engine/engine.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace bitswath::emulator {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostThreads = 1024;

Kernels kernels_called(const std::string& name, bool winograd) {
    Kernels kernels;
    if (!find_kernels(name, kernels))
        throw BackendFault("kernel '" + name + "' is not one this CPU can run; leave it at 'auto'");
    if (!winograd) kernels.winograd.clear();
    return kernels;
}

// What a kernel set needs around its use, on the thread that uses it.
class Session {
public:
    explicit Session(const Kernels& kernels) : kernels_(kernels) {
        if (kernels_.enter) kernels_.enter();
    }
    ~Session() {
        if (kernels_.leave) kernels_.leave();
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

private:
    const Kernels& kernels_;
};

}  // namespace

Engine::Engine(const Graph& graph, const std::string& kernel, int threads, bool fuse, bool winograd,
               double rows_from_s)
    : plan_(graph, kernels_called(kernel, winograd), fuse),
      done_(std::clamp(threads, 1, kMostThreads)),
      paces_(done_.size(), Pace(rows_from_s)),
      crew_(static_cast<int>(done_.size())) {
    for (size_t i = 0; i < done_.size(); ++i)
        workers_.push_back({Buffer(plan_.arena_bytes()), Buffer(plan_.scratch_bytes())});
}

bool Engine::load(const Frames& frames, int64_t index, uint8_t* arena, int64_t& bad) const {
    const uint8_t* frame = frames.data + index * frames.bytes;
    if (frames.bits) return plan_.load_packed(arena, frame, frames.bits, bad);
    if (frames.wide) return plan_.load(arena, reinterpret_cast<const int64_t*>(frame), bad);
    return plan_.load(arena, frame, bad);
}

void Engine::read(const std::vector<Sink>& sinks, int64_t index, uint8_t* arena) const {
    for (const Sink& sink : sinks) plan_.read(*sink.tap, arena, sink.data + index * sink.bytes);
}

void Engine::run(const Frames& frames, const std::vector<Sink>& sinks, const std::atomic<bool>& unwanted) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Worker& worker : workers_) worker.bad_frame = frames.count;
    Pace* const pace = frames.count < threads() ? &paces_[frames.count] : nullptr;
    const bool by_rows = pace && pace->by_rows();
    const auto started = Clock::now();
    (this->*(by_rows ? &Engine::run_rows : &Engine::run_frames))(frames, sinks, unwanted);
    if (unwanted) throw BackendFault("the frames were given up");
    check(frames);
    if (pace) pace->took(by_rows, std::chrono::duration<double>(Clock::now() - started).count());
}

void Engine::run_frames(const Frames& frames, const std::vector<Sink>& sinks, const std::atomic<bool>& unwanted) {
    std::atomic<int64_t> next{0}, failed{frames.count};
    const int workers = static_cast<int>(std::clamp<int64_t>(frames.count, 1, threads()));
    crew_.run(workers, [&](int worker, int) {
        const Session session(plan_.kernels());
        const Frame at = frame(worker);
        for (int64_t i; (i = next++) < failed;) {
            if (!load(frames, i, at.arena, workers_[worker].bad_value)) {
                workers_[worker].bad_frame = i;
                for (int64_t first = failed; i < first && !failed.compare_exchange_weak(first, i);) continue;
                return;
            }
            for (const auto& step : plan_.steps()) {
                if (cancelled_ || unwanted) return;
                step->run(at, 0, step->rows());
                done_[worker].add();
            }
            read(sinks, i, at.arena);
        }
    });
}

// All workers in the first one's arena, each with its scratch; a frame's rows are split anew at every step.
void Engine::run_rows(const Frames& frames, const std::vector<Sink>& sinks, const std::atomic<bool>& unwanted) {
    uint8_t* const arena = workers_[0].arena.data();
    for (int64_t i = 0; i < frames.count && !cancelled_ && !unwanted; ++i) {
        if (!load(frames, i, arena, workers_[0].bad_value)) {
            workers_[0].bad_frame = i;
            return;
        }
        const int workers = crew_.muster(threads());  // before the barrier is made: there may be fewer than wanted
        Barrier barrier(workers);
        std::atomic<size_t> end{plan_.steps().size()};  // the first worker's word, said before a barrier, heard behind it
        crew_.run(workers, [&](int worker, int) {
            const Session session(plan_.kernels());
            const Frame at{arena, workers_[worker].scratch.data()};
            for (size_t s = 0; s < end; ++s) {
                const Step& step = *plan_.steps()[s];
                const int64_t rows = step.rows();
                step.run(at, rows * worker / workers, rows * (worker + 1) / workers);
                done_[worker].add();
                if (worker == 0 && (cancelled_ || unwanted)) end = s + 1;
                if (workers > 1) barrier.wait();
            }
        });
        read(sinks, i, arena);
    }
}

int64_t Engine::progress() const {
    return std::accumulate(done_.begin(), done_.end(), int64_t{0},
                           [](int64_t sum, const Count& count) { return sum + count.steps(); });
}

void Engine::check(const Frames& frames) const {
    if (cancelled_) throw BackendFault("the emulator was closed while it ran");
    const auto first = std::min_element(workers_.begin(), workers_.end(), [](const Worker& a, const Worker& b) {
        return a.bad_frame < b.bad_frame;
    });
    if (first->bad_frame < frames.count)
        throw InputFault("frame " + std::to_string(first->bad_frame) + ": expected codes in " +
                         std::to_string(plan_.lo()) + ".." + std::to_string(plan_.hi()) + ", got " +
                         std::to_string(first->bad_value));
}

std::vector<double> Engine::profile(const Frames& frames) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Session session(plan_.kernels());
    std::vector<double> seconds(plan_.steps().size() + 1, 0.0);
    for (Worker& worker : workers_) worker.bad_frame = frames.count;
    auto before = Clock::now();
    const auto lap = [&before] {
        const auto after = Clock::now();
        return std::chrono::duration<double>(after - std::exchange(before, after)).count();
    };
    for (int64_t i = 0; i < frames.count; ++i) {
        if (!load(frames, i, frame(0).arena, workers_[0].bad_value)) {
            workers_[0].bad_frame = i;
            break;
        }
        seconds[0] += lap();
        for (size_t s = 0; s < plan_.steps().size(); ++s) {
            const Step& step = *plan_.steps()[s];
            step.run(frame(0), 0, step.rows());
            seconds[s + 1] += lap();
        }
    }
    check(frames);
    return seconds;
}

}  // namespace bitswath::emulator
