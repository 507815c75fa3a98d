// Matrix-vector products: FINN's mvu_vvu_axi (finn-rtllib/mvu) and hw/rtl/products/lut_mvu.sv, each with the memory
// that gives its weights (hw/rtl/streams/rom_stream.sv). A row's product is computed once, when its last step is done.

#pragma once

#include "../stand_ins/models.hpp"
#include "stages.hpp"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <istream>
#include <stdexcept>
#include <string>
#include <vector>

namespace bitswath {

// What `count` bits stand for, by the kinds of models.hpp.
inline int16_t number(uint32_t bits, unsigned count, unsigned kind) {
    if (kind == BIPOLAR) return static_cast<int16_t>(2 * static_cast<int>(bits) - 1);
    if (kind == SIGNED) return static_cast<int16_t>(static_cast<int32_t>(bits << (32 - count)) >> (32 - count));
    return static_cast<int16_t>(bits);
}

inline uint32_t bits_for(uint32_t values) {
    uint32_t bits = 0;
    while ((uint64_t{1} << bits) < values) ++bits;
    return bits;
}

// A matrix (MH, MW), vectors that come SIMD elements a beat, and PE products a beat that wait to be given.
class Product : public Stage {
public:
    Product(Link& in, Link& out, std::istream& text) : Stage(in, out) {
        std::string path;
        read(text, mw_, mh_, pe_, simd_, act_bits_, act_kind_, weight_bits_, weight_kind_, sum_bits_, path);
        steps_ = mw_ / simd_;
        folds_ = mh_ / pe_;
        row_ = (mw_ + 15) / 16 * 16;
        weights_.resize(size_t{mh_} * row_);
        vectors_.resize(3 * size_t{row_} + 1);
        results_ = Ring(64, out.bytes);
        load(path);
    }
    void show_weights(Handshakes& shared, unsigned bit) override { shared_ = &shared, bit_ = bit; }
    void reset() override {
        started_ = head_ = tail_ = fold_ = 0;
        vector_ = written_vector_ = written_ = 0;
    }

protected:
    // Whether the memory gives a beat: from the second cycle on, always.
    bool weights() const { return started_ == 2; }
    // Sets its stream's wires. Whether the memory gets on.
    bool show(bool wanted) {
        shared_->weights_given[bit_] = weights();
        shared_->weights_taken[bit_] = wanted;
        const bool starts = !weights();
        started_ += starts;
        return starts;
    }
    // The next beat of a vector. Three are held, for stages begin with the next one before they end one.
    [[gnu::noinline]] void take(const uint8_t* beat) {
        int16_t* to = &vectors_[written_vector_ * row_ + written_ * simd_];
        if (act_bits_ == 4 && act_kind_ == UNSIGNED) {
            for (unsigned s = 0; s < simd_; s += 2) {
                to[s] = beat[s / 2] & 15;
                to[s + 1] = beat[s / 2] >> 4;
            }
        } else {
            for (unsigned s = 0; s < simd_; ++s)
                to[s] = number(get_bits(beat, size_t{s} * act_bits_, act_bits_), act_bits_, act_kind_);
        }
        if (++written_ < steps_) return;
        written_ = 0;
        written_vector_ = (written_vector_ + 1) % 3;
    }
    // The next PE rows' products.
    [[gnu::noinline]] void finish_rows() {
        uint8_t* result = results_.at(tail_++);
        clear_beat(result, out_.bytes);
        const int16_t* vector = &vectors_[vector_ * row_];
        const int16_t* weights = &weights_[size_t{fold_} * pe_ * row_];
        for (unsigned pe = 0; pe < pe_; ++pe, weights += row_)
            put_bits(result, size_t{pe} * sum_bits_, sum_bits_, dot(weights, vector));
        if (++fold_ < folds_) return;
        fold_ = 0;
        vector_ = (vector_ + 1) % 3;
    }
    // Hands the oldest result to the stream, behind the beat that moves.
    void give(bool moves) { copy_beat(out_.next(moves), results_.at(head_++), out_.bytes); }

