// The program around a shell (hw/generating/shell.py) that Verilator has compiled: memory behind its AXI masters, accesses to its
// registers on request (host/simulated/process.py asks). The clock runs while an engine or the memory has something to
// do; then the program sleeps. What the model itself prints goes to standard error.
//
// Options are key=value: memory (descriptor of shared memory), base, bytes; stall (share of cycles in which the memory
// pauses, 0..1), seed; quiet (cycles without any movement on the bus after which the clock stops, though an engine
// runs); seen0, signal0, seen1, signal1 (the two ends of a pipe for each engine, which holds a byte while its interrupt
// line is high).
//
// Requests and replies are structs of little-endian integers, below. One request is under way at a time.

#include "Vtop.h"
#include "verilated.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace {

enum Kind : uint32_t { STATUS = 0, READ = 1, WRITE = 2, INJECT = 3 };
enum FaultKind : uint32_t { NEVER_DONE = 0, READ_ERROR = 1, WRITE_ERROR = 2, HANG = 3, RESET = 4 };

struct Request {
    uint32_t kind, engine, offset, value;  // INJECT: kind of fault, after, times
};
struct Reply {
    uint32_t value, interrupts;
    uint64_t cycles;
};

enum Response : uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };

constexpr size_t IN_BYTES = BITSWATH_IN_WIDTH / 8, OUT_BYTES = BITSWATH_OUT_WIDTH / 8;
constexpr unsigned RESET_CYCLES = 40, LINGER_CYCLES = 64, POLL_CYCLES = 32, ACCESS_CYCLES = 1000;
constexpr unsigned LATENCY = 20, LATENCY_SPREAD = 21, QUEUE = 8, WRITE_LATENCY = 8;

std::map<std::string, std::string> options;

uint64_t number(const char* name) { return std::strtoull(options[name].c_str(), nullptr, 10); }

[[noreturn]] void fail(const char* why) {
    std::fprintf(stderr, "%s\n", why);
    std::_Exit(1);
}

// ---------------------------------------------------------------- memory

class Random {
public:
    explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
    uint64_t next() {  // xorshift64*
        state_ ^= state_ >> 12, state_ ^= state_ << 25, state_ ^= state_ >> 27;
        return state_ * 0x2545F4914F6CDD1Du;
    }
    // Cycles of a pause, if each cycle pauses with this chance.
    unsigned pause(double chance) {
        unsigned cycles = 0;
        while (chance > 0 && static_cast<double>(next() >> 11) / 9007199254740992.0 < chance) ++cycles;
        return cycles;
    }

private:
    uint64_t state_;
};

struct Memory {
    uint8_t* bytes;
    uint64_t base, size;
    uint8_t* at(uint64_t address, size_t count) const {
        const uint64_t offset = address - base;
        return offset < size && size - offset >= count ? bytes + offset : nullptr;
    }
};

// What was injected; each strikes once so many more beats have passed, so many times in a row.
class Faults {
public:
    void add(FaultKind kind, uint64_t after, uint64_t times) { pending_.push_back({kind, after, times}); }
    void beat() {
        for (auto& fault : pending_)
            if (fault.after) --fault.after;
    }
    bool strikes(FaultKind kind) {
        for (size_t i = 0; i < pending_.size(); ++i) {
            if (pending_[i].kind != kind || pending_[i].after) continue;
            if (--pending_[i].times == 0) pending_.erase(pending_.begin() + static_cast<long>(i));
            return true;
        }
        return false;
    }
    // For good from then on.
    bool holds(FaultKind kind) const {
        for (const auto& fault : pending_)
            if (fault.kind == kind && !fault.after) return true;
        return false;
    }

private:
    struct Fault {
        FaultKind kind;
        uint64_t after, times;
    };
    std::vector<Fault> pending_;
};

struct Burst {
    uint64_t address, beats, due;
};

// The slave behind the read engine. Bursts are answered in order, their latencies overlap. All that is random is drawn
// burst by burst and beat by beat, so that it does not depend on when they come.
class ReadSlave {
public:
    ReadSlave(const Memory& memory, Faults& faults, double stall, uint64_t seed)
        : memory_(memory), faults_(faults), stall_(stall), random_(2 * seed + 1) {}

