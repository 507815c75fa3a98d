"""A second's look at how well the emulator runs on this machine: which kernels it took, and how far they reach."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.emulator import EmulatorBackend, Kernel, available_kernels
from bitswath.bench.turns import CPU_CLOCK, batch_for, interleaved, timed
from bitswath.codecs.packing import pack
from bitswath.network.network import INPUT, Conv, Network, TensorSpec

__all__ = ["Quick", "quick", "sentence"]

TURNS = 5
TURN_S = 0.05
MOST_FRAMES = 256
CHANNELS = 512
SIDE = 8


@dataclass(frozen=True)
class Quick:
    """Of one thread, in processor time: `reach_gmac_per_s` is what the same kernels do in one large pointwise
    convolution, multiplying all the time; `gmac_per_s` counts every product of the network, also those that
    Winograd's form does without."""

    kernel: Kernel
    available: tuple[Kernel, ...]
    patches_per_s: float
    gmac_per_s: float
    reach_gmac_per_s: float

    @property
    def share(self) -> float:
        """Of the reach; more than 1 where products are done without."""
        return self.gmac_per_s / self.reach_gmac_per_s


def quick(network: Network, bits: int, kernel: Kernel = "auto") -> Quick:
    """Measure `network` on random codes of `bits` bits, in turns with the large convolution."""
    rng = np.random.default_rng(0)
    pointwise = _pointwise(rng, bits)
    with ExitStack() as stack:
        measures = {}
        for name, of in (("subject", network), ("reach", pointwise)):
            backend = stack.enter_context(EmulatorBackend(of, bits, threads=1, kernel=kernel))
            codes = rng.integers(of.input.lo, of.input.hi + 1, (MOST_FRAMES, *of.input.shape))
            run = partial(_run, backend, pack(codes.astype(np.uint8), bits))
            batch = batch_for(run, TURN_S, MOST_FRAMES)
            measures[name] = timed(partial(run, batch), batch, CPU_CLOCK)
        rates = {name: statistics.median(values) for name, values in interleaved(measures, TURNS).items()}
    return Quick(
        available_kernels()[-1] if kernel == "auto" else kernel,
        available_kernels(),
        rates["subject"],
        rates["subject"] * network.macs / 1e9,
        rates["reach"] * pointwise.macs / 1e9,
    )


def sentence(found: Quick) -> str:
    """For a terminal."""
    others = ", ".join(kernel for kernel in found.available if kernel != found.kernel)
    return (
        f"Kernels {found.kernel} (also here: {others}): {found.patches_per_s:,.0f} patches/s on one thread, "
        f"{found.gmac_per_s:,.0f} GMAC/s, {found.share:.0%} of the {found.reach_gmac_per_s:,.0f} GMAC/s "
        f"that they reach in one large pointwise convolution."
    )


def _run(backend: EmulatorBackend, frames: NDArray[np.uint8], count: int) -> None:
    backend.collect(backend.submit(frames[:count]))


def _pointwise(rng: np.random.Generator, bits: int) -> Network:
    weights = rng.integers(-7, 8, (CHANNELS, 1, 1, CHANNELS))
    spec = TensorSpec((SIDE, SIDE, CHANNELS), 0, 2 ** min(bits, 4) - 1)
    return Network(spec, (Conv("conv", (INPUT,), weights.astype(np.int8)),))
