// Streams words through transform_decode: WORDS OUT SEED GO_IN WAIT_IN GO_OUT WAIT_OUT LINGER, where GO and WAIT are mean
// lengths, in cycles, of runs in which a stream goes and waits (WAIT 0: never). Ends LINGER cycles after the last thing
// happened. OUT.beats gets the beats, OUT.frames a line a frame: the cycle of its last beat, whether it is damaged, beats
// so far; OUT.words the cycle of the first word and how many were taken.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "Vtransform_decode.h"
#include "verilated.h"

namespace {

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
    if (argc != 9) return 2;
    std::ifstream file(argv[1], std::ios::binary);
    const std::vector<uint8_t> words{std::istreambuf_iterator<char>(file), {}};
    const std::string out = argv[2];
    std::mt19937_64 random(std::strtoull(argv[3], nullptr, 10));
    Gate gate_in{std::atof(argv[4]), std::atof(argv[5])}, gate_out{std::atof(argv[6]), std::atof(argv[7])};
    const uint64_t linger = std::strtoull(argv[8], nullptr, 10);
    Verilated::randReset(2);
    Verilated::randSeed(int(random() >> 34) + 1);
    Vtransform_decode dut;
    const size_t word = WORD_BITS / 8, beat = SIMD;
    std::vector<char> beats;
    std::FILE* frames = std::fopen((out + ".frames").c_str(), "w");

    auto tick = [&] {
        dut.clk = 1;
        dut.eval();
        dut.clk = 0;
        dut.eval();
    };
    dut.clk = 0;
    dut.rst_n = 0;
    dut.s_axis_tvalid = 0;
    dut.m_axis_tready = 0;
    for (int i = 0; i < 3; ++i) tick();
    dut.rst_n = 1;
    size_t sent = 0;
    bool offered = false;
    uint64_t first = 0;
    for (uint64_t cycle = 0, last = 0; cycle < last + linger; ++cycle) {
        offered = sent < words.size() && (offered || gate_in.step(random));
        dut.s_axis_tvalid = offered;
        if (offered) put(dut.s_axis_tdata, &words[sent], word);
        dut.m_axis_tready = gate_out.step(random);
        dut.eval();
        if (offered && dut.s_axis_tready) {
            if (sent == 0) first = cycle;
            sent += word;
            last = cycle;
            offered = false;
        }
        if (dut.m_axis_tvalid && dut.m_axis_tready) {
            get(dut.m_axis_tdata, beats, beat);
            last = cycle;
        }
        if (dut.frame_valid)
            std::fprintf(frames, "%llu %d %zu\n", (unsigned long long)cycle, int(dut.frame_damaged), beats.size() / beat);
        tick();
    }
    std::fclose(frames);
    std::ofstream(out + ".beats", std::ios::binary).write(beats.data(), std::streamsize(beats.size()));
    std::ofstream(out + ".words") << first << " " << sent / word << "\n";
    dut.final();
    return 0;
}
