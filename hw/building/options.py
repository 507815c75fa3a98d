"""What a build is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bitswath.hw.units import Folding

__all__ = ["MARGIN", "Options"]

MARGIN = 0.1
"""Share of each of a board's resources that is left over."""


@dataclass(frozen=True)
class Options:
    """`target_fps`: frames a second at the clock, or None for as many as fit. `folding`: by hand, by unit.

    `clock_hz`: None for the board's own. `margin`: share of each resource to leave. `counts`: count the resources of
    all parts and of the design in one piece ("whole"), of the "parts" only, or leave it at "estimates". `jobs`:
    programs that run at a time. `out_of_context`: with Vivado, place and route the accelerator alone instead of
    making a bitstream. `frames`: packed ones, uint8 (N, W), whose switching activity is simulated for Vivado's estimate
    of power. `instances`: accelerators that share the board and the frames, each a share of `target_fps`. `pixels`: of
    a row that come in a cycle; None for no more than `target_fps`, or the board, has a use for.
    """

    target_fps: float | None = None
    folding: Mapping[str, Folding] | None = None
    clock_hz: float | None = None
    margin: float = MARGIN
    counts: Literal["whole", "parts", "estimates"] = "whole"
    jobs: int = 2
    out_of_context: bool = False
    frames: NDArray[np.uint8] | None = None
    instances: int = 1
    pixels: int | None = None
