"""Networks as other people's graphs give them, with every stage that bitswath's own have not: RTL against emulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

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
    Take,
    TensorSpec,
    Threshold,
)
from tests.designs import CACHE
from tests.hw.built import assert_equal, built, bundled

Rng = np.random.Generator


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


def codes(shape: tuple[int, int, int], bits: int, lo: int, step: int = 1) -> tuple[TensorSpec, Threshold]:
    """Codes, and the integers that they number."""
    spec = TensorSpec(shape, 0, 2**bits - 1)
    return spec, Threshold("x", (INPUT,), np.arange(1, 2**bits)[np.newaxis], base=lo, step=step)


def rows(rng: Rng, channels: int, count: int, reach: int) -> NDArray[np.int64]:
    return np.sort(rng.integers(-reach, reach, (channels, count)), axis=1)


def levels(rng: Rng, channels: int, count: int, lo: int, hi: int) -> NDArray[np.int64]:
    """Of a quantizer: evenly spaced, but for ties that go to even numbers and sums that were rounded."""
    slopes = rng.uniform(0.8, 1, (channels, 1)) * (hi - lo) / count
    found = np.ceil(lo + slopes * np.arange(count)) + rng.integers(0, 2, (channels, count))
    return np.maximum.accumulate(found.astype(np.int64), axis=1)


def directions(rng: Rng, channels: int) -> NDArray[np.int8]:
    return rng.choice([-1, 1], channels).astype(np.int8)


def signed_image(rng: Rng) -> Network:
    """Signed codes, padded with zeros and with what is least; groups; a step other than 1; thresholds that fall."""
    spec, x = codes((6, 5, 4), 4, -8)
    stages: list[Stage] = [
        x,
        MaxPool("most", ("x",), (3, 3), (1, 1), (1, 1, 1, 1)),
        Conv("c", ("most",), rng.integers(-7, 8, (6, 3, 3, 2)), pads=(1, 1, 1, 1), groups=2),
        Threshold("a", ("c",), rows(rng, 6, 3, 60), directions(rng, 6), base=-3, step=2),
        Conv("d", ("x",), rng.integers(-7, 8, (6, 1, 1, 4))),
        Add("sum", ("a", "d"), (100001, -37)),
        Threshold("b", ("sum",), rows(rng, 6, 5, 200000), directions(rng, 6), base=1),
        SumPool("total", ("b",), (6, 5), (1, 1)),
        Dense("y", ("total",), rng.integers(-7, 8, (3, 6))),
    ]
    return Network(spec, tuple(stages))


def signs(rng: Rng) -> Network:
    """-1 and +1 as input and inside, where zeros and sums of them come up."""
    spec, x = codes((5, 5, 3), 1, -1, 2)
    bits = {"base": -1, "step": 2}
    stages: list[Stage] = [
        x,
        Conv("c", ("x",), rng.choice([-1, 1], (4, 3, 3, 3)), pads=(1, 1, 1, 1)),
        Threshold("a", ("c",), rows(rng, 4, 1, 6), directions(rng, 4), **bits),  # type: ignore[arg-type]
        MaxPool("m", ("a",), (2, 2), (1, 1), (1, 0, 0, 1)),
        Concat("both", ("m", "a")),
        Threshold("f", ("both",), rows(rng, 8, 1, 1), directions(rng, 8), **bits),  # type: ignore[arg-type]
        Take("some", ("f",), (6, 5, 8), padding((5, 5, 8), (1, 0, 0, 0)), fill=-1),
        SumPool("s", ("some",), (2, 1), (2, 1)),
        Take("flat", ("s",), (3 * 5 * 8,), np.arange(120)),
        Dense("y", ("flat",), rng.integers(-7, 8, (4, 120))),
        ArgMax("label", ("y",)),
    ]
    return Network(spec, tuple(stages))


def moved(rng: Rng) -> Network:
    """What slices, repeats, reorders and flattens, and thresholds that differ by position."""
    spec, x = codes((6, 8, 4), 3, -2)
    pixels = np.arange(6 * 8 * 4).reshape(6, 8, 4)
    nearest = np.arange(3 * 4 * 6).reshape(3, 4, 6).repeat(2, 0).repeat(2, 1).reshape(-1)
    depth_to_space = np.arange(3 * 4 * 24).reshape(3, 4, 2, 2, 6).transpose(0, 2, 1, 3, 4).reshape(-1)
    zeros = np.full((5, 7, 6), -1)
    zeros[::2, ::2] = np.arange(72).reshape(3, 4, 6)
    stages: list[Stage] = [
        x,
        Take("crop", ("x",), (3, 4, 4), pixels[2:5, 1:5].reshape(-1)),
        Take("channels", ("x",), (3, 4, 2), pixels[::2, ::2, [3, 1]].reshape(-1)),
        Concat("joined", ("crop", "channels")),
        Take("flat", ("joined",), (72,), np.arange(72)),
        Threshold("t", ("flat",), rows(rng, 72, 3, 5), directions(rng, 72)),
        Take("image", ("t",), (3, 4, 6), np.arange(72)),
        Take("spread", ("image",), (5, 7, 6), zeros.reshape(-1)),
        Conv("deconvolved", ("spread",), rng.integers(-3, 4, (6, 2, 2, 6)), pads=(1, 1, 1, 0)),
        Take("nearest", ("image",), (6, 8, 6), nearest),
        Conv("deep", ("image",), rng.integers(-3, 4, (24, 1, 1, 6))),
        Take("space", ("deep",), (6, 8, 6), depth_to_space),
        Take("framed", ("deconvolved",), (6, 8, 6), padding((6, 7, 6), (0, 1, 0, 0)), fill=-5),
        Add("sum", ("nearest", "space", "framed"), (1, 2, -1)),
    ]
    return Network(spec, tuple(stages))


def signal(rng: Rng) -> Network:
    """A 1-D signal of two channels, many levels, and two outputs side by side."""
    spec, x = codes((1, 32, 2), 8, -128)
    stages: list[Stage] = [
        x,
        Conv("c", ("x",), rng.integers(-7, 8, (4, 1, 3, 2)), pads=(0, 1, 0, 1)),
        Threshold("a", ("c",), levels(rng, 4, 255, -2000, 2000), directions(rng, 4)),
        MaxPool("m", ("a",), (1, 2), (1, 2)),
        Conv("d", ("m",), rng.integers(-7, 8, (4, 1, 5, 1)), (1, 2), dilations=(1, 2), groups=4),
        Take("last", ("d",), (8,), np.arange(16).reshape(4, 4)[2:].reshape(-1)),
        Dense("e", ("d",), rng.integers(-7, 8, (3, 16))),
        Concat("y", ("last", "e")),
    ]
    return Network(spec, tuple(stages))


def padding(shape: tuple[int, int, int], pads: tuple[int, int, int, int]) -> NDArray[np.int64]:
    """The index of an image with a constant around it: top, left, bottom, right."""
    top, left, bottom, right = pads
    pixels = np.arange(int(np.prod(shape))).reshape(shape)
    return np.pad(pixels, ((top, bottom), (left, right), (0, 0)), constant_values=-1).reshape(-1)


@pytest.mark.parametrize(("form", "cycles"), [(signed_image, 300), (signs, 2500), (moved, 300), (signal, 300)])
def test_a_network_of_such_forms_in_rtl_equals_the_emulator(
    form: Callable[[Rng], Network], cycles: int, tmp_path: Path
) -> None:
    bundle = bundled(form(np.random.default_rng(5)), tmp_path)
    built(bundle, "Pynq-Z2", tmp_path / "build", {"line": 1}, cycles=cycles)
    assert_equal(bundle, tmp_path / "build", exact=False)
