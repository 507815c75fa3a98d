"""The emulator against ONNX Runtime's float32 on the same network, interleaved, medians.

ONNX Runtime gets the bundle's QONNX with its quantizers of activations removed and its weights in
float, so it does the same multiplications and less work between them; each engine runs one batch at a
time at its best setting for the cores given.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.change_batchsize import ChangeBatchSize
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.infer_shapes import InferShapes
from rich.console import Console
from rich.table import Table

from bitswath.backends.emulator import EmulatorBackend, available_kernels
from bitswath.bundle import Bundle, load_bundle
from bitswath.packing import pack

SETTLE_S = 0.2
"""Between runs: ONNX Runtime's threads spin for a while after theirs and would slow the next."""

ROOT = Path(__file__).resolve().parent.parent


def float_session(bundle: Bundle, batch: int, threads: int) -> ort.InferenceSession:
    """ONNX Runtime on the network without quantizers of activations, constants folded, batch fixed."""
    model = ModelWrapper(str(bundle.onnx_path)).transform(InferShapes())
    model = model.transform(FoldConstants(exclude_op_types=[]))
    for node in [node for node in model.graph.node if node.op_type == "Quant"]:
        source, target = node.input[0], node.output[0]
        for consumer in model.graph.node:
            consumer.input[:] = [source if name == target else name for name in consumer.input]
        model.graph.node.remove(node)
    model = model.transform(ChangeBatchSize(batch))
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(model.model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def interleaved(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each, all of them once a round."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            time.sleep(SETTLE_S)
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure(bundle: Bundle, batch: int, threads: int, repeats: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2**bundle.codec.bits, (batch, *bundle.manifest.input.code_shape), np.uint8)
    frames = pack(codes, bundle.codec.bits)
    floats = codes.transpose(0, 3, 1, 2).astype(np.float32)
    session = float_session(bundle, batch, threads)
    name = session.get_inputs()[0].name
    with EmulatorBackend(bundle.network, bundle.codec.bits, threads=threads) as emulator:
        seconds = interleaved(
            {
                "emulator": lambda: emulator.collect(emulator.submit(frames)),
                "onnxruntime": lambda: session.run(None, {name: floats}),
            },
            repeats,
        )
    return {
        "patches_per_s": batch / seconds["emulator"],
        "gmac_per_s": batch * bundle.manifest.network.macs / seconds["emulator"] / 1e9,
        "ort_float_patches_per_s": batch / seconds["onnxruntime"],
        "ratio_ort_float": seconds["onnxruntime"] / seconds["emulator"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", nargs="?", type=Path, default=ROOT / "models" / "zoo" / "eurosat-u4-w4a4.bsw")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    cores = os.cpu_count() or 1
    measured = {
        str(threads): measure(bundle, arguments.batch, threads, arguments.repeats) for threads in sorted({1, cores})
    }
    table = Table("threads", "emulator patches/s", "GMAC/s", "ONNX Runtime float patches/s", "ratio", title=bundle.name)
    for threads, found in measured.items():
        table.add_row(
            threads,
            f"{found['patches_per_s']:,.0f}",
            f"{found['gmac_per_s']:.0f}",
            f"{found['ort_float_patches_per_s']:,.0f}",
            f"{found['ratio_ort_float']:.1f}",
        )
    Console().print(table)
    if arguments.json:
        facts = {
            "bundle": bundle.name,
            "date": datetime.date.today().isoformat(),
            "machine": {"processor": platform.machine(), "cores": cores, "kernel": available_kernels()[-1]},
            "batch": arguments.batch,
            "onnxruntime": ort.__version__,
            "threads": measured,
        }
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
