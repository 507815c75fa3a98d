// Stages that move and compare: padding, windows, widths, thresholds, pools. Each is one clocked automaton, the same
// in the same cycles as the module whose name and parameters it has (stand_ins/*.sv, hw/rtl/windows/max_pool.sv).

#pragma once

#include "link.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <istream>
#include <stdexcept>
#include <string>
#include <vector>

namespace bitswath {

class Stage {
public:
    Stage(Link& in, Link& out) : in_(in), out_(out) {}
    virtual ~Stage() = default;
    virtual void reset() = 0;
    // One cycle: sets the wires of both streams by their registers, and goes to its next state. Whether anything
    // changed: if not, nothing will before a register of a stream does.
    virtual bool step() = 0;

    // Where to show the wires of the weights' stream.
    virtual void show_weights(Handshakes&, unsigned) {}

protected:
    Link &in_, &out_;
};

template <class... Values> void read(std::istream& text, Values&... values) {
    (text >> ... >> values);
    if (!text) throw std::runtime_error("expected another parameter of a stage");
}

class Padding final : public Stage {
public:
    Padding(Link& in, Link& out, std::istream& text) : Stage(in, out), aside_(1, in.bytes) {
        read(text, folds_, x_on_, x_off_, x_end_, y_on_, y_off_, y_end_);
    }
    void reset() override {
        fold_ = x_ = y_ = 0;
        forward_ = is_forward();
        held_ = valid_ = false;
    }
    bool step() override {
        const bool take = in_.want(!held_), free = !valid_ || out_.ready(), was_held = held_;
        const bool given = take || held_ || !forward_;
        out_.offer(valid_);
        if (free && given) {
            uint8_t* beat = out_.next(valid_);
            if (!forward_) clear_beat(beat, out_.bytes);
            else copy_beat(beat, held_ ? aside_.at(0) : in_.front(), out_.bytes);
        }
        if (take) copy_beat(aside_.at(0), in_.front(), in_.bytes);
        if (held_ || take) held_ = !free || !forward_;
        if (!free || !(given || valid_)) return held_ != was_held;
        valid_ = given;
        if (given) advance();
        return true;
    }

private:
    bool is_forward() const { return x_on_ <= x_ && x_ < x_off_ && y_on_ <= y_ && y_ < y_off_; }
    void advance() {
        if (++fold_ < folds_) return;
        fold_ = 0;
        if (++x_ > x_end_) {
            x_ = 0;
            y_ = y_ == y_end_ ? 0 : y_ + 1;
        }
        forward_ = is_forward();
    }
    unsigned folds_, x_on_, x_off_, x_end_, y_on_, y_off_, y_end_;
    unsigned fold_ = 0, x_ = 0, y_ = 0;
    bool forward_ = false, held_ = false, valid_ = false;
    Ring aside_;
};

// Joins beats, or cuts them; one width is a multiple of the other.
class Widths final : public Stage {
public:
    Widths(Link& in, Link& out, std::istream& text) : Stage(in, out) {
        read(text, in_bits_, out_bits_);
        cut_ = Ring(2, in.bytes);
    }
    void reset() override {
        held_ = begin_ = 0;
        beat_ = 0;
    }
    bool step() override {
        const bool full = held_ >= out_bits_, take = in_.want(held_ <= out_bits_), give = out_.offer(full);
        if (in_bits_ < out_bits_) {
            if (take) join(full);
        } else {
            if (give) cut();
            if (take) copy_beat(cut_.at(beat_ + (held_ > (give ? out_bits_ : 0))), in_.front(), in_.bytes);
        }
        held_ += (take ? in_bits_ : 0) - (give ? out_bits_ : 0);
        return take | give;
    }

private:
    [[gnu::noinline]] void join(bool full) {
        const unsigned at = held_ - (full ? out_bits_ : 0);
        uint8_t* beat = out_.next(full);
        if (at == 0) clear_beat(beat, out_.bytes);
        copy_bits(beat, at, in_.front(), 0, in_bits_);
    }
    [[gnu::noinline]] void cut() {
        uint8_t* beat = out_.next(0);
        beat[out_.bytes - 1] = 0;
        copy_bits(beat, 0, cut_.at(beat_), begin_, out_bits_);
        begin_ += out_bits_;
        if (begin_ == in_bits_) begin_ = 0, ++beat_;
    }
    unsigned in_bits_, out_bits_, held_ = 0, begin_ = 0, beat_ = 0;
    Ring cut_;
};

class Window final : public Stage {
public:
    Window(Link& in, Link& out, std::istream& text) : Stage(in, out) {
        read(text, last_read_, last_write_, total_, per_window_);
        read(text, loops_[H], loops_[W], loops_[KH], loops_[KW], loops_[SIMD]);
        read(text, head_[SIMD], head_[KW], head_[KH], head_[W], head_[H], tail_w_, tail_h_, tail_last_);
        read(text, depthwise_, innermost_);
        buffer_ = Ring(total_, in.bytes);
    }
    void reset() override {
        restart_loops();
        newest_ = -1;
        current_ = first_next_ = position_ = read_ = write_ = 0;
        reading_last_ = last_read_ == 0;
        reading_done_ = writing_done_ = fetching_done_ = false;
        fetched_ = may_fetch_ = false;
        may_read_ = true;
    }
    bool step() override {
        const bool read = in_.want(may_read_ && in_.valid()), write = out_.offer(fetched_);
        const bool fetch = may_fetch_ && (!fetched_ || write);
        if (!read && !fetch && !write) return false;
        const bool was_last = reading_last_, was_done = reading_done_;
        const bool was_fetching_done = fetching_done_, was_writing_done = writing_done_;
        bool restart = false;
        if (fetch) copy_beat(out_.next(fetched_), buffer_.at(read_), out_.bytes);
        if (read) {
            copy_beat(buffer_.at(write_), in_.front(), in_.bytes);
            write_ = was_last || write_ == total_ - 1 ? 0 : write_ + 1;
            if (was_last && was_writing_done) {
                restart = true;
                restart_output();
                writing_done_ = false;
            }
        }
        if (fetch) fetch_step();
        if (fetch || write) fetched_ = fetch;
        if (write && was_fetching_done) {
            if (was_done || (read && was_last)) {
                restart = true;
                restart_output();
            } else writing_done_ = true;
        }
        if (restart) {
            newest_ = -1;
            reading_last_ = last_read_ == 0;
            reading_done_ = false;
        } else if (read) {
            reading_last_ = (~newest_ & (last_read_ - 2)) == 0 && !was_last && newest_ >= 0;
            reading_done_ = was_last;
            ++newest_;
        }
        const int oldest = newest_ - total_ + 1;
        may_read_ = !reading_done_ && (fetching_done_ || (oldest < first_next_ && oldest < current_));
        may_fetch_ = current_ <= newest_ && !fetching_done_;
        return true;
    }

private:
    enum Loop { SIMD, KW, KH, W, H, NONE };
    void restart_loops() {
        state_ = innermost_;
        for (int loop = SIMD; loop < NONE; ++loop) left_[loop] = loops_[loop];
    }
    void advance_loops() {
        if (state_ != innermost_) {
            state_ = innermost_;
            return;
        }
        if (left_[SIMD] >= 0) {
            --left_[SIMD];
            return;
        }
        left_[SIMD] = loops_[SIMD];
        int loop = KW;
        while (loop < NONE && left_[loop] < 0) left_[loop] = loops_[loop], ++loop;
        state_ = loop;
        if (loop < NONE) --left_[loop];
    }
    void restart_output() { current_ = read_ = first_next_ = 0, fetching_done_ = false; }
    void fetch_step() {
        const int step = state_ < NONE ? head_[state_] : 0;
        if (position_ == 0) {
            if (depthwise_ && left_[KH] >= 0) first_next_ += 1;
            else first_next_ += left_[W] >= 0 ? tail_w_ : left_[H] >= 0 ? tail_h_ : tail_last_;
        }
        position_ = position_ == per_window_ - 1 ? 0 : position_ + 1;
        read_ += step;
        if (read_ >= total_) read_ -= total_;
        else if (read_ < 0) read_ += total_;
        if (current_ == last_write_) fetching_done_ = true;
        else current_ += step;
        advance_loops();
    }
    int last_read_, last_write_, total_, per_window_, tail_w_, tail_h_, tail_last_, innermost_;
    int loops_[NONE], head_[NONE], left_[NONE];
    bool depthwise_;
    int state_ = 0, newest_ = -1, current_ = 0, first_next_ = 0, position_ = 0, read_ = 0, write_ = 0;
    bool reading_last_ = false, reading_done_ = false, writing_done_ = false, fetching_done_ = false;
    bool fetched_ = false, may_read_ = true, may_fetch_ = false;
    Ring buffer_;
};

class Thresholds final : public Stage {
public:
    Thresholds(Link& in, Link& out, std::istream& text) : Stage(in, out) {
        std::string path;
        read(text, in_bits_, bits_, count_, folds_, pe_, signed_, bias_, deep_, out_bits_, path);
        for (depth_ = 0; 1u << depth_ <= count_; ++depth_) {}
        latency_ = (deep_ + 1) * depth_;
        room_ = latency_ + 3;
        half_ = signed_ ? int64_t{1} << (bits_ - 1) : 0;
        top_ = (int64_t{1} << bits_) - 1;
        results_ = Ring(room_, out.bytes);
        trees_.resize(size_t{folds_} * pe_ << depth_);
        for (unsigned pe = 0; pe < pe_; ++pe)
            for (unsigned level = 0; level < depth_; ++level) load(path, pe, level);
    }
    void reset() override {
        searching_ = found_ = pending_ = fold_ = head_ = tail_ = 0;
        valid_ = false;
    }
    bool step() override {
        const bool take = in_.want(pending_ != room_), give = out_.offer(valid_);
        const bool load = !valid_ || give, move = load && found_ != 0;
        if (!take && !searching_ && !found_ && !give) return false;
        if (move) copy_beat(out_.next(give), results_.at(head_++), out_.bytes);
        found_ += (searching_ >> (latency_ - 1) & 1) - move;
        searching_ = (searching_ << 1 | take) & ((uint64_t{1} << latency_) - 1);
        pending_ += take - give;
        if (load) valid_ = move;
        if (take) search(results_.at(tail_++));
        return true;
    }

private:
    [[gnu::noinline]] void search(uint8_t* result) {
        clear_beat(result, out_.bytes);
        const int64_t* tree = &trees_[size_t{fold_} * pe_ << depth_];
        for (unsigned pe = 0; pe < pe_; ++pe, tree += size_t{1} << depth_) {
            const int64_t value = number(get_bits(in_.front(), size_t{pe} * in_bits_, in_bits_));
            size_t node = 1;
            for (unsigned level = 0; level < depth_; ++level) node = 2 * node + (tree[node] <= value);
            const auto found = static_cast<uint32_t>(node - (size_t{1} << depth_));
            put_bits(result, size_t{pe} * out_bits_, out_bits_, found + bias_);
        }
        fold_ = fold_ == folds_ - 1 ? 0 : fold_ + 1;
    }
    // From 0 on; thresholds may have fewer bits, what is beyond them saturates.
    int64_t number(uint32_t bits) const {
        const unsigned spare = 32 - in_bits_;
        const int64_t value = signed_ ? static_cast<int32_t>(bits << spare) >> spare : int64_t{bits};
        return std::clamp<int64_t>(value + half_, 0, top_);
    }
    // A level of the search tree of every fold, filled up so that the tree has 2**depth - 1 thresholds.
    void load(const std::string& path, unsigned pe, unsigned level) {
        const std::string name = path + "threshs_" + std::to_string(pe) + "_" + std::to_string(level) + ".dat";
        std::ifstream file(name);
        const uint32_t nodes = 1u << level, flip = signed_ ? 1u << (bits_ - 1) : 0;
        const uint32_t beyond = ((1u << (depth_ - level - 1)) + (1u << depth_) - 1 - count_) >> (depth_ - level);
        for (unsigned fold = 0; fold < folds_; ++fold)
            for (uint32_t node = 0; node < nodes; ++node) {
                uint32_t bits;
                if (!(file >> std::hex >> bits)) throw std::runtime_error(name + ": expected another threshold");
                int64_t& threshold = trees_[((size_t{fold} * pe_ + pe) << depth_) + nodes + node];
                threshold = node < nodes - beyond ? int64_t{bits ^ flip} : top_ + 1;
            }
    }
    unsigned in_bits_, bits_, count_, pe_, folds_, out_bits_, depth_, latency_, room_;
    bool signed_, deep_;
    int bias_;
    int64_t half_, top_;
    uint64_t searching_ = 0;  // bit i: for i + 1 cycles
    unsigned found_ = 0, pending_ = 0, fold_ = 0, head_ = 0, tail_ = 0;
    bool valid_ = false;
    std::vector<int64_t> trees_;  // by fold, by PE, from 1 on
    Ring results_;
};

class MaxPool final : public Stage {
public:
    MaxPool(Link& in, Link& out, std::istream& text) : Stage(in, out) {
        read(text, pe_, window_, bits_, signed_);
        best_.resize(pe_);
    }
    void reset() override { count_ = 0, valid_ = false; }
    bool step() override {
        const bool give = out_.offer(valid_), free = !valid_ || give;
        const bool take = in_.want(free), last = take && count_ == window_ - 1;
        if (!take && !give) return false;
        if (take) {
            const uint32_t flip = signed_ ? 1u << (bits_ - 1) : 0;
            for (unsigned pe = 0; pe < pe_; ++pe) {
                const uint32_t value = get_bits(in_.front(), pe * bits_, bits_) ^ flip;
                best_[pe] = count_ == 0 || value > best_[pe] ? value : best_[pe];
            }
            if (last) {
                uint8_t* beat = out_.next(give);
                clear_beat(beat, out_.bytes);
                for (unsigned pe = 0; pe < pe_; ++pe) put_bits(beat, pe * bits_, bits_, best_[pe] ^ flip);
            }
            count_ = last ? 0 : count_ + 1;
        }
        if (free) valid_ = last;
        return true;
    }

private:
    unsigned pe_, window_, bits_, count_ = 0;
    bool signed_, valid_ = false;
    std::vector<uint32_t> best_;
};

}  // namespace bitswath
