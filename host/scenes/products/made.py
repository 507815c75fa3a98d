"""What a map is once it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle
from bitswath.scenes.grid import Grid
from bitswath.scenes.products.colours import Colour
from bitswath.scenes.settings import MapSettings
from bitswath.scenes.sources.scene import Scene

__all__ = ["Map", "Outputs"]


@dataclass(frozen=True)
class Outputs:
    """Where a map goes; `scores`: a band for each class; `confidence`: the score of the class."""

    labels: Path
    scores: Path | None = None
    confidence: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.labels, self.scores, self.confidence) if path is not None)


@dataclass(frozen=True, eq=False)
class Map:
    """A written map. `counts`: int64 (rows, classes + 1), the pixels of each class in each row, nodata last; `windows`
    in all, of them `resumed` of an earlier run; `bad`: blocks that could not be read; `notes`: what should be known;
    `seconds` in all."""

    outputs: Outputs
    bundle: Bundle
    scene: Scene
    settings: MapSettings
    grid: Grid
    colours: tuple[Colour, ...]
    counts: NDArray[np.int64]
    windows: int
    resumed: int
    bad: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def classes(self) -> tuple[str, ...]:
        return self.bundle.classes

    @property
    def seen(self) -> int:
        """Pixels that have a class."""
        return int(self.counts[:, :-1].sum())
