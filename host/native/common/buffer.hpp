// Zeroed memory on a cache line's boundary.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace bitswath {

constexpr int64_t kCacheLine = 64;

constexpr int64_t rounded_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Whole cache lines of at least so many bytes.
class Buffer {
public:
    explicit Buffer(int64_t bytes) {
        const auto size = static_cast<size_t>(rounded_up(std::max<int64_t>(bytes, 1), kCacheLine));
        data_.reset(static_cast<uint8_t*>(::operator new[](size, kAligned)));
        std::memset(data_.get(), 0, size);
    }
    uint8_t* data() const { return data_.get(); }

private:
    static constexpr auto kAligned = static_cast<std::align_val_t>(kCacheLine);
    struct Free {
        void operator()(uint8_t* p) const { ::operator delete[](p, kAligned); }
    };
    std::unique_ptr<uint8_t[], Free> data_;
};

}  // namespace bitswath