    void drive(Vtop& top, uint64_t cycle) {
        const bool hangs = faults_.holds(HANG);
        top.m_axi_idma0_arready = !hangs && bursts_.size() < QUEUE && !tick(address_pause_);
        if (!offered_ && !hangs && !bursts_.empty() && bursts_.front().due <= cycle && !tick(pause_)) offer(top);
        top.m_axi_idma0_rvalid = offered_;
    }
    // Whether anything moved.
    bool sample(const Vtop& top, uint64_t cycle) {
        const bool asked = top.m_axi_idma0_arvalid && top.m_axi_idma0_arready;
        const bool taken = offered_ && top.m_axi_idma0_rready;
        if (taken) advance();
        if (asked) {
            const uint64_t due = cycle + LATENCY + random_.next() % LATENCY_SPREAD;
            bursts_.push_back({top.m_axi_idma0_araddr, top.m_axi_idma0_arlen + 1u, due});
            address_pause_ = random_.pause(stall_);
        }
        return asked || taken;
    }
    void clear() { bursts_.clear(), offered_ = false; }
    bool busy() const { return !bursts_.empty(); }

private:
    static bool tick(unsigned& pause) { return pause && pause--; }

    void offer(Vtop& top) {
        const uint8_t* word = memory_.at(bursts_.front().address, IN_BYTES);
        uint8_t response = word ? OKAY : DECERR;
        if (faults_.strikes(READ_ERROR)) response = SLVERR;
        auto data = reinterpret_cast<uint8_t*>(&top.m_axi_idma0_rdata);
        if (response == OKAY) std::memcpy(data, word, IN_BYTES);
        else std::memset(data, 0xA5, IN_BYTES);
        top.m_axi_idma0_rresp = response;
        top.m_axi_idma0_rlast = bursts_.front().beats == 1;
        offered_ = true;
    }
    void advance() {
        offered_ = false;
        faults_.beat();
        pause_ = random_.pause(stall_);
        bursts_.front().address += IN_BYTES;
        if (--bursts_.front().beats == 0) bursts_.pop_front();
    }

    const Memory& memory_;
    Faults& faults_;
    double stall_;
    Random random_;
    std::deque<Burst> bursts_;
    unsigned address_pause_ = 0, pause_ = 0;
    bool offered_ = false;
};

// The slave behind the write engine.
class WriteSlave {
public:
    WriteSlave(const Memory& memory, Faults& faults, double stall, uint64_t seed)
        : memory_(memory), faults_(faults), stall_(stall), random_(2 * seed + 2) {}

    void drive(Vtop& top, uint64_t cycle) {
        const bool hangs = faults_.holds(HANG), silent = hangs || faults_.holds(NEVER_DONE);
        top.m_axi_odma0_awready = !hangs && bursts_.size() < QUEUE && !tick(address_pause_);
        top.m_axi_odma0_wready = !hangs && !bursts_.empty() && !tick(pause_);
        if (!offered_ && !silent && !answers_.empty() && answers_.front().due <= cycle) {
            top.m_axi_odma0_bresp = answers_.front().response;
            offered_ = true;
        }
        top.m_axi_odma0_bvalid = offered_;
    }
    bool sample(const Vtop& top, uint64_t cycle) {
        const bool asked = top.m_axi_odma0_awvalid && top.m_axi_odma0_awready;
        const bool given = top.m_axi_odma0_wvalid && top.m_axi_odma0_wready;
        const bool answered = offered_ && top.m_axi_odma0_bready;
        if (answered) offered_ = false, answers_.pop_front();
        if (given) take(top, cycle);
        if (asked) {
            bursts_.push_back({top.m_axi_odma0_awaddr, top.m_axi_odma0_awlen + 1u, 0});
            address_pause_ = random_.pause(stall_);
        }
        return asked || given || answered;
    }
    void clear() { bursts_.clear(), answers_.clear(), offered_ = false, response_ = OKAY; }
    bool busy() const { return !bursts_.empty() || !answers_.empty(); }

private:
    struct Answer {
        uint8_t response;
        uint64_t due;
    };
    static bool tick(unsigned& pause) { return pause && pause--; }

