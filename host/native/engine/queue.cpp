#include "engine/queue.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>

namespace bitswath::emulator {
namespace {

constexpr int64_t kSmallBatch = 4;  // frames
constexpr double kSmallBatchS = 0.01, kBriefBatchS = 0.001;
constexpr double kLongestWaitS = 1e9;  // what a clock can still add

std::chrono::steady_clock::time_point deadline(double timeout_s) {
    const auto wait = std::chrono::duration<double>(timeout_s > 0 ? std::min(timeout_s, kLongestWaitS) : 0.0);
    return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(wait);
}

std::string seconds(double value) {
    std::ostringstream text;
    text << value << (std::floor(value) == value ? ".0 s" : " s");
    return text.str();
}

}  // namespace

bool Queue::small(const Frames& frames, double most_s) const {
    return frames.count <= kSmallBatch && static_cast<double>(frames.count) * frame_s_ <= most_s;
}

int64_t Queue::submit(const Frames& frames, std::vector<Sink> sinks, double timeout_s) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!waiting_.empty()) called_.notify_one();
    if (!changed_.wait_until(lock, deadline(timeout_s), [&] { return closed_ || fits(frames.count); }))
        throw TimeoutFault("no room for " + std::to_string(frames.count) + " frames within " + seconds(timeout_s));
    if (closed_) throw BackendFault("the emulator is closed; open it again");
    if (!thread_.joinable()) thread_ = std::thread(&Queue::serve, this);
    auto batch = std::make_shared<Batch>();
    batch->frames = frames;
    batch->sinks = std::move(sinks);
    frames_ += frames.count;
    batches_[submitted_] = batch;
    waiting_.push_back(std::move(batch));
    if (waiting_.size() > 1 || !small(frames, kBriefBatchS)) called_.notify_one();
    return submitted_++;
}

void Queue::wait(int64_t number, double timeout_s) {
    std::unique_lock<std::mutex> lock(mutex_);
    const UnknownBatchFault unknown("ticket " + std::to_string(number) +
                                    " was collected before, or is not of this emulator");
    const auto found = batches_.find(number);
    if (found == batches_.end()) throw unknown;
    const std::shared_ptr<Batch> batch = found->second;
    const bool next = !running_ && !waiting_.empty() && waiting_.front() == batch;
    if (next && small(batch->frames, kSmallBatchS)) run_first(lock);
    if (!changed_.wait_until(lock, deadline(timeout_s), [&batch] { return batch->done; }))
        throw TimeoutFault(std::to_string(batch->frames.count) + " frames were not done within " + seconds(timeout_s) +
                           "; collect them later");
    if (batches_.erase(number) == 0) throw unknown;
    if (batch->error) std::rethrow_exception(batch->error);
}

void Queue::drop(int64_t number) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto found = batches_.find(number);
    if (found == batches_.end()) return;
    const std::shared_ptr<Batch> batch = found->second;
    batches_.erase(found);
    batch->unwanted = true;
    const auto place = std::find(waiting_.begin(), waiting_.end(), batch);
    if (place != waiting_.end()) {
        waiting_.erase(place);
        finish(*batch, nullptr);
    }
    changed_.wait(lock, [&batch] { return batch->done; });
}

void Queue::serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        called_.wait(lock, [this] { return closed_ || (!waiting_.empty() && !running_); });
        if (closed_) return;
        run_first(lock);
    }
}

void Queue::run_first(std::unique_lock<std::mutex>& lock) {
    const std::shared_ptr<Batch> batch = waiting_.front();
    waiting_.pop_front();
    running_ = true;
    lock.unlock();
    std::exception_ptr error;
    const auto started = std::chrono::steady_clock::now();
    try {
        engine_.run(batch->frames, batch->sinks, batch->unwanted);
    } catch (const std::exception&) {
        error = std::current_exception();
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    lock.lock();
    running_ = false;
    frame_s_ = took.count() / static_cast<double>(std::max<int64_t>(batch->frames.count, 1));
    finish(*batch, error);
    if (!waiting_.empty()) called_.notify_one();
}

void Queue::finish(Batch& batch, std::exception_ptr error) {
    batch.done = true;
    batch.error = std::move(error);
    frames_ -= batch.frames.count;
    changed_.notify_all();
}

void Queue::close() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true;
        engine_.cancel();
        for (const auto& batch : waiting_)
            finish(*batch, std::make_exception_ptr(BackendFault("the emulator was closed before this batch ran")));
        waiting_.clear();
    }
    called_.notify_all();
    changed_.notify_all();
    std::thread thread;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        thread.swap(thread_);
    }
    if (thread.joinable()) thread.join();
}

}  // namespace bitswath::emulator
