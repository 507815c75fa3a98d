// The emulator's Python face: a network in, frames through a compiled plan on every thread.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "plan.hpp"

namespace py = pybind11;

namespace bitswath {
namespace emulator {
namespace {

struct BackendFault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

using Int64Array = py::array_t<int64_t, py::array::c_style>;

IntArray view(const py::dict& fields, const char* key) {
    if (!py::isinstance<Int64Array>(fields[key]))
        throw NetworkFault("stage '" + py::cast<std::string>(fields["name"]) + "': expected " + key +
                           " as C-order int64");
    const auto array = py::reinterpret_borrow<Int64Array>(fields[key]);
    IntArray values;
    values.shape.assign(array.shape(), array.shape() + array.ndim());
    values.data = array.data();  // kept alive by `fields`
    return values;
}

const std::map<std::string, Op>& operators() {
    static const std::map<std::string, Op> table = {
        {"Conv", Op::conv},       {"Dense", Op::dense}, {"Threshold", Op::threshold}, {"MaxPool", Op::max_pool},
        {"SumPool", Op::sum_pool}, {"Add", Op::add},     {"Concat", Op::concat},       {"Lookup", Op::lookup},
        {"ArgMax", Op::arg_max}};
    return table;
}

Stage parse(const py::dict& fields, const Graph& graph) {
    Stage stage;
    stage.name = py::cast<std::string>(fields["name"]);
    const auto op = operators().find(py::cast<std::string>(fields["op"]));
    if (op == operators().end()) throw NetworkFault("stage '" + stage.name + "': unknown operator");
    stage.op = op->second;
    for (const auto& name : py::cast<std::vector<std::string>>(fields["inputs"]))
        stage.inputs.push_back(graph.tensor(name));
    const auto set = [&fields](const char* key, auto& value) {
        if (fields.contains(key)) value = py::cast<std::decay_t<decltype(value)>>(fields[key]);
    };
    set("kernel", stage.kernel);
    set("strides", stage.strides);
    set("dilations", stage.dilations);
    set("pads", stage.pads);
    set("groups", stage.groups);
    set("base", stage.base);
    set("step", stage.step);
    set("multipliers", stage.multipliers);
    set("directions", stage.directions);
    for (const char* key : {"weights", "thresholds", "table"})
        if (fields.contains(key)) stage.values = view(fields, key);
    return stage;
}

Graph graph_of(const py::tuple& input, const py::list& stages) {
    try {
        Graph graph(py::cast<std::vector<int64_t>>(input[0]), py::cast<int64_t>(input[1]), py::cast<int64_t>(input[2]));
        for (const auto& fields : stages) graph.add(parse(py::cast<py::dict>(fields), graph));
        return graph;
    } catch (const py::cast_error&) {
        throw NetworkFault("a stage's parameter is not of the expected type, or beyond 64 bits");
    }
}

Kernels choose(const std::string& name) {
#if defined(__x86_64__)
    if (cpu_has_avx512vnni() && (name == "auto" || name == "avx512vnni")) return avx512vnni_kernels();
    if (cpu_has_avx2() && (name == "auto" || name == "avx2")) return avx2_kernels();
#endif
    if (name == "auto" || name == "scalar") return scalar_kernels();
    throw BackendFault("kernel '" + name + "' is not one this CPU can run; leave it at 'auto'");
}

std::vector<std::string> kernel_names() {
    std::vector<std::string> names{"scalar"};
    if (cpu_has_avx2()) names.emplace_back("avx2");
    if (cpu_has_avx512vnni()) names.emplace_back("avx512vnni");
    return names;
}

// Frames as they come: dense packed bytes, or codes as uint8 or int64.
struct Frames {
    const uint8_t* data;
    int64_t count, bytes;
    int bits;   // 0: codes
    bool wide;  // codes are int64

    bool load(const Plan& plan, uint8_t* arena, int64_t index, int64_t& bad) const {
        const uint8_t* frame = data + index * bytes;
        if (bits) return plan.load_packed(arena, frame, bits, bad);
        if (wide) return plan.load(arena, reinterpret_cast<const int64_t*>(frame), bad);
        return plan.load(arena, frame, bad);
    }
};

class Emulator {
public:
    Emulator(const py::tuple& input, const py::list& stages, int threads, const std::string& kernel, bool fuse)
        : kernels_(choose(kernel)), plan_(graph_of(input, stages), kernels_, fuse) {
        for (int i = 0; i < std::clamp(threads, 1, 1024); ++i) arenas_.emplace_back(plan_.arena_bytes());
    }

    int64_t frame_bytes(int bits) const {
        if (bits < 1 || bits > 8) throw InputFault("expected codes of 1..8 bits, got " + std::to_string(bits));
        return (plan_.input().layout.shape.size() * bits + 7) / 8;
    }

    py::object run_packed(const py::array_t<uint8_t, py::array::c_style>& frames, int bits) {
        const int64_t bytes = frame_bytes(bits);
        if (frames.ndim() != 2 || frames.shape(1) != bytes)
            throw InputFault("expected frames of shape (N, " + std::to_string(bytes) + ")");
        return run({frames.data(), frames.shape(0), bytes, bits, false}, false);
    }

    py::object run_codes(const py::array& codes, bool taps) {
        const bool wide = py::isinstance<Int64Array>(codes);
        if (!wide && !py::isinstance<py::array_t<uint8_t, py::array::c_style>>(codes))
            throw InputFault("expected codes of dtype uint8 or int64 in C order");
        const auto& dims = plan_.input().dims;
        if (codes.ndim() != static_cast<int64_t>(dims.size()) + 1 ||
            !std::equal(dims.begin(), dims.end(), codes.shape() + 1))
            throw InputFault("expected codes of shape (N, *input shape)");
        const int64_t bytes = plan_.input().layout.shape.size() * (wide ? 8 : 1);
        return run({static_cast<const uint8_t*>(codes.data()), codes.shape(0), bytes, 0, wide}, taps);
    }

