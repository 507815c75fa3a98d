"""What passes on every stream of a simulated design, for finding the first one that carries something else."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.rtl.backend import pacing
from bitswath.backends.rtl.simulator import Simulator
from bitswath.backends.rtl.stuck import DesignStuckError
from bitswath.backends.rtl.verilator import Variant, compiled
from bitswath.builds.design import Design, Stream
from bitswath.builds.folder import RTL, load_design
from bitswath.builds.words import fill_words

__all__ = ["last_frame_streams", "tap_streams"]


def last_frame_streams(
    folder: Path,
    frames: NDArray[np.uint8],
    *,
    stall: float = 0.0,
    seed: int = 0,
    exact: bool = False,
    timeout_s: float = 1800.0,
) -> Iterator[tuple[Stream, NDArray[np.int64]]]:
    """Streams of the build in `folder` that carry a network's tensor, sources first, with the last frame's integers.

    `frames`: packed, uint8 (N, frame_bytes), or compressed, (N, W); all are run, as an `RtlBackend` with the same
    options runs them. The integers are int64 (beats x elements,) in the tensor's order, fewer if the design stopped
    before. Raises `BackendError` if it cannot be simulated.
    """
    design = load_design(folder)
    with tempfile.TemporaryDirectory() as scratch:
        with contextlib.suppress(DesignStuckError):
            tap_streams(design, folder, frames, Path(scratch), stall=stall, seed=seed, exact=exact, timeout_s=timeout_s)
        for stream in _sources_first(design):
            if stream.tensor is not None and stream.beats:
                yield stream, _read(Path(scratch) / f"{stream.name}.beats", stream, (len(frames) - 1) * stream.beats)


def tap_streams(
    design: Design,
    folder: Path,
    frames: NDArray[np.uint8],
    target: Path,
    *,
    stall: float = 0.0,
    seed: int = 0,
    exact: bool = False,
    timeout_s: float = 1800.0,
) -> None:
    """Run `frames` and leave the beats of every stream in `target`, hexadecimal lines in ``<stream>.beats``.

    Raises `BackendError` if it cannot be simulated or gets stuck; then there are the beats until then.
    """
    model = compiled(design, folder / RTL, Variant(taps=True, fast=not exact), timeout_s=timeout_s)
    ends = pacing(design, stall, seed)
    simulator = Simulator(model, design, folder / RTL, ends, target / "run.log", plus=(f"taps={target}",))
    with contextlib.closing(simulator):
        simulator.send(fill_words(design.input, frames), timeout_s)
        simulator.wait_for(len(frames), timeout_s)


def _sources_first(design: Design) -> list[Stream]:
    streams = {stream.name: stream for stream in design.streams}
    before = {stage.name: {streams[name].source for name in stage.inputs.values()} - {None} for stage in design.stages}
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError:
        order = [stage.name for stage in design.stages]
    return sorted(design.streams, key=lambda stream: order.index(stream.source) if stream.source else -1)


def _read(path: Path, stream: Stream, skipped: int) -> NDArray[np.int64]:
    """The integers of a frame's beats, hexadecimal lines, after those of the frames before it."""
    lines = path.read_text().split()[skipped : skipped + (stream.beats or 0)]
    mask = (1 << stream.bits) - 1
    words = [int(line, 16) for line in lines]
    values = [word >> (i * stream.bits) & mask for word in words for i in range(stream.elements)]
    if stream.signed:
        values = [value - (value >> (stream.bits - 1) << stream.bits) for value in values]
    return np.array(values, np.int64)
