"""Faults that users of FINN reported, looked for in what we build with: docs/finn-reports.md tells of each.

finn#1681, #1682: a part-select beyond 48 bits where accumulators are wider than 27, seen at SIMD = 1 and PE = 2.
finn#1561: thresholds in a narrower type than the sums that they are compared with.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from bitswath.hw.generating.rtllib import patched_rtllib
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.folding import find_folding
from bitswath.hw.planning.plan import plan
from bitswath.network.network import INPUT, Conv, Dense, Network, TensorSpec, Threshold
from tests.designs import CACHE
from tests.hw.built import assert_equal, built, bundled
from tests.hw.generating.test_rtllib import FINN_RTLLIB, MVU
from tests.hw.mvu_bench import Core, simulate, verilator

WIDE = tuple(
    {"MW": 8, "MH": 2 * pe, "PE": pe, "SIMD": 1, "ACCU_WIDTH": width, "VERSION": version}
    for version in (1, 2)
    for pe, width in ((2, 14), (2, 27), (2, 28), (2, 32), (3, 32), (4, 32))
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("rtllib") / "finn-rtllib"
    patched_rtllib(FINN_RTLLIB, target)
    return target


def test_a_product_a_cycle_is_right_at_any_width_of_its_sum(library: Path, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 20)
    print(f"seed {seed}")
    cores = [Core("mvu_vvu_axi", seed + i, frames=20, **size) for i, size in enumerate(WIDE)]
    beats = simulate(cores, [library / "mvu" / name for name in MVU], tmp_path / "run")
    for core in cores:
        assert [value for _, value in beats[core]] == core.expected(), core


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("width", [27, 28, 32])
def test_no_part_select_leaves_its_word(library: Path, version: int, width: int) -> None:
    """What Vivado refuses to synthesize is an error of Verilator's, too."""
    size = {"IS_MVU": 1, "MW": 8, "MH": 2, "PE": 2, "SIMD": 1, "ACCU_WIDTH": width, "VERSION": version}
    size |= {"ACTIVATION_WIDTH": 4, "WEIGHT_WIDTH": 4, "NARROW_WEIGHTS": 1}
    options = ["--lint-only", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Werror-SELRANGE"]
    given = [f"-G{name}={value}" for name, value in size.items()]
    files = [str(library / "mvu" / name) for name in MVU]
    found = verilator(*options, "--top-module", "mvu_vvu_axi", *given, *files)
    assert "SELRANGE" not in found.stderr, found.stderr[:600]


def test_sums_far_beyond_the_thresholds_count_as_they_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds of a few bits behind sums of 16: in the type of the sums, in RTL alone, equal to the emulator."""
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))
    rng = np.random.default_rng(5)
    stages = (
        Conv("conv", (INPUT,), rng.integers(-7, 8, (4, 3, 3, 8)), pads=(1, 1, 1, 1)),
        Threshold("act", ("conv",), np.tile(np.array([[-3, -1, 2]]), (4, 1))),
        Dense("fc", ("act",), rng.integers(-7, 8, (3, 4 * 4 * 4))),
    )
    network = Network(TensorSpec((4, 4, 8), 0, 255), stages)
    bundle = bundled(network, tmp_path)
    board = find_board("Pynq-Z2")
    hardware = plan(network, 8, board.link_width)
    foldings = find_folding(hardware, board, margin=0.1, cycles=2500).foldings
    operators = [unit.operator(foldings[unit.name]) for unit in hardware.units]
    assert not [kind for kind in operators if kind.endswith("_hls")]
    built(bundle, board.name, tmp_path / "build")
    assert_equal(bundle, tmp_path / "build", exact=True)
