// Runs the module `lockstep` (lockstep.py) with resets at given cycles and pauses that change.
//
// Options are key=value: cycles (of the run), cuts (comma-separated cycles of resets in between, ascending), seed.

#include "Vlockstep.h"
#include "verilated.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr unsigned FIRST_RESET = 48, LONGEST_RESET = 4, PAUSES_FOR = 64;
constexpr unsigned PAUSES[] = {0, 0, 64, 160, 240};

std::string option(int count, char** arguments, const char* name) {
    const size_t length = std::strlen(name);
    for (int i = 1; i < count; ++i)
        if (!std::strncmp(arguments[i], name, length) && arguments[i][length] == '=') return arguments[i] + length + 1;
    return "0";
}

}  // namespace

int main(int count, char** arguments) {
    VerilatedContext context;
    context.commandArgs(count, arguments);
    const uint64_t cycles = std::stoull(option(count, arguments, "cycles"));
    std::mt19937_64 random(std::stoull(option(count, arguments, "seed")));
    std::vector<uint64_t> cuts;
    std::stringstream listed(option(count, arguments, "cuts"));
    for (std::string cut; std::getline(listed, cut, ',');) cuts.push_back(std::stoull(cut));

    Vlockstep top(&context);
    uint64_t reset_until = FIRST_RESET, cycle = 0;
    size_t next_cut = 0;
    top.compare = 0;
    for (; cycle < cycles && !context.gotFinish(); ++cycle) {
        if (next_cut < cuts.size() && cycle == cuts[next_cut]) {
            reset_until = cycle + 1 + random() % LONGEST_RESET;
            ++next_cut;
        }
        if (cycle % PAUSES_FOR == 0) {
            top.pause_in = PAUSES[random() % std::size(PAUSES)];
            top.pause_out = PAUSES[random() % std::size(PAUSES)];
        }
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
        top.rst_n = cycle + 1 >= reset_until;
        top.compare = cycle + 1 >= FIRST_RESET;
    }
    top.final();
    std::printf("CYCLES %llu\n", static_cast<unsigned long long>(cycle));
    return 0;
}
