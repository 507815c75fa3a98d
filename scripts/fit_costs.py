"""Fits hw/planning/costs.json to what Yosys counts, and prints how near the fit is.

    python scripts/fit_costs.py [--write] [--samples 16] [BUILD=BUNDLE ...]

FINN's and our cores are synthesized alone with random sizes; windows, padding and thresholds, which FINN generates,
come from build folders, each named with the bundle it was built from. Counts are kept in bitswath's cache. About ten
seconds a core on one quiet core. Kinds without samples keep their coefficients.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from bitswath.basics.cache import cache_folder
from bitswath.builds.folder import read_design
from bitswath.bundle.bundle import load_bundle
from bitswath.hw.counting.synthesis import synthesize
from bitswath.hw.counting.yosys import Cells, map_modules, tool
from bitswath.hw.generating.rtllib import patched_rtllib
from bitswath.hw.planning import costs, prices
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.costs import Resources, clog2, structure
from bitswath.hw.planning.plan import plan
from bitswath.hw.rtl import KERNELS

TABLE = Path(costs.__file__).with_suffix(".json")
FINN_RTLLIB = Path(str(distribution("finn-plus").locate_file("finn/finn-rtllib")))
GROUP = 8

Sample = tuple[str, dict[str, Any], Resources]
Core = tuple[str, dict[str, Any], str]
"""Kind, parameters of its cost, and a module named `part` around it."""


def matvec(rng: random.Random, kind: str = "MVAU_rtl") -> Core:
    wide = kind == "MVAU_rtl"
    weight_bits, act_bits = rng.choice([2, 3, 4, 4, 8] if wide else [1, 1, 2]), rng.choice([2, 3, 4, 4, 8])
    pe, simd = rng.choice([1, 2, 4, 8, 16]), rng.choice([1, 3, 4, 8, 9, 16, 27])
    if pe * simd > 144:
        return matvec(rng, kind)
    rows, columns = simd * rng.choice([1, 2, 8, 16]), pe * rng.choice([1, 2, 4, 8])
    acc_bits = weight_bits + act_bits + clog2(rows)
    sizes = {"pe": pe, "simd": simd, "rows": rows, "columns": columns}
    sizes |= {"weight_bits": weight_bits, "act_bits": act_bits, "acc_bits": acc_bits}
    given = {"MW": rows, "MH": columns, "PE": pe, "SIMD": simd}
    widths = (simd * act_bits, pe * simd * weight_bits, pe * acc_bits)
    if wide:
        given |= {"IS_MVU": 1, "VERSION": 1, "NARROW_WEIGHTS": 1, "ACCU_WIDTH": acc_bits}
        given |= {"ACTIVATION_WIDTH": act_bits, "WEIGHT_WIDTH": weight_bits}
        names, clock = ("s_axis_input", "s_axis_weights", "m_axis_output"), ("ap_clk", "ap_clk2x", "ap_rst_n")
        return kind, sizes, wrapper("mvu_vvu_axi", given, clock, names, widths)
    given |= {"A_BITS": act_bits, "W_BITS": weight_bits, "M_BITS": acc_bits}
    given |= {"W_SIGNED": int(weight_bits > 1), "W_BIPOLAR": int(weight_bits == 1)}
    return kind, sizes, wrapper("lut_mvu", given, ("clk", "rst_n"), ("s_axis", "w_axis", "m_axis"), widths)


def depthwise(rng: random.Random) -> Core:
    weight_bits, act_bits = rng.choice([1, 2, 4, 4, 8]), rng.choice([2, 4, 4, 8])
    pe, simd = rng.choice([1, 2, 4, 8]), rng.choice([1, 3, 9])
    sizes = {"pe": pe, "simd": simd, "weight_bits": weight_bits, "act_bits": act_bits}
    sizes["acc_bits"] = weight_bits + act_bits + 4
    given = {"WINDOW": 9, "PE": pe, "SIMD": simd, "A_BITS": act_bits, "W_BITS": weight_bits}
    given |= {"M_BITS": sizes["acc_bits"], "W_SIGNED": int(weight_bits > 1), "W_BIPOLAR": int(weight_bits == 1)}
    widths = (pe * simd * act_bits, pe * simd * weight_bits, pe * sizes["acc_bits"])
    ports = ("s_axis", "w_axis", "m_axis")
    return "LutVVAU_rtl", sizes, wrapper("lut_vvu", given, ("clk", "rst_n"), ports, widths)


def converter(rng: random.Random) -> Core:
    narrow, wide = rng.choice([4, 8, 12, 16, 32]), rng.choice([2, 3, 4, 8])
    sizes = {"in_width": narrow, "out_width": narrow * wide}
    if rng.random() < 0.5:
        sizes = {"in_width": narrow * wide, "out_width": narrow}
    given = {"IBITS": sizes["in_width"], "OBITS": sizes["out_width"]}
    widths = (sizes["in_width"], sizes["out_width"])
    text = wrapper("dwc_axi", given, ("ap_clk", "ap_rst_n"), ("s_axis", "m_axis"), widths)
    return "StreamingDataWidthConverter_rtl", sizes, text


def queue(rng: random.Random) -> Core:
    depth, width = rng.choice([2, 8, 16, 32, 64, 128, 256, 600]), rng.choice([8, 16, 32, 64, 128])
    style = "auto" if depth <= 257 else "block"
    text = wrapper(
        "stream_fifo",
        {"DEPTH": depth, "WIDTH": width, "RAM_STYLE": f'"{style}"'},
        ("clk", "rst_n"),
        ("s_axis", "m_axis"),
        (width, width),
    )
    return "StreamingFIFO_rtl", {"depth": depth, "width": width, "style": style}, text


KINDS: tuple[Callable[[random.Random], Core], ...] = (
    matvec,
    lambda rng: matvec(rng, "LutMVAU_rtl"),
    depthwise,
    converter,
    queue,
)


def wrapper(
    module: str, given: dict[str, Any], clocks: tuple[str, ...], streams: tuple[str, ...], widths: tuple[int, ...]
) -> str:
    """Module `part` with the same ports; all streams but the last are inputs."""
    ports = [f"input {name}" for name in clocks]
    for i, (name, width) in enumerate(zip(streams, widths)):
        into, out = ("output", "input") if i == len(streams) - 1 else ("input", "output")
        ports += [f"{into} [{-(-width // 8) * 8 - 1}:0] {name}_tdata", f"{into} {name}_tvalid", f"{out} {name}_tready"]
    values = ", ".join(f".{key}({value})" for key, value in given.items())
    return f"module part({', '.join(ports)});\n  {module} #({values}) core (.*);\nendmodule\n"


def swept(samples: int) -> Iterator[Sample]:
    cores = [kind(random.Random(f"{k} {i}")) for k, kind in enumerate(KINDS) for i in range(samples)]
    cores = list({text: (name, sizes, text) for name, sizes, text in cores}.values())
    kept = {text: cache_folder("costs") / f"{digest(text)}.json" for _, _, text in cores}
    missing = [text for _, _, text in cores if not kept[text].exists()]
    for i in range(0, len(missing), GROUP):
        for text, cells in count(missing[i : i + GROUP]):
            kept[text].write_text(json.dumps(dict(cells.by_type)))
        print(f"{min(i + GROUP, len(missing))} of {len(missing)} counted", flush=True)
    for name, sizes, text in cores:
        yield name, sizes, Cells(json.loads(kept[text].read_text())).resources


def digest(text: str) -> str:
    sources = "".join(path.read_text() for path in KERNELS.values())
    return hashlib.sha256(f"{tool()}{sources}{text}".encode()).hexdigest()[:24]


def count(texts: list[str]) -> Iterator[tuple[str, Cells]]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        patched_rtllib(FINN_RTLLIB, folder / "finn")
        sources = [folder / "finn" / "mvu" / name for name in ("mvu_pkg.sv", "add_multi.sv", "replay_buffer.sv")]
        sources += [folder / "finn" / "mvu" / name for name in ("mvu.sv", "mvu_vvu_8sx9_dsp58.sv", "mvu_vvu_axi.sv")]
        sources += [folder / "finn" / name for name in ("fifo/hdl/fifo.sv", "dwc/hdl/vpc.sv", "dwc/hdl/dwc_axi.sv")]
        sources += KERNELS.values()
        for path in sources:
            (folder / path.name).write_bytes(path.read_bytes())
        names = [f"part{i}" for i in range(len(texts))]
        parts = [text.replace("module part(", f"module {name}(") for name, text in zip(names, texts)]
        top = "module top;\n" + "".join(f"  (* keep *) {name} u{name}();\n" for name in names) + "endmodule\n"
        (folder / "parts.sv").write_text("".join(parts) + top)
        files = [*(path.name for path in sources), "parts.sv"]
        log = cache_folder("costs") / "fit.log"
        found = map_modules(folder, files, names, "xc7", top="top", log=log, timeout_s=3600)
    for name, text in zip(names, texts):
        yield text, found[name]


def built(folder: Path, bundle_path: Path) -> Iterator[Sample]:
    """Every stage of a build, with the parameters that the folding search gives the cost model for it."""
    bundle, design = load_bundle(bundle_path), read_design(folder)
    board = find_board(design.board)
    units = {unit.name: unit for unit in plan(bundle.network, bundle.codec.bits, design.input.width).units}
    counted = synthesize(design, folder, board, whole=False)
    counted.check()
    streams = {stream.name: stream for stream in design.streams}
    foldings = {stage.name: stage.folding for stage in design.stages}
    for stage in design.stages:
        asked: list[tuple[str, dict[str, Any]]] = []
        unit = units.get(stage.name.removesuffix("_weights"))
        if unit is not None:
            asked = recorded(lambda unit=unit: prices.unit_cost(unit, foldings[unit.name], board))
        elif stage.kind == "StreamingDataWidthConverter_rtl":
            ends = [streams[stage.inputs["in0_V"]], streams[stage.outputs["out0_V"]]]
            widths = [end.bits * end.elements for end in ends]
            asked = [(stage.kind, {"in_width": widths[0], "out_width": widths[1]})]
        for kind, sizes in asked:
            if kind == stage.kind:
                yield kind, sizes, counted.stages[stage.name].resources


def recorded(ask: Callable[[], Resources]) -> list[tuple[str, dict[str, Any]]]:
    """What `ask` asks the cost model for."""
    found: list[tuple[str, dict[str, Any]]] = []
    before = prices.cost

    def note(kind: str, **sizes: Any) -> Resources:
        found.append((kind, sizes))
        return Resources()

    try:
        prices.cost = note
        ask()
    finally:
        prices.cost = before
    return found


def fit(kind: str, samples: list[tuple[dict[str, Any], Resources]]) -> dict[str, list[float]]:
    """Coefficients not below zero; errors count relative to the size, less so for small units."""
    known = [structure(kind, **sizes) for sizes, _ in samples]
    features = np.array([entry.features for entry in known], float)
    found = {}
    for name in ("lut", "ff"):
        counts = np.array([getattr(count, name) for _, count in samples], float)
        fixed = np.array([getattr(entry.fixed, name) for entry in known], float)
        weights = np.maximum(counts, 30) ** -0.7
        solution, _ = nnls(features * weights[:, None], np.maximum(counts - fixed, 0) * weights)
        found[name] = [round(float(value), 3) for value in solution]
        near = features @ solution + fixed
        errors = np.abs(near / np.maximum(counts, 1) - 1)
        print(
            f"{kind:32s} {name:4s} {len(samples):4d} samples, total {near.sum() / max(counts.sum(), 1) - 1:+6.1%},"
            f" mean error {errors.mean():5.1%}, largest {errors.max():5.1%}"
        )
    for name in ("lutram", "bram36", "dsp"):
        pairs = [(getattr(c, name), getattr(k.fixed, name)) for (_, c), k in zip(samples, known)]
        if wrong := [pair for pair in pairs if abs(pair[0] - pair[1]) > 0.02 * max(pair)]:
            print(f"{'':32s} {name}: {len(wrong)} of {len(pairs)} differ, such as counted and expected {wrong[0]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="*", metavar="BUILD=BUNDLE")
    parser.add_argument("--samples", type=int, default=16, help="of each core")
    parser.add_argument("--write", action="store_true", help="change hw/planning/costs.json")
    given = parser.parse_args()
    samples: dict[str, list[tuple[dict[str, Any], Resources]]] = defaultdict(list)
    for kind, sizes, found in swept(given.samples):
        samples[kind].append((sizes, found))
    for pair in given.builds:
        folder, _, bundle = pair.partition("=")
        for kind, sizes, found in built(Path(folder), Path(bundle)):
            samples[kind].append((sizes, found))
    table = json.loads(TABLE.read_text())
    for kind, entries in samples.items():
        table["kinds"][kind] = fit(kind, entries)
    if given.write:
        table["source"] = {"tool": tool(), "finn-plus": distribution("finn-plus").version, "family": "xc7"}
        table["source"]["samples"] = {kind: len(entries) for kind, entries in samples.items()}
        lines = (f"    {json.dumps(kind)}: {json.dumps(entry)}" for kind, entry in table["kinds"].items())
        source = json.dumps(table["source"])
        TABLE.write_text(f'{{\n  "source": {source},\n  "kinds": {{\n' + ",\n".join(lines) + "\n  }\n}\n")


if __name__ == "__main__":
    main()
