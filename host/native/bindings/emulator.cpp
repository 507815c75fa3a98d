// The emulator's Python face: a network in, frames through a compiled plan on every thread.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <unistd.h>

#include <algorithm>
#include <map>

#include "engine/queue.hpp"

namespace py = pybind11;

namespace bitswath {
namespace emulator {
namespace {

using Bytes = py::array_t<uint8_t, py::array::c_style>;
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
        {"Take", Op::take},       {"ArgMax", Op::arg_max}};
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
    set("fill", stage.fill);
    set("shape", stage.dims);
    set("multipliers", stage.multipliers);
    set("directions", stage.directions);
    for (const char* key : {"weights", "thresholds", "table", "index"})
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

class Emulator {
public:
    Emulator(const py::tuple& input, const py::list& stages, int threads, const std::string& kernel, bool fuse,
             int64_t room, bool winograd)
        : engine_(graph_of(input, stages), kernel, threads, fuse, winograd), queue_(std::make_unique<Queue>(engine_, room)) {}

    ~Emulator() {
        py::gil_scoped_release release;
        if (pid_ == getpid())
            queue_.reset();
        else
            static_cast<void>(queue_.release());  // its thread is the parent's
    }


    int64_t frame_bytes(int bits) const {
        if (bits < 1 || bits > 8) throw InputFault("expected codes of 1..8 bits, got " + std::to_string(bits));
        return (engine_.plan().input().layout.shape.size() * bits + 7) / 8;
    }

    py::object run_packed(const Bytes& frames, int bits) { return run(packed(frames, bits), false); }

    py::object run_codes(const py::array& codes, bool taps) {
        require_owner();
        const bool wide = py::isinstance<Int64Array>(codes);
        if (!wide && !py::isinstance<Bytes>(codes)) throw InputFault("expected codes of dtype uint8 or int64 in C order");
        const auto& dims = engine_.plan().input().dims;
        if (codes.ndim() != static_cast<int64_t>(dims.size()) + 1 ||
            !std::equal(dims.begin(), dims.end(), codes.shape() + 1))
            throw InputFault("expected codes of shape (N, *input shape)");
        const int64_t bytes = engine_.plan().input().layout.shape.size() * (wide ? 8 : 1);
        return run({static_cast<const uint8_t*>(codes.data()), codes.shape(0), bytes, 0, wide}, taps);
    }

    // (tensor, kernel, seconds) for the input and each step, in order.
    std::vector<std::tuple<std::string, std::string, double>> profile(const Bytes& frames, int bits) {
        const Frames input = packed(frames, bits);
        std::vector<double> seconds;
        {
            py::gil_scoped_release release;
            seconds = engine_.profile(input);
        }
        std::vector<std::tuple<std::string, std::string, double>> steps;
        steps.emplace_back(engine_.plan().input().name, "unpack", seconds[0]);
        for (const auto& step : engine_.plan().steps())
            steps.emplace_back(step->name, step->kernel(), seconds[steps.size()]);
        return steps;
    }

    // Starts on frames, which must not change until their number is collected.
    int64_t submit(const Bytes& frames, int bits, double timeout_s) {
        const Frames input = packed(frames, bits);
        Pending pending{frames, output(engine_.plan().output(), input.count)};
        const Sink sink = sink_of(engine_.plan().output(), pending.outputs);
        int64_t number = 0;
        {
            py::gil_scoped_release release;
            number = queue_->submit(input, {sink}, timeout_s);
        }
        pending_.emplace(number, std::move(pending));
        return number;
    }

    py::array collect(int64_t number, double timeout_s) {
        require_owner();
        try {
            py::gil_scoped_release release;
            queue_->wait(number, timeout_s);
        } catch (const TimeoutFault&) {
            throw;
        } catch (const UnknownBatchFault&) {
            throw;
        } catch (...) {
            pending_.erase(number);
            throw;
        }
        return std::move(pending_.extract(number).mapped().outputs);
    }

    // Forgets a batch; returns when nothing of it runs any more.
    void drop(int64_t number) {
        require_owner();
        {
            py::gil_scoped_release release;
            queue_->drop(number);
        }
        pending_.erase(number);
    }

    int64_t progress() const { return engine_.progress(); }

    void close() {
        py::gil_scoped_release release;
        if (pid_ == getpid()) queue_->close();
    }