    void take(const Vtop& top, uint64_t cycle) {
        Burst& burst = bursts_.front();
        if (top.m_axi_odma0_wlast != (burst.beats == 1)) fail("WLAST is not where the burst ends");
        const auto data = reinterpret_cast<const uint8_t*>(&top.m_axi_odma0_wdata);
        if (uint8_t* word = memory_.at(burst.address, OUT_BYTES)) {
            for (size_t i = 0; i < OUT_BYTES; ++i)
                if (static_cast<uint64_t>(top.m_axi_odma0_wstrb) >> i & 1) word[i] = data[i];
        } else {
            response_ = DECERR;
        }
        faults_.beat();
        pause_ = random_.pause(stall_);
        burst.address += OUT_BYTES;
        if (--burst.beats) return;
        bursts_.pop_front();
        if (faults_.strikes(WRITE_ERROR)) response_ = SLVERR;
        answers_.push_back({response_, cycle + WRITE_LATENCY + random_.pause(stall_)});
        response_ = OKAY;
    }

    const Memory& memory_;
    Faults& faults_;
    double stall_;
    Random random_;
    std::deque<Burst> bursts_;
    std::deque<Answer> answers_;
    unsigned address_pause_ = 0, pause_ = 0;
    uint8_t response_ = OKAY;
    bool offered_ = false;
};

// ---------------------------------------------------------------- the simulation

// The AXI-Lite port of one engine.
struct Control {
    CData *awaddr, *awvalid, *awready, *wstrb, *wvalid, *wready, *bvalid, *bready;
    CData *araddr, *arvalid, *arready, *rvalid, *rready;
    IData *wdata, *rdata;
};
#define CONTROL(top, name)                                                                                      \
    {                                                                                                           \
        &top.s_axi_##name##_awaddr, &top.s_axi_##name##_awvalid, &top.s_axi_##name##_awready,                   \
            &top.s_axi_##name##_wstrb, &top.s_axi_##name##_wvalid, &top.s_axi_##name##_wready,                  \
            &top.s_axi_##name##_bvalid, &top.s_axi_##name##_bready, &top.s_axi_##name##_araddr,                 \
            &top.s_axi_##name##_arvalid, &top.s_axi_##name##_arready, &top.s_axi_##name##_rvalid,               \
            &top.s_axi_##name##_rready, &top.s_axi_##name##_wdata, &top.s_axi_##name##_rdata                    \
    }

class System {
public:
    System(VerilatedContext& context, const Memory& memory, int replies)
        : top_(&context),
          controls_{Control CONTROL(top_, idma0), Control CONTROL(top_, odma0)},
          reads_(memory, faults_, std::atof(options["stall"].c_str()), number("seed")),
          writes_(memory, faults_, std::atof(options["stall"].c_str()), number("seed")),
          replies_(replies) {}

    // Until whoever asks is gone.
    void run() {
        reset();
        send(0);
        while (true) {
            pollfd input{STDIN_FILENO, POLLIN, 0};
            if (::poll(&input, 1, active() ? 0 : -1) > 0 && !serve()) break;
            for (unsigned i = 0; i < POLL_CYCLES && active(); ++i) {
                cycle();
                if (faults_.strikes(RESET)) reset();
            }
            show_interrupts();
        }
        top_.final();
    }

private:
    bool active() const {
        const bool busy = top_.running || reads_.busy() || writes_.busy();
        return cycle_ - moved_ < (busy ? quiet_ : LINGER_CYCLES);
    }

    // ---- requests

