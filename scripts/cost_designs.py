"""Small networks of random shapes and widths, compiled with random foldings: what the cost model is fitted to."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from functools import cache
from pathlib import Path

import numpy as np

from bitswath.basics.cache import cache_folder
from bitswath.builds.design import Design
from bitswath.builds.folder import read_design
from bitswath.bundle.bundle import Bundle, load_bundle, save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.hw.generating.compile import compile_design, save_design
from bitswath.hw.planning import costs
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.options import Options, options_of
from bitswath.hw.planning.plan import plan
from bitswath.hw.rtl import KERNELS
from bitswath.hw.units import Depthwise, MatVec
from bitswath.network.network import (
    INPUT,
    Add,
    ArgMax,
    Concat,
    Conv,
    Dense,
    MaxPool,
    Network,
    Stage,
    SumPool,
    TensorSpec,
    Threshold,
)

__all__ = ["designed"]

BOARDS = ("Pynq-Z2", "KV260_SOM")
MOST_PRODUCTS = 160
"""A cycle, of a unit: what takes Yosys no longer than a minute."""

DEPTHS = (2, 17, 33, 65, 129, 257, 513)

Rng = np.random.Generator
Foldings = dict[str, dict[str, int]]


def network(rng: Rng) -> Network:
    """Convolutions, some of them channel by channel, thresholds, pools, and two branches where shapes allow them."""
    side, bands, bits = int(rng.choice([8, 16, 32])), int(rng.choice([1, 3, 4])), int(rng.choice([1, 2, 4, 8]))
    spec, stages = TensorSpec((side, side, bands), 0, 2**bits - 1), list[Stage]()
    known, channels, branch = INPUT, bands, ""
    for index in range(4):
        wide, kernel = int(rng.choice([8, 12, 16, 24, 32])), int(rng.choice([1, 3, 3]))
        alone = index > 0 and rng.random() < 0.25
        wide, groups = channels if branch or alone else wide, channels if alone else 1
        weights, pads = _weights(rng, (wide, kernel, kernel, channels // groups)), (kernel // 2,) * 4
        stages += [Conv(f"c{index}", (known,), weights, pads=pads, groups=groups), _levels(rng, index, wide)]
        known, channels = f"t{index}", wide
        if branch:
            known, channels = _joined(rng, stages, (branch, known), wide)
            branch = ""
        elif index < 3 and rng.random() < 0.4:
            branch = known
        elif side >= 4:
            stages.append((MaxPool if rng.random() < 0.7 else SumPool)(f"m{index}", (known,), (2, 2), (2, 2)))
            known, side = f"m{index}", side // 2
    if rng.random() < 0.3:
        stages.append(SumPool("g", (known,), (side, side), (side, side)))
        known, side = "g", 1
    stages.append(Dense("d", (known,), _weights(rng, (10, side * side * channels))))
    if rng.random() < 0.5:
        stages.append(ArgMax("y", ("d",)))
    return Network(spec, tuple(stages))


def _levels(rng: Rng, index: int, wide: int) -> Threshold:
    """Signs, thresholds anywhere, or many along lines."""
    names, levels = (f"t{index}", (f"c{index}",)), 2 ** int(rng.choice([1, 1, 2, 4, 4, 6])) - 1
    if levels == 1 and rng.random() < 0.5:
        return Threshold(*names, rng.integers(-9, 9, (wide, 1)), base=-1, step=2)
    rows = np.sort(rng.integers(-60, 60, (wide, levels)), axis=1)
    if levels > 31 and rng.random() < 0.5:
        rows = np.ceil(rng.uniform(1.5, 5, (wide, 1)) * np.arange(levels)).astype(np.int64) - 60
    return Threshold(*names, rows)


def _joined(rng: Rng, stages: list[Stage], branches: tuple[str, str], wide: int) -> tuple[str, int]:
    """A sum and its thresholds, or both beside each other."""
    index = len(stages)
    if rng.random() < 0.3:
        stages.append(Concat(f"b{index}", branches))
        return f"b{index}", 2 * wide
    stages.append(Add(f"a{index}", branches, (1, int(rng.choice([1, 3])))))
    stages.append(Threshold(f"s{index}", (f"a{index}",), np.sort(rng.integers(0, 40, (wide, 7)), axis=1)))
    return f"s{index}", wide


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
            allowed = [f for f in allowed if edge.agree(f, taken)]
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


@cache
def _digest() -> str:
    """Of all that a compiled design comes from."""
    room, texts = Path(costs.__file__).parent.parent, (network, _weights, _levels, _joined, foldings, designed)
    paths = [*KERNELS.values(), *sorted((room / "generating").rglob("*.py")), *sorted((room / "worker").rglob("*.py"))]
    sources = [inspect.getsource(text).encode() for text in texts]
    return hashlib.sha256(b"".join([*sources, *(path.read_bytes() for path in paths)])).hexdigest()[:12]
