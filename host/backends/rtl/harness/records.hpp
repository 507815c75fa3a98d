// Records to and from the host (simulator.py): uint32 tag, uint32 bytes, payload, little-endian.

#pragma once

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

using Bytes = std::vector<uint8_t>;

enum Request : uint32_t { FRAMES = 1, REPORT = 2 };
enum Reply : uint32_t { READY = 0, FRAME = 1, COUNTERS = 2, STUCK = 3, ALIVE = 4 };
enum Reason : uint64_t { DEAD = 0, LIMIT = 1, EXTRA_WORD = 2, FINISHED = 3 };

inline int out_pipe = -1;

[[noreturn]] inline void quit() { std::_Exit(0); }  // whoever asked is gone

inline void write_all(const void* data, size_t count) {
    auto bytes = static_cast<const uint8_t*>(data);
    while (count) {
        const ssize_t written = ::write(out_pipe, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) quit();
        bytes += written;
        count -= written;
    }
}

inline bool read_all(void* data, size_t count) {
    auto bytes = static_cast<uint8_t*>(data);
    while (count) {
        const ssize_t taken = ::read(STDIN_FILENO, bytes, count);
        if (taken < 0 && errno == EINTR) continue;
        if (taken <= 0) return false;
        bytes += taken;
        count -= taken;
    }
    return true;
}

class Record {
public:
    explicit Record(uint32_t tag) : bytes_(8) { std::memcpy(bytes_.data(), &tag, 4); }
    Record& add(const void* data, size_t count) {
        const auto first = static_cast<const uint8_t*>(data);
        bytes_.insert(bytes_.end(), first, first + count);
        return *this;
    }
    Record& add(uint64_t value) { return add(&value, 8); }
    void send() {
        const uint32_t count = static_cast<uint32_t>(bytes_.size() - 8);
        std::memcpy(bytes_.data() + 4, &count, 4);
        write_all(bytes_.data(), bytes_.size());
    }

private:
    Bytes bytes_;
};

struct Message {
    uint32_t tag;
    Bytes payload;
};

// Requests, taken from the pipe by a thread of their own so that the pipe never fills up while the model runs.
class Inbox {
public:
    void start() { std::thread(&Inbox::receive, this).detach(); }
    bool waiting() const { return count_.load(std::memory_order_relaxed) != 0; }
    // False once there will be no more.
    bool take(Message& message) {
        std::unique_lock<std::mutex> lock(mutex_);
        arrived_.wait(lock, [this] { return !messages_.empty() || ended_; });
        if (messages_.empty()) return false;
        message = std::move(messages_.front());
        messages_.pop_front();
        if (!ended_) --count_;
        return true;
    }

private:
    void receive() {
        uint32_t head[2];
        while (read_all(head, sizeof head)) {
            Message message{head[0], Bytes(head[1])};
            if (!read_all(message.payload.data(), message.payload.size())) break;
            std::lock_guard<std::mutex> lock(mutex_);
            messages_.push_back(std::move(message));
            ++count_;
            arrived_.notify_one();
        }
        std::lock_guard<std::mutex> lock(mutex_);
        ended_ = true;
        ++count_;
        arrived_.notify_one();
    }

    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Message> messages_;
    std::atomic<size_t> count_{0};
    bool ended_ = false;
};
