"""Where the emulator's time goes: its own profile of one thread, step by step.

A step is a convolution, product, pool or sum with the thresholds and the pool that are computed with it, and
has the name of the tensor it writes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping
from typing import Any

from benchmark import Facts

from bitswath.network.network import Network

__all__ = ["Profile", "kernel_shares", "measure_steps", "step_macs"]

Profile = list[tuple[str, str, float]]
"""(tensor, kernel, seconds), as `EmulatorBackend.profile` gives it."""


def step_macs(network: Network, tensors: Collection[str]) -> dict[str, int]:
    """Multiply-accumulates per frame from those of `tensors` that each of them is computed from."""
    stages = {stage.name: (stage, specs) for stage, specs in network.walk()}

    def behind(name: str) -> int:
        stage, specs = stages[name]
        fused = [source for source in stage.inputs if source in stages and source not in tensors]
        return stage.macs(*specs) + sum(map(behind, fused))

    return {name: behind(name) for name in tensors if name in stages}


def measure_steps(network: Network, profile: Callable[[], Profile], frames: int, count: int) -> Facts:
    """By tensor, of the medians over `count` profiles of `frames` frames: "kernel", "us" a frame, "share" of all
    steps, and "gmac_per_s", None where there is nothing to multiply."""
    profile()
    profiles = [profile() for _ in range(count)]
    seconds = [statistics.median(taken for _, _, taken in step) / frames for step in zip(*profiles)]
    names = [name for name, _, _ in profiles[0]]
    macs = step_macs(network, names)
    return {
        name: {
            "kernel": kernel,
            "us": 1e6 * taken,
            "share": taken / sum(seconds),
            "gmac_per_s": macs[name] / taken / 1e9 if macs.get(name) else None,
        }
        for (name, kernel, _), taken in zip(profiles[0], seconds)
    }


def kernel_shares(blocks: Mapping[str, Any]) -> dict[str, float]:
    """The part of the time in all steps of each kernel, the largest first."""
    shares: dict[str, float] = {}
    for step in blocks.values():
        shares[step["kernel"]] = shares.get(step["kernel"], 0.0) + step["share"]
    return dict(sorted(shares.items(), key=lambda kernel: -kernel[1]))
