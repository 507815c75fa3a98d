// The program around an accelerator that Verilator has compiled: packed frames come in on standard input, packed
// outputs and cycle counts go out on standard output (host/backends/rtl/simulator.py speaks to it). What the model
// itself prints goes to standard error.
//
// Options are key=value: out_words (of a frame); stall (chance that an end pauses in a cycle, 0..1), seed;
// interval (cycles from one frame's first word to the next one's at the input, 0: as fast as it is taken);
// dead (cycles without any transfer), limit (cycles without a frame's end) after which it gives up; trace (file),
// half_ps (half of a clock's period there);
// capacities (comma-separated beats of each stream's queue in models with gauges, 0: no bound).
//
// Records both ways: uint32 tag, uint32 bytes, payload, little-endian. That of frames: uint32 how many, uint32 words of
// each, their words.

#include "Vtop.h"
#include "verilated.h"
#if defined(BITSWATH_FST)
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#elif defined(BITSWATH_VCD)
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#elif defined(BITSWATH_SAIF)
#include "verilated_saif_c.h"
using Trace = VerilatedSaifC;
#endif
#if defined(BITSWATH_FST) || defined(BITSWATH_VCD) || defined(BITSWATH_SAIF)
#define BITSWATH_TRACE
#endif

#include "counters.hpp"
#include "gate.hpp"
#include "options.hpp"
#include "ports.hpp"
#include "queues.hpp"
#include "records.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

namespace {

constexpr unsigned RESET_CYCLES = 40, LINGER_CYCLES = 8, WATCH_CYCLES = 256;
constexpr unsigned ALIVE_CYCLES = 1 << 13;  // between signs of life: less than a minute at 150 cycles a second

class Simulation {
public:
    explicit Simulation(VerilatedContext& context)
        : context_(context),
          top_(&context),
          in_gate_(std::atof(options["stall"].c_str()), 2 * number("seed") + 1),
          out_gate_(std::atof(options["stall"].c_str()), 2 * number("seed") + 2) {
#if defined(BITSWATH_TRACE)
        top_.trace(&trace_, 99);
        trace_.set_time_unit("1ps");
        trace_.set_time_resolution("1ps");
        trace_.open(options["trace"].c_str());
#endif
    }

    void run() {
        reset();
        Record(READY).add(BITSWATH_STREAMS).add(IN_BYTES).add(OUT_BYTES).send();
        inbox_.start();
        for (Message message; next(message);) {
            if (message.tag == FRAMES) accept(message.payload);
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

    void accept(const Bytes& frames) {
        std::vector<uint32_t> numbers(frames.size() / sizeof(uint32_t));
        std::memcpy(numbers.data(), frames.data(), numbers.size() * sizeof(uint32_t));
        const auto counts = numbers.begin() + 1, end = counts + numbers.front();
        if (!outstanding()) quiet_since_ = last_end_ = cycle_;
        frames_given_ += numbers.front();
        in_words_.insert(in_words_.end(), counts, end);
        batches_.emplace_back(frames.begin() + (end - numbers.begin()) * sizeof(uint32_t), frames.end());
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
#if defined(BITSWATH_TRACE)
        trace_.dump(time_);
        time_ += half_ps_;
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
        if (++in_word_ == in_words_.front()) in_word_ = 0, ++frames_in_, in_words_.pop_front();
        if (interval_) not_before_ = interval_ * frames_in_ + (in_word_ ? interval_ * in_word_ / in_words_.front() : 0);
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
#if defined(BITSWATH_TRACE)
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
#if defined(BITSWATH_TRACE)
    Trace trace_;
    const uint64_t half_ps_ = number("half_ps");
    uint64_t time_ = 0;
#endif
    const uint64_t out_words_ = number("out_words");
    const uint64_t interval_ = number("interval"), dead_ = number("dead"), limit_ = number("limit");
    std::deque<Bytes> batches_;      // frames not offered yet
    std::deque<uint32_t> in_words_;  // of frames not taken yet
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
    read_options(count, arguments);
    prepare_queues(BITSWATH_STREAMS);
    VerilatedContext context;
    context.commandArgs(count, arguments);
#if defined(BITSWATH_TRACE)
    context.traceEverOn(true);
#endif
    Simulation(context).run();
}
