"""Fits hw/planning/costs.json to what Yosys counts, and prints how near the fit is.

    python scripts/fit_costs.py [--write] [--designs 16] [BUILD=BUNDLE ...]

Small networks of random shapes and widths are compiled with random foldings and queues, every other one for a part of
the 7 series and for UltraScale+, and each of their stages and queues is counted; builds that are there can be given,
too, each with the bundle it was built from. What is compiled and counted is kept in bitswath's cache, so that a run
that was stopped goes on. A design takes some minutes of one quiet core. Kinds without samples keep their coefficients.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from bitswath.basics.cache import cache_folder
from bitswath.builds.design import Design
from bitswath.builds.folder import read_design
from bitswath.bundle.bundle import Bundle, load_bundle, save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.hw.counting.synthesis import synthesize
from bitswath.hw.counting.yosys import tool
from bitswath.hw.generating.compile import compile_design, save_design
from bitswath.hw.planning import costs, prices
from bitswath.hw.planning.boards import Board, find_board
from bitswath.hw.planning.costs import Resources, structure
from bitswath.hw.planning.options import Options, options_of
from bitswath.hw.planning.plan import plan
from bitswath.hw.rtl import KERNELS
from bitswath.hw.units import Depthwise, MatVec, decoding_of
from bitswath.network.network import INPUT, Add, ArgMax, Conv, Dense, MaxPool, Network, Stage, TensorSpec, Threshold

TABLE = Path(costs.__file__).with_suffix(".json")
BOARDS = ("Pynq-Z2", "KV260_SOM")
MOST_PRODUCTS = 160
"""A cycle, of a unit: what takes Yosys no longer than a minute."""

DEPTHS = (2, 17, 33, 65, 129, 257, 513)
SMALL = 20
"""LUTs or flip-flops that a count may be off by without being wrong."""

Rng = np.random.Generator
Foldings = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Sample:
    """A unit of `kind` with the parameters of its cost, on parts of `family`."""

    kind: str
    sizes: Mapping[str, Any]
    family: str
    counted: Resources


# Designs to count


def network(rng: Rng) -> Network:
    """Convolutions, thresholds, pools, and a residual sum where shapes allow one."""
    side, bands, bits = int(rng.choice([8, 16, 32])), int(rng.choice([1, 3, 4])), int(rng.choice([1, 2, 4, 8]))
    spec, stages = TensorSpec((side, side, bands), 0, 2**bits - 1), list[Stage]()
    known, channels, branch = INPUT, bands, ""
    for index in range(4):
        wide, kernel = int(rng.choice([8, 12, 16, 24, 32])), int(rng.choice([1, 3, 3]))
        wide = channels if branch else wide
        pads = (kernel // 2,) * 4
        stages.append(Conv(f"c{index}", (known,), _weights(rng, (wide, kernel, kernel, channels)), pads=pads))
        levels = 2 ** int(rng.choice([1, 2, 4, 4, 6])) - 1
        stages.append(Threshold(f"t{index}", (f"c{index}",), np.sort(rng.integers(-60, 60, (wide, levels)), axis=1)))
        known, channels = f"t{index}", wide
        if branch:
            stages.append(Add(f"a{index}", (branch, known), (1, int(rng.choice([1, 3])))))
            stages.append(Threshold(f"s{index}", (f"a{index}",), np.sort(rng.integers(0, 40, (wide, 7)), axis=1)))
            known, branch = f"s{index}", ""
        elif index < 3 and rng.random() < 0.4:
            branch = known
        elif side >= 4:
            stages.append(MaxPool(f"m{index}", (known,), (2, 2), (2, 2)))
            known, side = f"m{index}", side // 2
    stages.append(Dense("d", (known,), _weights(rng, (10, side * side * channels))))
    if rng.random() < 0.5:
        stages.append(ArgMax("y", ("d",)))
    return Network(spec, tuple(stages))


def _weights(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    bits = int(rng.choice([1, 2, 3, 4, 4, 8]))
    if bits == 1:
        return rng.choice([-1, 1], shape)
    weights = rng.integers(-(1 << (bits - 1)) + 1, 1 << (bits - 1), shape)
    weights.flat[0] = (1 << (bits - 1)) - 1
    return weights


def foldings(options: Options, rng: Rng) -> Foldings:
    """Any that units and neighbours allow; a depthwise window takes what the unit behind it has."""
    chosen: Foldings = {}
    behind = {edge.source.name: edge for edge in options.edges if edge.depthwise}
    for unit in reversed(options.plan.units):
        allowed = [option.folding for option in options.of[unit.name]]
        if isinstance(unit, MatVec | Depthwise):
            allowed = [folding for folding in allowed if folding["PE"] * folding["SIMD"] <= MOST_PRODUCTS]
        if edge := behind.get(unit.name):
            taken = chosen[edge.sink.name]
            allowed = [f for f in allowed if edge.agree(f, taken) and len(set(edge.widths(f, taken))) == 1]
        chosen[unit.name] = dict(allowed[rng.integers(len(allowed))])
    return chosen


def designed(index: int) -> tuple[Design, Path, Bundle]:
    """The design of that number, compiled once."""
    rng, board = np.random.default_rng(index), find_board(BOARDS[index % len(BOARDS)])
    home = cache_folder("costs") / f"{index}-{_digest()}"
    bundle_path, folder = home / "x.bsw", home / "build"
    if not folder.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        made = network(rng)
        codec, classes = UniformCodec(made.input.bits), [str(label) for label in range(10)]
        bundle = save_bundle(
            bundle_path, network=made, codec=codec, patch_shape=made.input.shape, classes=classes, name=f"costs{index}"
        )
        options = options_of(plan(made, codec.bits, board.link_width), board)
        partial = home / "partial"
        design = compile_design(bundle, board, board.clock_hz, foldings(options, rng), partial)
        streams = tuple(
            stream.model_copy(update={"depth": int(rng.choice(DEPTHS))}) if stream.source and stream.beats else stream
            for stream in design.streams
        )
        save_design(design.model_copy(update={"streams": streams}), partial)
        partial.rename(folder)
    return read_design(folder), folder, load_bundle(bundle_path)


def _digest() -> str:
    room = Path(costs.__file__).parent.parent
    paths = [Path(__file__), *KERNELS.values(), *sorted((room / "worker").rglob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]


# What is counted of them


def samples_of(design: Design, folder: Path, bundle: Bundle) -> Iterator[Sample]:
    """Every stage and queue, with the parameters that the folding search gives the cost model for it."""
    board = find_board(design.board)
    hardware = plan(bundle.network, bundle.codec.bits, design.input.width, decoding_of(bundle))
    units = {unit.name: unit for unit in hardware.units}
    counted = synthesize(design, folder, board, whole=False, jobs=1)
    for problem in counted.problems.values():
        print(f"not counted: {problem}")
    streams = {stream.name: stream for stream in design.streams}
    chosen = {stage.name: stage.folding for stage in design.stages}
    for stage in design.stages:
        asked: list[tuple[str, dict[str, Any]]] = []
        unit = units.get(stage.name.removesuffix("_weights"))
        if unit is not None:
            asked = _asked(unit, chosen[unit.name], board)
        elif stage.kind == "StreamingDataWidthConverter_rtl":
            ends = [streams[name] for side in (stage.inputs, stage.outputs) for name in side.values()]
            widths = [end.bits * end.elements for end in ends]
            asked = [(stage.kind, {"in_width": widths[0], "out_width": widths[1]})]
        for kind, sizes in asked:
            if kind == stage.kind and stage.name in counted.stages:
                yield Sample(kind, sizes, board.yosys_family, counted.stages[stage.name].resources)
    for name, cells in counted.queues.items():
        stream = streams[name]
        sizes = {"depth": stream.depth, "width": stream.width, "style": stream.ram_style, "dsp_block": board.dsp_block}
        yield Sample("StreamingFIFO_rtl", sizes, board.yosys_family, cells.resources)


def _asked(unit: Any, folding: Mapping[str, int], board: Board) -> list[tuple[str, dict[str, Any]]]:
    """What the cost model is asked for a unit."""
    found: list[tuple[str, dict[str, Any]]] = []
    before = prices.cost

    def note(kind: str, **sizes: Any) -> Resources:
        found.append((kind, sizes))
        return Resources()

    try:
        prices.cost = note
        prices.unit_cost(unit, folding, board)
    finally:
        prices.cost = before
    return found


def fit(kind: str, samples: list[Sample]) -> dict[str, list[float]]:
    """Coefficients not below zero; errors count relative to the size, less so for small units."""
    known = [structure(kind, **sample.sizes) for sample in samples]
    features = np.array([entry.features for entry in known], float)
    found = {}
    for name in ("lut", "ff"):
        counts = np.array([getattr(sample.counted, name) for sample in samples], float)
        fixed = np.array([getattr(entry.fixed, name) for entry in known], float)
        weights = np.maximum(counts, 30) ** -0.7
        solution, _ = nnls(features * weights[:, None], np.maximum(counts - fixed, 0) * weights)
        found[name] = [round(float(value), 3) for value in solution]
        near = features @ solution + fixed
        off = np.abs(near - counts)
        for family in sorted({sample.family for sample in samples}):
            own = np.array([sample.family == family for sample in samples])
            good = (off <= np.maximum(0.1 * counts, SMALL))[own].mean()
            total = near[own].sum() / max(counts[own].sum(), 1) - 1
            print(
                f"{kind:32s} {family:5s}{name:4s}{own.sum():4d} samples, total {total:+6.1%}, {good:4.0%} within a"
                f" tenth or {SMALL}, mean {(off / np.maximum(counts, 1))[own].mean():5.1%}"
            )
    for name in ("lutram", "bram36", "uram", "dsp"):
        pairs = [(getattr(s.counted, name), getattr(k.fixed, name)) for s, k in zip(samples, known)]
        if wrong := [pair for pair in pairs if abs(pair[0] - pair[1]) > 0.02 * max(pair)]:
            print(f"{'':32s} {name}: {len(wrong)} of {len(pairs)} differ, such as counted and expected {wrong[0]}")
    return found


def write(table: dict[str, Any], samples: Mapping[str, list[Sample]]) -> None:
    table["source"] = {"tool": tool(), "finn-plus": distribution("finn-plus").version}
    table["source"]["samples"] = {kind: len(entries) for kind, entries in samples.items()}
    lines = (f"    {json.dumps(kind)}: {json.dumps(entry)}" for kind, entry in table["kinds"].items())
    source = json.dumps(table["source"])
    TABLE.write_text(f'{{\n  "source": {source},\n  "kinds": {{\n' + ",\n".join(lines) + "\n  }\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="*", metavar="BUILD=BUNDLE")
    parser.add_argument("--designs", type=int, default=16, help="of random networks")
    parser.add_argument("--write", action="store_true", help="change hw/planning/costs.json")
    given = parser.parse_args()
    samples: dict[str, list[Sample]] = defaultdict(list)
    for index in range(given.designs):
        for sample in samples_of(*designed(index)):
            samples[sample.kind].append(sample)
        print(f"design {index + 1} of {given.designs} counted", flush=True)
    for pair in given.builds:
        folder, _, bundle = pair.partition("=")
        for sample in samples_of(read_design(Path(folder)), Path(folder), load_bundle(Path(bundle))):
            samples[sample.kind].append(sample)
    table = json.loads(TABLE.read_text())
    for kind, entries in samples.items():
        table["kinds"][kind] = fit(kind, entries)
    if given.write:
        write(table, samples)


if __name__ == "__main__":
    main()
