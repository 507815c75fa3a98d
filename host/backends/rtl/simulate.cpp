// The program around an accelerator that Verilator has compiled: packed frames come in on standard input, packed
// outputs and cycle counts go out on standard output (host/backends/rtl/simulator.py speaks to it). What the model
// itself prints goes to standard error.
//
// Options are key=value: in_words, out_words (of a frame); stall (chance that an end pauses in a cycle, 0..1), seed;
// interval (cycles from one frame's first word to the next one's at the input, 0: as fast as it is taken);
// dead (cycles without any transfer), limit (cycles without a frame's end) after which it gives up; trace (file);
// capacities (comma-separated beats of each stream's queue in models with gauges, 0: no bound).
//
// Records both ways: uint32 tag, uint32 bytes, payload, little-endian.

#include "Vtop.h"
#include "verilated.h"
#if defined(BITSWATH_FST)
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#elif defined(BITSWATH_VCD)
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#endif

#include <unistd.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <condition_variable>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using Bytes = std::vector<uint8_t>;

enum Request : uint32_t { FRAMES = 1, REPORT = 2 };
enum Reply : uint32_t { READY = 0, FRAME = 1, COUNTERS = 2, STUCK = 3, ALIVE = 4 };
enum Reason : uint64_t { DEAD = 0, LIMIT = 1, EXTRA_WORD = 2, FINISHED = 3 };

// ---------------------------------------------------------------- ports

template <class Port> constexpr size_t bytes_of() { return sizeof(std::remove_reference_t<Port>); }

template <class Port> void put(Port& port, const uint8_t* bytes, size_t count) {
    std::memcpy(reinterpret_cast<uint8_t*>(&port), bytes, count);
}

template <class Port> void get(const Port& port, uint8_t* bytes, size_t count) {
    std::memcpy(bytes, reinterpret_cast<const uint8_t*>(&port), count);
}

using Probe = std::remove_reference_t<decltype(std::declval<Vtop&>().probe_valid)>;
constexpr size_t PROBE_WORDS = (sizeof(Probe) + 7) / 8;
using Bits = std::array<uint64_t, PROBE_WORDS>;

Bits bits_of(const Probe& probe) {
    Bits bits{};
    std::memcpy(bits.data(), &probe, sizeof(Probe));
    return bits;
}

// ---------------------------------------------------------------- options

std::map<std::string, std::string> options;

uint64_t number(const char* name) {
    const auto found = options.find(name);
    return found == options.end() ? 0 : std::strtoull(found->second.c_str(), nullptr, 10);
}

std::vector<uint32_t> capacities, high_waters;

}  // namespace

#ifdef BITSWATH_GAUGES
extern "C" unsigned int bitswath_capacity(int index) {
    return static_cast<size_t>(index) < capacities.size() ? capacities[index] : 0;
}
extern "C" void bitswath_high_water(int index, unsigned int beats) { high_waters[index] = beats; }
#endif

