// Files of little-endian int64, in which the tests and their programs exchange everything. An array is its length
// and its elements.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

using Words = std::vector<int64_t>;

class Reader {
public:
    explicit Reader(const char* path) {
        std::ifstream file(path, std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        words_.resize(bytes.size() / sizeof(int64_t));
        std::memcpy(words_.data(), bytes.data(), words_.size() * sizeof(int64_t));
    }

    int64_t next() { return words_.at(at_++); }
    Words array() {
        Words words;
        for (int64_t left = next(); left > 0; --left) words.push_back(next());
        return words;
    }
    template <size_t N>
    void fill(std::array<int64_t, N>& values) {
        for (int64_t& value : values) value = next();
    }

private:
    Words words_;
    size_t at_ = 0;
};

class Writer {
public:
    explicit Writer(const char* path) : file_(path, std::ios::binary) {}

    void word(int64_t value) { file_.write(reinterpret_cast<const char*>(&value), sizeof value); }
    template <typename T>
    void array(const std::vector<T>& values) {
        word(static_cast<int64_t>(values.size()));
        for (const T& value : values) word(static_cast<int64_t>(value));
    }
    bool good() const { return file_.good(); }

private:
    std::ofstream file_;
};
