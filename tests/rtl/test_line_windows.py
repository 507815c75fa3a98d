"""Windows of several pixels a beat: each lane gives its windows of a padded image, whole, under any stalls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tests.rtl.simulate import FULL_RATE, SCENARIOS, from_beats, simulate, to_beats

IMAGES, BITS = 3, 3


@dataclass(frozen=True)
class Shape:
    """`pads`: (top, left, bottom, right)."""

    pixels: int
    channels: int
    image: tuple[int, int]
    kernel: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    steps: int = 0  # a frame

    @property
    def parameters(self) -> dict[str, int]:
        names = ("HEIGHT", "WIDTH", "KERNEL_H", "KERNEL_W", "STRIDE_H", "STRIDE_W", "TOP", "LEFT", "BOTTOM", "RIGHT")
        sizes = dict(zip(names, (*self.image, *self.kernel, *self.strides, *self.pads)))
        return {"PIXELS": self.pixels, "PIXEL_BITS": self.channels * BITS, **sizes}

    @property
    def lanes(self) -> int:
        return max(self.pixels // self.strides[1], 1)

    def windows(self, images: NDArray[np.int64]) -> NDArray[np.int64]:
        """(images, rows, columns, kernel height * kernel width * channels)."""
        top, left, bottom, right = self.pads
        padded = np.pad(images, ((0, 0), (top, bottom), (left, right), (0, 0)))
        windows = sliding_window_view(padded, self.kernel, axis=(1, 2))[:, :: self.strides[0], :: self.strides[1]]
        turned = windows.transpose(0, 1, 2, 4, 5, 3)
        return turned.reshape(*turned.shape[:3], -1)


SHAPES = [
    Shape(1, 2, (5, 6), steps=6 * 7),
    Shape(2, 3, (6, 8), steps=7 * 5),
    Shape(4, 3, (4, 8), steps=5 * 3),
    Shape(4, 1, (8, 16), (5, 5), pads=(2, 2, 2, 2), steps=10 * 5),
    Shape(4, 2, (6, 8), (2, 2), (2, 2), (0, 0, 0, 0), steps=6 * 2),
    Shape(2, 1, (7, 8), (3, 3), (2, 2), (0, 0, 1, 1), steps=7 * 5),
    Shape(2, 2, (6, 12), (3, 3), (2, 4), (1, 1, 1, 0), steps=6 * 6),
    Shape(2, 4, (3, 4), (1, 1), pads=(0, 0, 0, 0), steps=3 * 2),
    Shape(4, 2, (3, 8), (1, 3), pads=(0, 1, 0, 1), steps=3 * 3),
    Shape(2, 1, (5, 8), (3, 1), pads=(1, 0, 1, 0), steps=6 * 4),
    Shape(2, 1, (6, 10), (3, 3), pads=(0, 0, 0, 0), steps=6 * 5),
    Shape(4, 1, (4, 8), (3, 5), pads=(2, 4, 0, 0), steps=4 * 2),
    Shape(2, 2, (1, 8), (1, 3), pads=(0, 1, 0, 1), steps=5),
    Shape(2, 1, (1, 8), (3, 3), steps=2 * 5),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_lane_gives_its_windows(seed: int, shape: Shape) -> None:
    images = np.random.default_rng(seed).integers(0, 2**BITS, (IMAGES, *shape.image, shape.channels))
    windows = shape.windows(images)
    lanes = windows.reshape(IMAGES * windows.shape[1], -1, shape.lanes, windows.shape[-1])
    beats = to_beats(images.reshape(-1, shape.pixels * shape.channels), BITS)
    given = [len(lanes) * lanes.shape[1]] * shape.lanes
    parameters = shape.parameters
    for run in simulate("line_windows", parameters, {"s_axis": [beats]}, {"m_axis": given}, seed=seed):
        for lane, found in enumerate(run.beats["m_axis"]):
            y = from_beats(found, windows.shape[-1], BITS, False)
            np.testing.assert_array_equal(y, lanes[:, :, lane].reshape(y.shape), err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            taken = run.cycles["m_axis"][0]
            ends = taken[len(taken) // IMAGES - 1 :: len(taken) // IMAGES]
            assert np.diff(ends).tolist() == [shape.steps] * (IMAGES - 1)


def test_one_image_leaves_before_the_next_comes(seed: int) -> None:
    """The last windows need no beat of another image."""
    shape = Shape(2, 1, (4, 8))
    images = np.random.default_rng(seed).integers(0, 2**BITS, (1, *shape.image, 1))
    windows = shape.windows(images).reshape(-1, 2, 9)
    (run,) = simulate(
        "line_windows",
        shape.parameters,
        {"s_axis": [to_beats(images.reshape(-1, 2), BITS)]},
        {"m_axis": [16, 16]},
        seed=seed,
        scenarios=[SCENARIOS[1]],
    )
    for lane, found in enumerate(run.beats["m_axis"]):
        np.testing.assert_array_equal(from_beats(found, 9, BITS, False), windows[:, lane])
