"""Several pixels a cycle: windows, products, thresholds, pools and sums of neighbours, RTL against emulator."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.rtl.backend import RtlBackend
from bitswath.codecs.packing import pack
from bitswath.network.network import (
    INPUT,
    Add,
    Conv,
    Dense,
    MaxPool,
    Network,
    Stage,
    SumPool,
    TensorSpec,
    Threshold,
)
from tests.designs import CACHE
from tests.hw.built import assert_equal, built, bundled

Rng = np.random.Generator
SAME = (1, 1, 1, 1)


@pytest.fixture
def seed() -> int:
    found = secrets.randbelow(2**31)
    print(f"seed {found}")
    return found


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


def rows(rng: Rng, channels: int, count: int, reach: int) -> np.ndarray:
    return np.sort(rng.integers(-reach, reach, (channels, count)), axis=1)


def plain(rng: Rng) -> Network:
    """As the zoo's: convolutions of 3 x 3, pools, a dense layer; the last image comes a pixel a beat."""
    stages: list[Stage] = [
        Conv("c", (INPUT,), rng.integers(-7, 8, (4, 3, 3, 3)), pads=SAME),
        Threshold("a", ("c",), rows(rng, 4, 15, 400)),
        Conv("d", ("a",), rng.integers(-7, 8, (6, 3, 3, 4)), pads=SAME),
        Threshold("b", ("d",), rows(rng, 6, 15, 300), rng.choice([-1, 1], 6).astype(np.int8), base=2),
        MaxPool("m", ("b",), (2, 2), (2, 2)),
        Conv("e", ("m",), rng.integers(-7, 8, (4, 3, 3, 6)), pads=SAME),
        Threshold("f", ("e",), rows(rng, 4, 3, 200)),
        Dense("y", ("f",), rng.integers(-7, 8, (5, 4 * 8 * 4))),
    ]
    return Network(TensorSpec((8, 16, 3), 0, 15), tuple(stages))


def branched(rng: Rng) -> Network:
    """Signed and bipolar values, 1 x 1 products, a sum of two branches, strides, pools that overlap, channel by channel
    products that take a pixel a beat."""
    signs = {"base": -1, "step": 2}
    stages: list[Stage] = [
        Conv("c", (INPUT,), rng.integers(-7, 8, (4, 3, 3, 2)), pads=SAME),
        Threshold("a", ("c",), rows(rng, 4, 7, 100), base=-4),
        MaxPool("m", ("a",), (3, 3), (1, 1), SAME),
        Conv("d", ("m",), rng.integers(-7, 8, (4, 1, 1, 4))),
        Add("sum", ("a", "d"), (3, -1)),
        Threshold("b", ("sum",), rows(rng, 4, 1, 20), rng.choice([-1, 1], 4).astype(np.int8), **signs),  # type: ignore[arg-type]
        Conv("e", ("b",), rng.choice([-1, 1], (4, 1, 1, 4))),
        Threshold("f", ("e",), rows(rng, 4, 1, 3), **signs),  # type: ignore[arg-type]
        Conv("g", ("f",), rng.choice([-1, 1], (6, 3, 3, 4)), strides=(2, 2), pads=(0, 0, 1, 1)),
        Threshold("h", ("g",), rows(rng, 6, 3, 20)),
        Conv("each", ("a",), rng.integers(-7, 8, (4, 3, 3, 1)), groups=4, pads=SAME),
        Threshold("i", ("each",), rows(rng, 4, 3, 60)),
        SumPool("s", ("i",), (2, 2), (2, 2)),
        Dense("p", ("h",), rng.integers(-7, 8, (3, 6 * 4 * 8))),
        Dense("q", ("s",), rng.integers(-7, 8, (3, 4 * 4 * 8))),
        Add("y", ("p", "q"), (1, 1)),
    ]
    return Network(TensorSpec((8, 16, 2), 0, 15), tuple(stages))


@pytest.mark.parametrize(("made", "pixels"), [(plain, 4), (branched, 2)], ids=["plain", "branched"])
def test_neighbours_in_a_beat_equal_the_emulator(
    made: Callable[[Rng], Network], pixels: int, seed: int, tmp_path: Path
) -> None:
    bundle = bundled(made(np.random.default_rng(seed)), tmp_path)
    cycles = (80 if made is plain else 300) * 4 // pixels
    design = built(bundle, "U250", tmp_path / "build", cycles=cycles, pixels=pixels)
    assert any(stage.kind == "LineWindows_rtl" for stage in design.stages)
    assert_equal(bundle, tmp_path / "build", exact=False)
    if made is plain:
        frames = pack(np.random.default_rng(seed).integers(0, 16, (8, 8, 16, 3), np.uint8), 4)
        with RtlBackend(tmp_path / "build", output_shape=bundle.network.output.shape, exact=False) as rtl:
            rtl.collect(rtl.submit(frames))
            assert rtl.statistics().interval <= cycles < 8 * 16