    // (tensor, kernel) for each step, in order.
    std::vector<std::pair<std::string, std::string>> steps() const {
        std::vector<std::pair<std::string, std::string>> steps;
        for (const auto& step : engine_.plan().steps()) steps.emplace_back(step->name, step->kernel());
        return steps;
    }

    std::string kernel() const { return engine_.kernel(); }
    int64_t worker_bytes() const { return engine_.worker_bytes(); }
    int threads() const { return engine_.threads(); }

private:
    // Locks and threads do not come along into a forked process.
    void require_owner() const {
        if (pid_ != getpid()) throw BackendFault("the emulator was opened in another process; open it here");
    }

    Frames packed(const Bytes& frames, int bits) const {
        require_owner();
        const int64_t bytes = frame_bytes(bits);
        if (frames.ndim() != 2 || frames.shape(1) != bytes)
            throw InputFault("expected frames of shape (N, " + std::to_string(bytes) + ")");
        return {frames.data(), frames.shape(0), bytes, bits, false};
    }

    py::object run(const Frames& frames, bool taps) {
        std::vector<Sink> sinks;
        py::dict arrays;
        py::array last;
        for (const Plan::Tap& tap : engine_.plan().taps()) {
            if (!taps && &tap != &engine_.plan().output()) continue;
            last = output(tap, frames.count);
            arrays[py::str(tap.name)] = last;
            sinks.push_back(sink_of(tap, last));
        }
        {
            py::gil_scoped_release release;
            engine_.run(frames, sinks, std::atomic<bool>{false});
        }
        return taps ? py::object(arrays) : py::object(last);
    }

    static py::array output(const Plan::Tap& tap, int64_t count) {
        std::vector<int64_t> shape{count};
        shape.insert(shape.end(), tap.dims.begin(), tap.dims.end());
        return py::array(tap.wide ? py::dtype::of<int64_t>() : py::dtype::of<int32_t>(), shape);
    }

    static Sink sink_of(const Plan::Tap& tap, py::array& outputs) {
        return {&tap, static_cast<uint8_t*>(outputs.mutable_data()), tap.layout.shape.size() * (tap.wide ? 8 : 4)};
    }

    // What a batch reads and writes, kept until it is collected.
    struct Pending {
        Bytes frames;
        py::array outputs;
    };

    const pid_t pid_ = getpid();
    Engine engine_;
    std::map<int64_t, Pending> pending_;
    std::unique_ptr<Queue> queue_;
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
    } catch (const TimeoutFault& fault) {
        raise("BackendTimeoutError", fault.what());
    }
}

}  // namespace
}  // namespace emulator

void bind_emulator(py::module_& m) {
    using emulator::Emulator;
    py::register_exception_translator(emulator::translate);
    m.def("emulator_kernels", emulator::kernel_names, "Names of the emulator's kernel sets this CPU can run, quickest last.");
    py::class_<Emulator>(m, "Emulator", "An integer network compiled for this CPU; see bitswath.backends.emulator.")
        .def(py::init<const py::tuple&, const py::list&, int, const std::string&, bool, int64_t, bool>(), py::arg("input"),
             py::arg("stages"), py::arg("threads"), py::arg("kernel") = "auto", py::arg("fuse") = true,
             py::arg("room") = 4096, py::arg("winograd") = true)
        .def("frame_bytes", &Emulator::frame_bytes, py::arg("bits"))
        .def("run_packed", &Emulator::run_packed, py::arg("frames").noconvert(), py::arg("bits"))
        .def("run_codes", &Emulator::run_codes, py::arg("codes"), py::arg("taps") = false)
        .def("profile", &Emulator::profile, py::arg("frames").noconvert(), py::arg("bits"))
        .def("submit", &Emulator::submit, py::arg("frames").noconvert(), py::arg("bits"), py::arg("timeout_s"))
        .def("collect", &Emulator::collect, py::arg("number"), py::arg("timeout_s"))
        .def("drop", &Emulator::drop, py::arg("number"))
        .def("close", &Emulator::close)
        .def_property_readonly("progress", &Emulator::progress)
        .def_property_readonly("steps", &Emulator::steps)
        .def_property_readonly("kernel", &Emulator::kernel)
        .def_property_readonly("threads", &Emulator::threads)
        .def_property_readonly("worker_bytes", &Emulator::worker_bytes);
}

}  // namespace bitswath