namespace {

// ---------------------------------------------------------------- pipes

int out_pipe = -1;

[[noreturn]] void quit() { std::_Exit(0); }  // whoever asked is gone

void write_all(const void* data, size_t count) {
    auto bytes = static_cast<const uint8_t*>(data);
    while (count) {
        const ssize_t written = ::write(out_pipe, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) quit();
        bytes += written;
        count -= written;
    }
}

bool read_all(void* data, size_t count) {
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

// ---------------------------------------------------------------- counting

// For each of 64 bits, in how many of the words given it was set. Bit-sliced: eight words are added up by carry-save
// adders (Harley and Seal), the carry then ripples through planes of which each holds one digit of 64 counts.
class Counter64 {
public:
    void add8(const uint64_t* words, size_t stride) {
        auto word = [&](size_t i) { return words[i * stride]; };
        const auto [ones_a, twos_a] = add(ones_, word(0), word(1));
        const auto [ones_b, twos_b] = add(ones_a, word(2), word(3));
        const auto [ones_c, twos_c] = add(ones_b, word(4), word(5));
        const auto [ones_d, twos_d] = add(ones_c, word(6), word(7));
        const auto [twos_e, fours_a] = add(twos_, twos_a, twos_b);
        const auto [twos_f, fours_b] = add(twos_e, twos_c, twos_d);
        const auto [fours, eights] = add(fours_, fours_a, fours_b);
        ones_ = ones_d, twos_ = twos_f, fours_ = fours;
        uint64_t carry = eights;
        for (size_t plane = 0; carry; ++plane) {
            const uint64_t next = planes_[plane] & carry;
            planes_[plane] ^= carry;
            carry = next;
        }
    }
    uint64_t count(unsigned bit) const {
        auto digit = [bit](uint64_t plane) { return plane >> bit & 1; };
        uint64_t total = digit(ones_) + 2 * digit(twos_) + 4 * digit(fours_);
        for (size_t plane = 0; plane < planes_.size(); ++plane) total += digit(planes_[plane]) << (plane + 3);
        return total;
    }

private:
    static std::pair<uint64_t, uint64_t> add(uint64_t a, uint64_t b, uint64_t c) {
        const uint64_t half = a ^ b;
        return {half ^ c, (a & b) | (half & c)};
    }
    uint64_t ones_ = 0, twos_ = 0, fours_ = 0;
    std::array<uint64_t, 48> planes_{};
};

// Of every stream: cycles in which a beat moved, in which the source waited, in which the sink waited.
class Counters {
public:
    void sample(const Vtop& top) {
        const Bits valid = bits_of(top.probe_valid), ready = bits_of(top.probe_ready);
        const Bits sink_valid = bits_of(top.probe_sink_valid), sink_ready = bits_of(top.probe_sink_ready);
        uint64_t moved = 0;
        for (size_t w = 0; w < PROBE_WORDS; ++w) {
            samples_[0][held_][w] = valid[w] & ready[w];
            samples_[1][held_][w] = valid[w] & ~ready[w];
            samples_[2][held_][w] = sink_ready[w] & ~sink_valid[w];
            moved |= samples_[0][held_][w] | (sink_valid[w] & sink_ready[w]);
        }
        moved_ |= moved;
        if (++held_ == 8) flush();
    }
    // Whether any beat moved since this was asked last.
    bool moved() { return std::exchange(moved_, 0) != 0; }
    void write(Record& record) {
        while (held_) {  // samples without a bit change no count
            for (auto& kind : samples_) kind[held_] = Bits{};
            if (++held_ == 8) flush();
        }
        for (const auto& kind : counters_)
            for (size_t stream = 0; stream < BITSWATH_STREAMS; ++stream)
                record.add(kind[stream / 64].count(stream % 64));
    }

private:
    void flush() {
        for (size_t kind = 0; kind < 3; ++kind)
            for (size_t w = 0; w < PROBE_WORDS; ++w) counters_[kind][w].add8(&samples_[kind][0][w], PROBE_WORDS);
        held_ = 0;
    }
    std::array<std::array<Bits, 8>, 3> samples_{};
    std::array<std::array<Counter64, PROBE_WORDS>, 3> counters_{};
    size_t held_ = 0;
    uint64_t moved_ = 0;
};

// ---------------------------------------------------------------- stalls

// Open in a share of the cycles, in runs of random length; most runs are short, some last hundreds of cycles.
class Gate {
public:
    Gate(double stall, uint64_t seed) : stall_(stall), state_(seed * 0x9E3779B97F4A7C15u + 1) {}
    bool open() {
        if (stall_ <= 0) return true;
        if (left_ == 0) begin_run();
        --left_;
        return open_;
    }

private:
    void begin_run() {
        open_ = !open_;
        if (open_) scale_ = std::array<double, 8>{1, 1, 1, 1, 3, 3, 16, 100}[next() >> 61];
        const double mean = scale_ * (open_ ? (1 - stall_) / std::min(stall_, 1 - stall_)
                                            : stall_ / std::min(stall_, 1 - stall_));
        const double uniform = (static_cast<double>(next() >> 11) + 0.5) / 9007199254740992.0;
        left_ = mean <= 1 ? 1 : 1 + static_cast<uint64_t>(std::log(uniform) / std::log1p(-1 / mean));
    }
    uint64_t next() {  // xorshift64*
        state_ ^= state_ >> 12, state_ ^= state_ << 25, state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Du;
    }
    double stall_, scale_ = 1;
    uint64_t state_, left_ = 0;
    bool open_ = false;
};

// ---------------------------------------------------------------- the simulation

constexpr unsigned RESET_CYCLES = 40, LINGER_CYCLES = 8, WATCH_CYCLES = 256;
constexpr unsigned ALIVE_CYCLES = 1 << 13;  // between signs of life: less than a minute at 150 cycles a second

class Simulation {
public:
    explicit Simulation(VerilatedContext& context)
        : context_(context),
          top_(&context),
          in_gate_(std::atof(options["stall"].c_str()), 2 * number("seed") + 1),
          out_gate_(std::atof(options["stall"].c_str()), 2 * number("seed") + 2) {
#if defined(BITSWATH_FST) || defined(BITSWATH_VCD)
        top_.trace(&trace_, 99);
        trace_.open(options["trace"].c_str());
#endif
    }

    void run() {
        reset();
        Record(READY).add(BITSWATH_STREAMS).add(IN_BYTES).add(OUT_BYTES).send();
        inbox_.start();
        for (Message message; next(message);) {
            if (message.tag == FRAMES) accept(std::move(message.payload));
            if (message.tag == REPORT) report();
        }
        finish();
    }

private:
    static constexpr size_t IN_BYTES = (BITSWATH_IN_WIDTH + 7) / 8, OUT_BYTES = (BITSWATH_OUT_WIDTH + 7) / 8;

    // The next message; works off the frames while there is none.
    bool next(Message& message) {
        while (outstanding()) {
            if (inbox_.waiting() && !reports_next_) {
                if (!inbox_.take(message)) break;
                if (message.tag == FRAMES) return true;
                reports_next_ = true;  // once the frames before it are done
            }
            cycle();
        }
        if (reports_next_) {
            reports_next_ = false;
            message = Message{REPORT, {}};
            return true;
        }
        if (!inbox_.waiting()) linger();
        return inbox_.take(message);
    }

    bool outstanding() const { return frames_out_ < frames_given_; }

    void accept(Bytes frames) {
        const size_t frame_bytes = in_words_ * IN_BYTES;
        if (!outstanding()) quiet_since_ = last_end_ = cycle_;
        frames_given_ += frames.size() / frame_bytes;
        batches_.push_back(std::move(frames));
    }

    void reset() {
        top_.rst_n = 0;
        top_.s_axis_tvalid = 0;
        top_.m_axis_tready = 0;
        for (unsigned i = 0; i < RESET_CYCLES; ++i) {
            low();
            high();
        }
        top_.rst_n = 1;
        low();
        high();  // fast models have the reset in a register
    }

    void low() {
        top_.clk = 0;
        top_.eval();
        dump();
    }
    void high() {
        top_.clk = 1;
        top_.eval();
        dump();
    }
    void dump() {
#if defined(BITSWATH_FST) || defined(BITSWATH_VCD)
        trace_.dump(time_++);
#endif
    }

    void cycle() {
        if (!offered_ && !batches_.empty() && in_gate_.open() && cycle_ >= not_before_) offer();
        const bool open = out_gate_.open();
        top_.m_axis_tready = open;
        low();
        counters_.sample(top_);
        const bool taken = offered_ && top_.s_axis_tready;
        if (open && top_.m_axis_tvalid) take_word();
        if (taken && in_word_ == 0) first_in_.push_back(cycle_);
        high();
        if (taken) advance();
        if (++cycle_ % WATCH_CYCLES == 0) watch();
    }

    void offer() {
        put(top_.s_axis_tdata, batches_.front().data() + in_byte_, IN_BYTES);
        top_.s_axis_tvalid = 1;
        offered_ = true;
    }

    void advance() {
        offered_ = false;
        top_.s_axis_tvalid = 0;
        if (++in_word_ == in_words_) in_word_ = 0, ++frames_in_;
        if (interval_) not_before_ = interval_ * frames_in_ + interval_ * in_word_ / in_words_;
        in_byte_ += IN_BYTES;
        if (in_byte_ == batches_.front().size()) {
            batches_.pop_front();
            in_byte_ = 0;
        }
    }

    void take_word() {
        if (first_in_.empty()) stuck(EXTRA_WORD);
        get(top_.m_axis_tdata, output_.data() + out_word_ * OUT_BYTES, OUT_BYTES);
        if (++out_word_ < out_words_) return;
        out_word_ = 0;
        ++frames_out_;
        last_end_ = cycle_;
        Record(FRAME).add(first_in_.front()).add(cycle_).add(output_.data(), output_.size()).send();
        first_in_.pop_front();
    }

    // With nothing to do no word may come. These cycles are not counted: how many there are is up to the host.
    void linger() {
        top_.s_axis_tvalid = 0;
        top_.m_axis_tready = 0;
        for (unsigned i = 0; i < LINGER_CYCLES; ++i) {
            low();
            if (top_.m_axis_tvalid) stuck(EXTRA_WORD);
            high();
        }
    }

    void watch() {
        if (counters_.moved()) quiet_since_ = cycle_;
        if (cycle_ - quiet_since_ >= dead_) stuck(DEAD);
        if (cycle_ - last_end_ >= limit_) stuck(LIMIT);
        if (context_.gotFinish()) stuck(FINISHED);
        if (cycle_ % ALIVE_CYCLES == 0) Record(ALIVE).add(cycle_).send();
    }

    void report() {
        Record record(COUNTERS);
        record.add(cycle_);
        counters_.write(record);
        for (size_t stream = 0; stream < BITSWATH_STREAMS; ++stream) record.add(high_waters[stream]);
        record.send();
    }

    // The state of every stream goes out, and the program ends: from here nothing more can come.
    [[noreturn]] void stuck(Reason reason) {
        Record record(STUCK);
        record.add(reason).add(cycle_).add(frames_in_).add(frames_out_).add(in_word_).add(out_word_);
        counters_.write(record);
        for (const Probe* probe : {&top_.probe_valid, &top_.probe_ready, &top_.probe_sink_valid, &top_.probe_sink_ready})
            for (size_t stream = 0; stream < BITSWATH_STREAMS; ++stream)
                record.add(bits_of(*probe)[stream / 64] >> (stream % 64) & 1);
        record.send();
        finish();
    }

    [[noreturn]] void finish() {
        top_.final();
#if defined(BITSWATH_FST) || defined(BITSWATH_VCD)
        trace_.close();
#endif
        std::fflush(nullptr);
        std::_Exit(0);
    }

    VerilatedContext& context_;
    Vtop top_;
    Gate in_gate_, out_gate_;
    Inbox inbox_;
    Counters counters_;
#if defined(BITSWATH_FST) || defined(BITSWATH_VCD)
    Trace trace_;
    uint64_t time_ = 0;
#endif
    const uint64_t in_words_ = number("in_words"), out_words_ = number("out_words");
    const uint64_t interval_ = number("interval"), dead_ = number("dead"), limit_ = number("limit");
    std::deque<Bytes> batches_;      // frames not offered yet
    std::deque<uint64_t> first_in_;  // of frames under way: cycle of the first word
    Bytes output_ = Bytes(out_words_ * OUT_BYTES);
    uint64_t cycle_ = 0, not_before_ = 0, quiet_since_ = 0, last_end_ = 0;
    uint64_t frames_given_ = 0, frames_in_ = 0, frames_out_ = 0;
    uint64_t in_word_ = 0, out_word_ = 0, in_byte_ = 0;
    bool offered_ = false, reports_next_ = false;
};

}  // namespace

int main(int count, char** arguments) {
    out_pipe = ::dup(STDOUT_FILENO);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        const auto equals = argument.find('=');
        if (argument[0] != '+' && equals != std::string::npos) options[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
    const std::string& listed = options["capacities"];
    for (size_t at = 0; at < listed.size(); at = std::min(listed.find(',', at), listed.size() - 1) + 1)
        capacities.push_back(static_cast<uint32_t>(std::strtoul(listed.c_str() + at, nullptr, 10)));
    high_waters.resize(BITSWATH_STREAMS);
    VerilatedContext context;
    context.commandArgs(count, arguments);
#if defined(BITSWATH_FST) || defined(BITSWATH_VCD)
    context.traceEverOn(true);
#endif
    Simulation(context).run();
}
