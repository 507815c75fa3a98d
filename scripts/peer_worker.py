"""A runtime in an environment of its own, driven through its standard input: `outside` starts it.

`peer_worker.py ENGINE MODEL BATCH THREADS` prints the engine's version, then answers each line: `rate CLOCK SECONDS`
with patches per second of the wall's or the process's time over at least so long, `singles COUNT` with so many
latencies in seconds, `outputs` with what a run gives. Codes are random. Imports nothing of bitswath, which is not
installed here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np

CODES = 16
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def openvino(model: Path, batch: int, threads: int) -> tuple[str, Callable[[], object]]:
    """One stream on so many threads."""
    import openvino as ov

    core = ov.Core()
    graph = core.read_model(model)
    entry = graph.inputs[0]
    shape = [batch, *(size.get_length() for size in list(entry.get_partial_shape())[1:])]
    graph.reshape({entry.get_any_name(): shape})
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(graph, "CPU", settings).create_infer_request()
    request.set_input_tensor(ov.Tensor(codes(shape)))
    return ov.__version__.split("-")[0], request.infer


def onnxruntime(model: Path, batch: int, threads: int) -> tuple[str, Callable[[], object]]:
    """All optimizations; threads do not spin after a run."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    feed = {entry.name: codes([batch, *entry.shape[1:]])}
    return ort.__version__, lambda: session.run(None, feed)


def litert(model: Path, batch: int, threads: int) -> tuple[str, Callable[[], object]]:
    """All operators by XNNPACK, or none. The model's batch is fixed."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.options import CpuOptions, HardwareAccelerator, Options

    options = Options(hardware_accelerators=HardwareAccelerator.CPU, cpu_options=CpuOptions(num_threads=threads))
    graph = CompiledModel.from_file(str(model), options=options)
    if not graph.is_fully_accelerated():
        raise SystemExit("expected a graph that XNNPACK takes all of, but plain kernels of LiteRT are left")
    (signature,) = graph.get_signature_list()
    (entry,) = graph.get_input_tensor_details(signature).values()
    inputs, outputs = graph.create_input_buffers(0), graph.create_output_buffers(0)
    inputs[0].write((codes(entry["shape"]) ^ 128).view(np.int8))
    return version("ai-edge-litert"), lambda: graph.run_by_index(0, inputs, outputs)


def larq(model: Path, batch: int, threads: int) -> tuple[str, Callable[[], object]]:
    """The quickest of its kernels here. The model's batch is fixed.

    The package itself would import TensorFlow, which only its converter needs.
    """
    package = ModuleType("larq_compute_engine")
    spec = find_spec(package.__name__)
    assert spec is not None and spec.submodule_search_locations is not None
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[package.__name__] = package
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    graph = Interpreter(model.read_bytes(), threads, use_indirect_bgemm=True, use_xnnpack=True).interpreter
    (shape,) = graph.input_shapes
    feed = [codes(shape).astype(np.float32)]
    return version("larq-compute-engine"), lambda: graph.predict(feed)


ENGINES = {"openvino": openvino, "onnxruntime": onnxruntime, "litert": litert, "larq": larq}


def codes(shape: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, CODES, shape, np.uint8)


def rate(run: Callable[[], object], batch: int, clock: Callable[[], float], least_s: float) -> float:
    run()
    runs, started = 0, clock()
    while not runs or clock() - started < least_s:
        run()
        runs += 1
    return runs * batch / (clock() - started)


def latency(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main(engine: str, model: str, batch: str, threads: str) -> None:
    release, run = ENGINES[engine](Path(model), int(batch), int(threads))
    print(release, flush=True)
    for line in sys.stdin:
        match line.split():
            case ["rate", clock, seconds]:
                print(rate(run, int(batch), CLOCKS[clock], float(seconds)), flush=True)
            case ["singles", count]:
                print(*(latency(run) for _ in range(int(count))), flush=True)
            case ["outputs"]:
                print(*np.ravel(run()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