    void cancel() { cancelled_ = true; }

    // (tensor, kernel) for each step, in order.
    std::vector<std::pair<std::string, std::string>> steps() const {
        std::vector<std::pair<std::string, std::string>> steps;
        for (const auto& step : plan_.steps()) steps.emplace_back(step->name, step->kernel());
        return steps;
    }

    std::string kernel() const { return kernels_.name; }
    int64_t arena_bytes() const { return plan_.arena_bytes(); }
    int threads() const { return static_cast<int>(arenas_.size()); }

private:
    struct Sink {
        const Plan::Tap* tap;
        uint8_t* data;
        int64_t bytes;  // a frame
    };

    py::object run(const Frames& frames, bool taps) {
        std::vector<Sink> sinks;
        py::dict arrays;
        py::array last;
        for (const Plan::Tap& tap : plan_.taps()) {
            if (!taps && &tap != &plan_.output()) continue;
            std::vector<int64_t> shape{frames.count};
            shape.insert(shape.end(), tap.dims.begin(), tap.dims.end());
            last = py::array(tap.wide ? py::dtype::of<int64_t>() : py::dtype::of<int32_t>(), shape);
            arrays[py::str(tap.name)] = last;
            const int64_t bytes = tap.layout.shape.size() * (tap.wide ? 8 : 4);
            sinks.push_back({&tap, static_cast<uint8_t*>(last.mutable_data()), bytes});
        }
        {
            py::gil_scoped_release release;
            const std::lock_guard<std::mutex> lock(mutex_);
            run_all(frames, sinks);
        }
        return taps ? py::object(arrays) : py::object(last);
    }

    void run_all(const Frames& frames, const std::vector<Sink>& sinks) {
        std::atomic<int64_t> next{0}, failed{frames.count};
        std::vector<int64_t> bad_values(arenas_.size(), 0), bad_frames(arenas_.size(), frames.count);
        const auto work = [&](size_t worker) {
            uint8_t* arena = arenas_[worker].data();
            for (int64_t i; (i = next++) < failed && !cancelled_;) {
                if (!frames.load(plan_, arena, i, bad_values[worker])) {
                    bad_frames[worker] = i;
                    for (int64_t first = failed; i < first && !failed.compare_exchange_weak(first, i);) continue;
                    return;
                }
                plan_.run(arena);
                for (const Sink& sink : sinks) plan_.read(*sink.tap, arena, sink.data + i * sink.bytes);
            }
        };
        std::vector<std::thread> helpers;
        const auto workers = std::min<int64_t>(static_cast<int64_t>(arenas_.size()), frames.count);
        try {
            for (int64_t worker = 1; worker < workers; ++worker)
                helpers.emplace_back(work, static_cast<size_t>(worker));
        } catch (const std::system_error&) {
            // No more threads to be had: those that started do the work.
        }
        work(0);
        for (auto& helper : helpers) helper.join();
        if (cancelled_) throw BackendFault("the emulator was closed while it ran");
        const auto first = std::min_element(bad_frames.begin(), bad_frames.end());
        if (*first < frames.count)
            throw InputFault("frame " + std::to_string(*first) + ": expected codes in " + std::to_string(plan_.lo()) +
                             ".." + std::to_string(plan_.hi()) + ", got " +
                             std::to_string(bad_values[first - bad_frames.begin()]));
    }

    Kernels kernels_;
    Plan plan_;
    std::vector<Buffer> arenas_;
    std::mutex mutex_;
    std::atomic<bool> cancelled_{false};
};

void raise(const char* error, const char* message) {
    py::set_error(py::module_::import("bitswath.errors").attr(error), message);
}

void translate(std::exception_ptr pointer) {
    try {
        if (pointer) std::rethrow_exception(pointer);
    } catch (const NetworkFault& fault) {
        raise("NetworkError", fault.what());
    } catch (const InputFault& fault) {
        raise("InputError", fault.what());
    } catch (const BackendFault& fault) {
        raise("BackendError", fault.what());
    }
}

}  // namespace
}  // namespace emulator

void bind_emulator(py::module_& m) {
    using emulator::Emulator;
    py::register_exception_translator(emulator::translate);
    m.def("emulator_kernels", emulator::kernel_names, "Names of the emulator's kernel sets this CPU can run.");
    py::class_<Emulator>(m, "Emulator", "An integer network compiled for this CPU; see bitswath.backends.emulator.")
        .def(py::init<const py::tuple&, const py::list&, int, const std::string&, bool>(), py::arg("input"),
             py::arg("stages"), py::arg("threads"), py::arg("kernel") = "auto", py::arg("fuse") = true)
        .def("frame_bytes", &Emulator::frame_bytes, py::arg("bits"))
        .def("run_packed", &Emulator::run_packed, py::arg("frames").noconvert(), py::arg("bits"))
        .def("run_codes", &Emulator::run_codes, py::arg("codes"), py::arg("taps") = false)
        .def("cancel", &Emulator::cancel)
        .def_property_readonly("steps", &Emulator::steps)
        .def_property_readonly("kernel", &Emulator::kernel)
        .def_property_readonly("threads", &Emulator::threads)
        .def_property_readonly("arena_bytes", &Emulator::arena_bytes);
}

}  // namespace bitswath
