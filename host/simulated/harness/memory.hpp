// Memory behind AXI slaves that answer late and pause at random.

#pragma once

#include "Vtop.h"
#include "faults.hpp"
#include "options.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>

enum Response : uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };

constexpr size_t IN_BYTES = BITSWATH_IN_WIDTH / 8, OUT_BYTES = BITSWATH_OUT_WIDTH / 8;
constexpr unsigned LATENCY = 20, LATENCY_SPREAD = 21, QUEUE = 8, WRITE_LATENCY = 8;

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
