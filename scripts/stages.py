"""Where the emulator's time goes, measured from outside: beginnings of the network, each a block longer.

A block is a convolution or product with the thresholds and pools after it. What one beginning takes
longer than the one before is its last block's time. One pixel of the last tensor is kept, so that
handing results out costs nothing.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from benchmark import WALL_CLOCK, Clock, batch_for, interleaved, timed
from numpy.typing import NDArray

from bitswath.backends.emulator import EmulatorBackend
from bitswath.network import Conv, Dense, MaxPool, Network, Stage

RUN_S = 0.03
NOISE_S = 1e-9
"""Per patch; what is less cannot be told from nothing."""

__all__ = ["Block", "block_ends", "measure_blocks"]


@dataclass(frozen=True)
class Block:
    """`name`: its first stage; `share`: of the whole network's time; `gmac_per_s`: of this block alone."""

    name: str
    share: float
    gmac_per_s: float


def block_ends(network: Network) -> list[int]:
    """Numbers of stages at which a beginning may end: nothing but its last tensor is read later."""
    ends = []
    for end in range(1, len(network.stages)):
        earlier = {stage.name for stage in network.stages[: end - 1]}
        read_later = {name for stage in network.stages[end:] for name in stage.inputs}
        if isinstance(network.stages[end], Conv | Dense) and not earlier & read_later:
            ends.append(end)
    return [*ends, len(network.stages)]


def beginning(network: Network, end: int) -> Network:
    """The first `end` stages, and one pixel of their last tensor."""
    stages: tuple[Stage, ...] = network.stages[:end]
    last = stages[-1].name
    shape = network.tensors[last].shape
    if len(shape) == 3:
        stages = (*stages, MaxPool("pixel", (last,), (1, 1), (shape[0], shape[1])))
    return Network(network.input, stages)


def measure_blocks(
    network: Network, bits: int, frames: NDArray[np.uint8], rounds: int, clock: Clock = WALL_CLOCK
) -> list[Block]:
    """Share and rate of each block on one core, on packed frames uint8 (N, frame_bytes)."""
    ends = block_ends(network)
    with ExitStack() as stack:
        backends = [stack.enter_context(EmulatorBackend(beginning(network, end), bits, threads=1)) for end in ends]
        batch = batch_for(lambda count: backends[-1].collect(backends[-1].submit(frames[:count])), RUN_S, len(frames))
        runs = [lambda backend=backend: backend.collect(backend.submit(frames[:batch])) for backend in backends]
        rates = interleaved({str(index): timed(run, batch, clock) for index, run in enumerate(runs)}, rounds)
    taken = np.array([1 / np.array(values) for values in rates.values()])
    seconds = np.median(np.diff(taken, axis=0, prepend=0.0), axis=1).clip(min=NOISE_S)
    macs = np.diff([beginning(network, end).macs for end in ends], prepend=0)
    names = [network.stages[start].name for start in (0, *ends[:-1])]
    return [
        Block(name, float(time / seconds.sum()), float(work / time / 1e9))
        for name, time, work in zip(names, seconds, macs)
    ]
