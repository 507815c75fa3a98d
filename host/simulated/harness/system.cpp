// The program around a shell (hw/generating/shell.py) that Verilator has compiled: memory behind its AXI
// masters, accesses to its registers on request (host/simulated/process.py asks). The clock runs while an engine or the
// memory has something to do; then the program sleeps. What the model itself prints goes to standard error.
//
// Options are key=value: memory (descriptor of shared memory), base, bytes; stall (share of cycles in which the memory
// pauses, 0..1), seed; quiet (cycles without any movement on the bus after which the clock stops, though an engine
// runs); seen0, signal0, seen1, signal1 (the two ends of a pipe for each engine, which holds a byte while its interrupt
// line is high).
//
// Requests and replies are structs of little-endian integers (protocol.hpp). One request is under way at a time.

#include "Vtop.h"
#include "verilated.h"

#include "faults.hpp"
#include "memory.hpp"
#include "options.hpp"
#include "protocol.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr unsigned RESET_CYCLES = 40, LINGER_CYCLES = 64, POLL_CYCLES = 32, ACCESS_CYCLES = 1000;

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
    read_options(count, arguments);
    const size_t size = number("bytes");
    void* bytes = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(number("memory")), 0);
    if (bytes == MAP_FAILED) fail("the memory cannot be mapped");
    const Memory memory{static_cast<uint8_t*>(bytes), number("base"), size};
    VerilatedContext context;
    System(context, memory, replies).run();
    std::fflush(nullptr);
    std::_Exit(0);
}
