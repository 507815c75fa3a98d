// Work on consecutive ranges, shared among threads that live for one call.
#pragma once

#include <algorithm>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace bitswath {

// Starting a thread costs some ten microseconds; one per mebibyte read or written is sure to pay.
constexpr int64_t kBytesPerThread = int64_t{1} << 20;

// `asked`, or for 0 as many threads as the work can use.
inline int useful_threads(int asked, int64_t bytes) {
    if (asked > 0) return asked;
    static const int64_t cores = std::max(1u, std::thread::hardware_concurrency());  // asks the system every time
    return static_cast<int>(std::clamp<int64_t>(bytes / kBytesPerThread, 1, cores));
}

// Calls work(first, last) for ranges that make up 0 .. units.
template <class Work>
void over_threads(int64_t units, int threads, const Work& work) {
    const int64_t workers = std::clamp<int64_t>(threads, 1, std::max<int64_t>(units, 1));
    const auto share = [&](int64_t worker) { work(units * worker / workers, units * (worker + 1) / workers); };
    std::vector<std::thread> helpers;
    helpers.reserve(workers);
    int64_t started = 1;
    try {
        for (; started < workers; ++started) helpers.emplace_back(share, started);
    } catch (const std::system_error&) {
        // No more threads to be had: this one does what is left.
    }
    share(0);
    for (; started < workers; ++started) share(started);
    for (auto& helper : helpers) helper.join();
}

}  // namespace bitswath
