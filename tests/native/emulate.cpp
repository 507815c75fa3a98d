// Runs networks through the emulator's native core without Python, so that sanitizers and other CPUs can.
//
//   emulate --list                                         prints the kernel sets this CPU runs
//   emulate CASES OUT KERNEL THREADS FUSE BATCH            writes every tensor that is kept
//
// CASES: the number of cases, each as `read_case` reads it. OUT: for each case the number of tensors, each its number
// and, as an array, its values of all frames. The steps' kernels go to the standard output, one case a line.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "engine/engine.hpp"
#include "words.hpp"

namespace {

using namespace bitswath::emulator;

// A stage's own copy of its integers, exactly as long as they are.
Stage read_stage(Reader& reader, int64_t number, std::vector<std::unique_ptr<Words>>& storage) {
    Stage stage;
    stage.name = std::to_string(number);
    stage.op = static_cast<Op>(reader.next());
    for (int64_t input : reader.array()) stage.inputs.push_back(static_cast<int>(input));
    reader.fill(stage.kernel);
    reader.fill(stage.strides);
    reader.fill(stage.dilations);
    reader.fill(stage.pads);
    stage.groups = reader.next();
    stage.base = reader.next();
    stage.step = reader.next();
    stage.fill = reader.next();
    stage.dims = reader.array();
    stage.multipliers = reader.array();
    stage.directions = reader.array();
    stage.values.shape = reader.array();
    storage.push_back(std::make_unique<Words>(reader.array()));
    stage.values.data = storage.back()->data();
    return stage;
}

struct Case {
    std::unique_ptr<Engine> engine;
    int64_t count, bytes;
    int bits;
    std::vector<uint8_t> frames;  // exactly as long as they are
};

// The input's shape, lowest and highest code, stages; then frames: how many, bytes of each, bits of a packed code
// (0: codes are int64), and their bytes filled up to whole words.
Case read_case(Reader& reader, const std::string& kernel, int threads, bool fuse) {
    Case one;
    std::vector<std::unique_ptr<Words>> storage;
    {
        const Words dims = reader.array();
        const int64_t lo = reader.next(), hi = reader.next();
        Graph graph(dims, lo, hi);
        const int64_t stages = reader.next();
        for (int64_t i = 1; i <= stages; ++i) graph.add(read_stage(reader, i, storage));
        one.engine = std::make_unique<Engine>(graph, kernel, threads, fuse, true, 0);  // fewer frames than threads by rows
    }
    one.count = reader.next();
    one.bytes = reader.next();
    one.bits = static_cast<int>(reader.next());
    const Words words = reader.array();
    one.frames.resize(static_cast<size_t>(one.count * one.bytes));
    std::memcpy(one.frames.data(), words.data(), one.frames.size());
    return one;
}

// A tensor as it leaves the engine, and widened.
struct Values {
    int64_t bytes;  // a frame
    bool wide;
    std::vector<uint8_t> raw;

    Words words() const {
        Words words(raw.size() / (wide ? 8 : 4));
        for (size_t i = 0; i < words.size(); ++i) {
            int32_t narrow = 0;
            if (wide)
                std::memcpy(&words[i], raw.data() + i * 8, 8);
            else
                std::memcpy(&narrow, raw.data() + i * 4, 4), words[i] = narrow;
        }
        return words;
    }
};

std::vector<Values> run(Case& one, int64_t batch) {
    std::vector<Values> tensors;
    for (const Plan::Tap& tap : one.engine->plan().taps()) {
        const int64_t bytes = tap.layout.shape.size() * (tap.wide ? 8 : 4);
        tensors.push_back({bytes, tap.wide, std::vector<uint8_t>(static_cast<size_t>(one.count * bytes))});
    }
    for (int64_t first = 0; first < one.count; first += batch) {
        std::vector<Sink> sinks;
        for (size_t i = 0; i < tensors.size(); ++i)
            sinks.push_back({&one.engine->plan().taps()[i], tensors[i].raw.data() + first * tensors[i].bytes,
                             tensors[i].bytes});
        one.engine->run({one.frames.data() + first * one.bytes, std::min(batch, one.count - first), one.bytes, one.bits,
                         one.bits == 0},
                        sinks, std::atomic<bool>{false});
    }
    return tensors;
}

int emulate(char** arguments) {
    Reader reader(arguments[1]);
    Writer out(arguments[2]);
    const int threads = std::atoi(arguments[4]);
    const bool fuse = std::atoi(arguments[5]) != 0;
    const int64_t batch = std::atoi(arguments[6]), cases = reader.next();
    for (int64_t i = 0; i < cases; ++i) {
        Case one = read_case(reader, arguments[3], threads, fuse);
        const std::vector<Values> tensors = run(one, batch);
        out.word(static_cast<int64_t>(tensors.size()));
        for (size_t t = 0; t < tensors.size(); ++t) {
            const std::string& name = one.engine->plan().taps()[t].name;
            out.word(name == "input" ? 0 : std::atoi(name.c_str()));
            out.array(tensors[t].words());
        }
        for (const auto& step : one.engine->plan().steps()) std::printf("%s ", step->kernel().c_str());
        std::printf("\n");
    }
    return out.good() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
    if (count == 2 && std::strcmp(arguments[1], "--list") == 0) {
        for (const std::string& name : kernel_names()) std::printf("%s\n", name.c_str());
        return 0;
    }
    if (count != 7) {
        std::fprintf(stderr, "expected --list, or CASES OUT KERNEL THREADS FUSE BATCH\n");
        return 2;
    }
    try {
        return emulate(arguments);
    } catch (const std::exception& fault) {
        std::fprintf(stderr, "%s\n", fault.what());
        return 1;
    }
}