    bool serve() {
        Request request;
        auto bytes = reinterpret_cast<uint8_t*>(&request);
        for (size_t have = 0; have < sizeof request;) {
            const ssize_t count = ::read(STDIN_FILENO, bytes + have, sizeof request - have);
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) return false;
            have += static_cast<size_t>(count);
        }
        uint32_t value = 0;
        if (request.kind == READ) value = read(controls_.at(request.engine), request.offset);
        if (request.kind == WRITE) write(controls_.at(request.engine), request.offset, request.value);
        if (request.kind == INJECT) faults_.add(FaultKind{request.engine}, request.offset, request.value);
        show_interrupts();
        return send(value);
    }

    bool send(uint32_t value) {
        const Reply reply{value, interrupts(), cycle_};
        return ::write(replies_, &reply, sizeof reply) == sizeof reply;  // a pipe takes so little in one piece
    }

    uint32_t read(const Control& port, uint32_t offset) {
        *port.araddr = static_cast<CData>(offset);
        *port.arvalid = *port.rready = 1;
        until([&] { return *port.arready; });
        *port.arvalid = 0;
        uint32_t value = 0;
        until([&] { return value = *port.rdata, *port.rvalid; });
        *port.rready = 0;
        return value;
    }

    void write(const Control& port, uint32_t offset, uint32_t value) {
        *port.awaddr = static_cast<CData>(offset);
        *port.wdata = value;
        *port.wstrb = 15;
        *port.awvalid = *port.wvalid = *port.bready = 1;
        until([&] { return *port.awready && *port.wready; });
        *port.awvalid = *port.wvalid = 0;
        until([&] { return *port.bvalid; });
        *port.bready = 0;
    }

    template <class Seen> void until(Seen seen) {
        for (unsigned i = 0; i < ACCESS_CYCLES; ++i) {
            low();
            const bool found = seen();
            high();
            if (found) return;
        }
        fail("no answer on AXI-Lite");
    }

    // ---- clock

    void cycle() {
        low();
        high();
    }
    void low() {
        reads_.drive(top_, cycle_);
        writes_.drive(top_, cycle_);
        top_.clk = 0;
        top_.eval();
    }
    void high() {
        const auto running = top_.running;
        const bool read = reads_.sample(top_, cycle_), written = writes_.sample(top_, cycle_);
        top_.clk = 1;
        top_.eval();
        ++cycle_;
        if (read || written || running != top_.running) moved_ = cycle_;
    }

    void reset() {
        for (auto& port : controls_) *port.awvalid = *port.wvalid = *port.bready = *port.arvalid = *port.rready = 0;
        top_.rst_n = 0;
        for (unsigned i = 0; i < RESET_CYCLES; ++i) {
            reads_.clear();
            writes_.clear();
            cycle();
        }
        top_.rst_n = 1;
        cycle();  // fast models have the reset in a register
        cycle();
    }

    // ---- interrupts

    uint32_t interrupts() const { return top_.interrupt_idma0 | top_.interrupt_odma0 << 1; }

    void show_interrupts() {
        const uint32_t now = interrupts();
        for (unsigned engine = 0; engine < 2; ++engine) {
            uint8_t byte = 1;
            const bool rose = now & ~shown_ & 1u << engine, fell = ~now & shown_ & 1u << engine;
            if (rose && ::write(signals_[engine][1], &byte, 1) != 1) fail("an interrupt cannot be shown");
            if (fell && ::read(signals_[engine][0], &byte, 1) != 1) fail("an interrupt cannot be taken back");
        }
        shown_ = now;
    }

    Vtop top_;
    std::array<Control, 2> controls_;
    Faults faults_;
    ReadSlave reads_;
    WriteSlave writes_;
    const int replies_;
    const uint64_t quiet_ = number("quiet");
    const int signals_[2][2] = {{static_cast<int>(number("seen0")), static_cast<int>(number("signal0"))},
                                {static_cast<int>(number("seen1")), static_cast<int>(number("signal1"))}};
    uint64_t cycle_ = 0, moved_ = 0;
    uint32_t shown_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
    const int replies = ::dup(STDOUT_FILENO);
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        const auto equals = argument.find('=');
        if (equals != std::string::npos) options[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
    const size_t size = number("bytes");
    void* bytes = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(number("memory")), 0);
    if (bytes == MAP_FAILED) fail("the memory cannot be mapped");
    const Memory memory{static_cast<uint8_t*>(bytes), number("base"), size};
    VerilatedContext context;
    System(context, memory, replies).run();
    std::fflush(nullptr);
    std::_Exit(0);
}
