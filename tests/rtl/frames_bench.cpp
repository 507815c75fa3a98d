// Streams words through transform_decode: WORDS OUT SEED GO_IN WAIT_IN GO_OUT WAIT_OUT CUT PAUSE_AT PAUSE FRAMES, where
// GO and WAIT are mean lengths, in cycles, of runs in which a stream goes and waits (WAIT 0: never). After CUT cycles
// (0: never) it resets and begins again; before byte PAUSE_AT of the words it waits PAUSE cycles. Ends LINGER cycles
// after FRAMES came, or STUCK after the last thing happened. OUT.beats gets the beats, OUT.frames a line a frame: the
// cycle of its last beat, whether it is damaged, beats so far.

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "Vtransform_decode.h"
#include "verilated.h"

namespace {

constexpr uint64_t LINGER = 20000, STUCK = 20000000;

struct Gate {
    double go, wait;
    bool open = true;
    bool step(std::mt19937_64& random) {
        if (wait > 0 && std::uniform_real_distribution<>()(random) < 1 / (open ? go : wait)) open = !open;
        return open;
    }
};

template <typename T>
void put(T& port, const uint8_t* bytes, size_t size) {
    port = 0;
    for (size_t i = 0; i < size; ++i) port |= T(bytes[i]) << (8 * i);
}

template <typename T>
void get(const T& port, std::vector<char>& bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) bytes.push_back(char(port >> (8 * i)));
}

template <std::size_t N>
void get(const VlWide<N>& port, std::vector<char>& bytes, size_t size) {
    for (size_t i = 0; i < size; ++i) bytes.push_back(char(port[i / 4] >> (8 * (i % 4))));
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 12) return 2;
    std::ifstream file(argv[1], std::ios::binary);
    const std::vector<uint8_t> words{std::istreambuf_iterator<char>(file), {}};
    const std::string out = argv[2];
    std::mt19937_64 random(std::strtoull(argv[3], nullptr, 10));
    Gate gate_in{std::atof(argv[4]), std::atof(argv[5])}, gate_out{std::atof(argv[6]), std::atof(argv[7])};
    const uint64_t cut = std::strtoull(argv[8], nullptr, 10), pause_at = std::strtoull(argv[9], nullptr, 10);
    const uint64_t pause = std::strtoull(argv[10], nullptr, 10), wanted = std::strtoull(argv[11], nullptr, 10);
    Verilated::randReset(2);
    Verilated::randSeed(int(random() >> 34) + 1);
    Vtransform_decode dut;
    const size_t word = WORD_BITS / 8;
    std::vector<char> beats;
    std::string frames;

    const auto run = [&](uint64_t limit) {
        beats.clear();
        frames.clear();
        size_t sent = 0;
        bool offered = false;
        uint64_t paused = 0, count = 0;
        for (uint64_t cycle = 0, last = 0; cycle < limit && cycle < last + (count < wanted ? STUCK : LINGER); ++cycle) {
            if (sent == pause_at && paused < pause) last = cycle, ++paused;
            else offered = sent < words.size() && (offered || gate_in.step(random));
            dut.rst_n = cycle > 2;
            dut.s_axis_tvalid = offered && dut.rst_n;
            if (offered) put(dut.s_axis_tdata, &words[sent], word);
            dut.m_axis_tready = gate_out.step(random) && dut.rst_n;
            dut.eval();
            if (dut.s_axis_tvalid && dut.s_axis_tready) {
                sent += word;
                last = cycle;
                offered = false;
            }
            if (dut.m_axis_tvalid && dut.m_axis_tready) {
                get(dut.m_axis_tdata, beats, SIMD);
                last = cycle;
            }
            if (dut.frame_valid && dut.rst_n) {
                ++count;
                frames += std::to_string(cycle) + " " + std::to_string(dut.frame_damaged) + " " +
                          std::to_string(beats.size() / SIMD) + "\n";
            }
            dut.clk = 1;
            dut.eval();
            dut.clk = 0;
            dut.eval();
        }
    };
    dut.clk = 0;
    if (cut) run(cut);
    run(UINT64_MAX);
    std::ofstream(out + ".beats", std::ios::binary).write(beats.data(), std::streamsize(beats.size()));
    std::ofstream(out + ".frames") << frames;
    dut.final();
    return 0;
}