    unsigned mw_, mh_, pe_, simd_, steps_, folds_;

private:
    uint32_t dot(const int16_t* weights, const int16_t* vector) const {
        int32_t sum = 0;  // wraps, as the product's accumulator does
        for (unsigned i = 0; i < row_; ++i) sum += weights[i] * vector[i];
        return static_cast<uint32_t>(sum);
    }
    // A line of hexadecimal digits for each step; weight (p, s) at [p][s].
    void load(const std::string& path) {
        std::ifstream file(path);
        std::vector<uint8_t> beat(size_t{pe_} * simd_ * weight_bits_ / 8 + 1 + MARGIN);
        std::string line;
        for (unsigned step = 0; step < folds_ * steps_; ++step) {
            if (!(file >> line)) throw std::runtime_error(path + ": expected a line for each step");
            std::fill(beat.begin(), beat.end(), 0);
            for (size_t digit = 0; digit < line.size() && digit / 2 < beat.size(); ++digit) {
                const char one = line[line.size() - 1 - digit];
                const unsigned value = one <= '9' ? one - '0' : (one | 32) - 'a' + 10;
                beat[digit / 2] |= static_cast<uint8_t>(value << (digit % 2 * 4));
            }
            for (unsigned p = 0; p < pe_; ++p) {
                int16_t* to = &weights_[(size_t{step / steps_} * pe_ + p) * row_ + step % steps_ * simd_];
                for (unsigned s = 0; s < simd_; ++s) {
                    const size_t at = (size_t{p} * simd_ + s) * weight_bits_;
                    to[s] = number(get_bits(beat.data(), at, weight_bits_), weight_bits_, weight_kind_);
                }
            }
        }
    }
    unsigned act_bits_, act_kind_, weight_bits_, weight_kind_, sum_bits_, row_;
    Handshakes* shared_ = nullptr;
    unsigned bit_ = 0, started_ = 0, head_ = 0, tail_ = 0, fold_ = 0, vector_ = 0, written_vector_ = 0, written_ = 0;
    std::vector<int16_t> weights_, vectors_;  // rows filled up with zeros
    Ring results_;
};

class DspProduct final : public Product {
public:
    DspProduct(Link& in, Link& out, std::istream& text)
        : Product(in, out, text),
          depth_(3 + bits_for(simd_) + (simd_ == 1) + 1),
          room_(1u << (steps_ < 2 ? 1 : bits_for(steps_))) {}
    void reset() override {
        Product::reset();
        ends_ = 0;
        stored_ = played_ = freed_ = at_ = repeat_ = waiting_ = 0;
        held_ = held_last_ = valid_ = locked_ = false;
    }
    bool step() override {
        const bool idle = locked_, flow = !idle && weights(), again = folds_ > 1;
        const bool given = again ? held_ : in_.valid(), last = again ? held_last_ : at_ == steps_ - 1;
        const bool given_one = in_.want(again ? stored_ - freed_ != room_ : flow);
        bool changed = show(!idle && given);
        const bool moves = out_.offer(valid_), work = flow && given;
        if (again) changed |= replay(given_one, flow);
        else if (work) {
            take(in_.front());
            at_ = last ? 0 : at_ + 1;
        }
        if (work && last) finish_rows();
        changed |= work || ends_;
        const bool done = ends_ >> (depth_ - 1) & 1, free = moves || !valid_;
        ends_ = (ends_ << 1 | (work && last)) & ((uint64_t{1} << depth_) - 1);
        const bool lock = waiting_ && (!free || locked_);
        changed |= lock != locked_;
        locked_ = lock;
        const bool pop = free && waiting_;
        if (pop) give(valid_);
        if (free) {
            changed |= valid_ || pop;
            valid_ = pop;
        }
        waiting_ += done - pop;
        return changed;
    }

private:
    // The buffer that gives each vector again for every fold (finn-rtllib/mvu/replay_buffer.sv). Whether it moved.
    bool replay(bool write, bool flow) {
        const bool fetch = !held_ || flow, any = played_ != stored_, was_held = held_;
        if (fetch) {
            held_ = any;
            held_last_ = at_ == steps_ - 1;
            if (any) {
                const bool final = repeat_ == folds_ - 1;
                ++played_;
                freed_ += final;
                if (held_last_) {
                    if (!final) played_ -= steps_;
                    repeat_ = final ? 0 : repeat_ + 1;
                    at_ = 0;
                } else ++at_;
            }
        }
        if (write) {
            take(in_.front());
            ++stored_;
        }
        return write || (fetch && (any || was_held));
    }
    const unsigned depth_, room_;
    uint64_t ends_ = 0;  // bit i: the last step of a row was done i + 1 cycles ago
    unsigned stored_ = 0, played_ = 0, freed_ = 0, at_ = 0, repeat_ = 0, waiting_ = 0;
    bool held_ = false, held_last_ = false, valid_ = false, locked_ = false;
};

class LutProduct final : public Product {
public:
    LutProduct(Link& in, Link& out, std::istream& text) : Product(in, out, text) { read(text, latency_); }
    void reset() override {
        Product::reset();
        ends_ = 0;
        column_ = row_ = 0;
        held_ = held_last_ = valid_ = false;
    }
    bool step() override {
        const bool move = out_.offer(valid_) || !valid_, work = move && held_ && weights(), free = !held_ || work;
        const bool load = row_ == 0, fetch = free && (!load || in_.valid()), last = column_ == steps_ - 1;
        in_.want(free && load);
        bool changed = show(move && held_);
        changed |= fetch || work || (move && (ends_ || valid_));
        if (move) {
            if (work && held_last_) finish_rows();
            const bool done = ends_ >> (latency_ - 1) & 1;
            if (done) give(valid_);
            ends_ = (ends_ << 1 | (work && held_last_)) & ((uint64_t{1} << latency_) - 1);
            valid_ = done;
        }
        if (fetch && load) take(in_.front());
        if (fetch) {
            held_last_ = last;
            column_ = last ? 0 : column_ + 1;
            if (last) row_ = row_ == folds_ - 1 ? 0 : row_ + 1;
        }
        if (free) held_ = fetch;
        return changed;
    }

private:
    unsigned latency_, column_ = 0, row_ = 0;
    uint64_t ends_ = 0;  // bit i: the last step of a row was done i + 1 moves ago
    bool held_ = false, held_last_ = false, valid_ = false;
};

}  // namespace bitswath
