"""``bitswath build`` as a user runs it: from a bundle to a proved build, and what stops it."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.backends.rtl import backend as rtl
from bitswath.backends.rtl import simulator, verilator
from bitswath.backends.rtl import stand_in as fast
from bitswath.backends.rtl.backend import Statistics
from bitswath.backends.rtl.verilator import ACCELERATOR
from bitswath.basics.files import sha256_of
from bitswath.builds import design
from bitswath.builds.report import Report, read_report
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.bundle.zoo import zoo_path
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BuildError
from bitswath.hw.building import build as building
from bitswath.hw.building import design as making
from bitswath.hw.building import folder as publishing
from bitswath.hw.building.design import Simulated
from bitswath.hw.planning.boards import Board, find_board
from bitswath.hw.planning.folding import Fit
from bitswath.hw.planning.plan import Plan
from bitswath.network import network
from bitswath.network.network import INPUT, Conv, Dense, MaxPool, Network, TensorSpec, Threshold
from tests.designs import CACHE
from tests.vivado.tools import install

SHAPE = (8, 8, 3)
BOARD = "Pynq-Z2"


def small_bundle(folder: Path) -> Bundle:
    rng = np.random.default_rng(7)
    stages = (
        Conv("conv", (INPUT,), rng.integers(-1, 2, (4, 3, 3, 3)), pads=(1, 1, 1, 1)),
        Threshold("act", ("conv",), np.sort(rng.integers(-20, 20, (4, 3)), axis=1)),
        MaxPool("pool", ("act",), (2, 2), (2, 2)),
        Dense("fc", ("pool",), rng.integers(-1, 2, (5, 64))),
    )
    network = Network(TensorSpec(SHAPE, 0, 3), stages)
    return save_bundle(
        folder / "small.bsw", network=network, codec=UniformCodec(2), patch_shape=SHAPE, classes=list("abcde")
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bitswath", *arguments], capture_output=True, text=True, timeout=900, check=False
    )


@pytest.fixture(autouse=True)
def no_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, str, Report]:
    """A bundle, what the command said, and the report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BITSWATH_CACHE", str(CACHE))
        bundle = small_bundle(tmp_path_factory.mktemp("built"))
        done = run("build", str(bundle.path), "--board", BOARD, "--target-fps", "100000")
    assert done.returncode == 0, done.stdout + done.stderr
    return bundle, done.stdout, read_report(bundle.path / "hw" / BOARD)


def test_without_vendor_tools_all_but_the_bitstream_is_built(built: tuple[Bundle, str, Report]) -> None:
    _, said, report = built
    assert "no bitstream was built: vivado not found on the path" in said
    assert report.bitstream is None
    assert report.checked_frames == building.CHECKED_FRAMES
    assert not report.problems


def test_the_report_has_what_was_measured(built: tuple[Bundle, str, Report]) -> None:
    bundle, said, report = built
    folder = bundle.path / "hw" / BOARD
    plain = json.loads((folder / "report.json").read_text())
    assert {"frames_per_s", "latency_cycles", "initiation_interval", "resources"} <= set(plain)
    assert report.frames_per_s == report.clock_hz / report.initiation_interval >= 100_000 * 0.995
    assert report.latency_cycles > report.initiation_interval / 2
    assert report.resources.lut > 0
    assert report.input.frame_bytes == -(-8 * 8 * 3 * 2 // 64) * 8
    assert "<html" in (folder / "report.html").read_text()
    assert f"{report.frames_per_s:,.0f} frames/s at 100 MHz" in said


def test_info_shows_the_build(built: tuple[Bundle, str, Report]) -> None:
    bundle, _, _ = built
    assert BOARD in run("info", str(bundle.path)).stdout


def test_a_second_build_comes_from_the_cache(
    built: tuple[Bundle, str, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("this was built before")

    copy = small_bundle(tmp_path)
    monkeypatch.setattr(making, "compile_design", never)
    monkeypatch.setattr(making, "size_queues", never)
    report, folder = building.build(copy, find_board(BOARD), building.Options(target_fps=100_000))
    assert folder == copy.path / "hw" / BOARD
    assert report.initiation_interval == built[2].initiation_interval


@pytest.mark.parametrize(
    "path",
    [*fast.MODELS.values(), fast.WINDOW, fast.HEADER, *ACCELERATOR.parts]
    + [Path(str(module.__file__)) for module in (building, making, design, fast, network, rtl, simulator, verilator)],
    ids=lambda path: path.name,
)
def test_a_build_in_the_cache_is_of_the_sources_at_hand(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = making._sources.__wrapped__()
    monkeypatch.setattr(making, "sha256_of", lambda file: "changed" if file == path else sha256_of(file))
    assert making._sources.__wrapped__() != before


@pytest.mark.parametrize(("slower", "tries"), [(1.0, 1), (1.05, 2), (1000.0, 1)])
def test_a_design_slower_than_asked_for_is_folded_for_more(
    slower: float, tries: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, tried = 400, list[Simulated]()

    def simulated(
        bundle: Bundle, board: Board, clock_hz: float, options: object, plan: Plan, fit: Fit, step: object
    ) -> Simulated:
        interval = slower * asked * (fit.cycles / tried[0].fit.cycles if tried else 1)
        tried.append(Simulated(plan, fit, tmp_path, tmp_path, Statistics(4, 0, 1, interval, {}), {}))
        return tried[-1]

    monkeypatch.setattr(making, "_simulated", simulated)
    options = building.Options(target_fps=1e8 / asked)
    found = making.simulate(small_bundle(tmp_path), find_board(BOARD), 1e8, options, lambda name: None)
    assert len(tried) == tries
    assert found.interval == min(each.interval for each in tried)
    assert all(after.fit.cycles < before.fit.cycles for before, after in pairwise(tried))
    assert found.interval <= asked or slower == 1000  # where no folding is so much faster


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--board", "Pynq-Z3"), "unknown board 'Pynq-Z3'; did you mean: Pynq-Z"),
        (("--board", BOARD, "--target-fps", "99000000"), "cannot be reached"),
        (("--board", BOARD, "--bitstream"), "no bitstream for Pynq-Z2: vivado not found"),
        (("--board", BOARD, "--folding", "nowhere.json"), "nowhere.json: cannot be read as JSON"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(options: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    bundle = small_bundle(tmp_path)
    done = run("build", str(bundle.path), *options)
    assert done.returncode == 1
    assert reason in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (bundle.path / "hw").exists()


def test_a_failing_compiler_names_its_step_and_log_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"), prepend=":")
    (tmp_path / "broken" / "finn").mkdir(parents=True)
    (tmp_path / "broken" / "finn" / "__init__.py").write_text("raise RuntimeError('no compiler today')")
    bundle = small_bundle(tmp_path)
    with pytest.raises(
        BuildError, match=r"step 'patch finn-rtllib' failed: RuntimeError: no compiler today; see .*log"
    ):
        building.build(bundle, find_board(BOARD), building.Options(target_fps=100_000))
    assert not (bundle.path / "hw").exists()


def test_a_full_disk_leaves_the_bundle_as_it_was(
    built: tuple[Bundle, str, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "rtl/accelerator.sv")

    bundle = small_bundle(tmp_path)
    monkeypatch.setattr(publishing.shutil, "copytree", full)
    with pytest.raises(BuildError, match=r"accelerator.sv: cannot be written \(No space left on device\)"):
        building.build(bundle, find_board(BOARD), building.Options(target_fps=100_000))
    assert not list((bundle.path / "hw").iterdir())


def test_with_vivado_the_bundle_gets_a_bitstream_and_what_was_measured(
    built: tuple[Bundle, str, Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every source that FINN generated is packaged by a stand-in for Vivado, which elaborates them."""
    pytest.importorskip("tkinter", reason="the stand-in for Vivado runs scripts in tkinter's Tcl")
    install(monkeypatch, tmp_path / "tools", "vivado")
    images = tmp_path / "images"
    images.mkdir()
    for index, patch in enumerate(np.random.default_rng(2).integers(0, 256, (3, *SHAPE), np.uint8)):
        Image.fromarray(patch).save(images / f"{index}.png")
    bundle = small_bundle(tmp_path)
    done = run(
        *("build", str(bundle.path), "--board", BOARD, "--target-fps", "100000", "--estimate", "--bitstream"),
        *("--saif", str(images)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Vivado 2023.2, with shell: 26,338 LUT" in done.stdout
    assert "power estimated by Vivado: 1.715 W, from simulated frames" in done.stdout
    folder = bundle.path / "hw" / BOARD
    report = read_report(folder)
    assert report.bitstream == "bitstream" and report.bitstream_reason is None
    assert report.routed is not None and report.routed.activity == "simulated frames"
    assert "power estimated: 1.715 W" in (folder / "report.html").read_text()
    assert "(INSTANCE accelerator" in (folder / "activity.saif").read_text()
    overlay = load_overlay(folder / "bitstream", folder)
    overlay.check_bitfile()
    assert overlay.network == bundle.manifest.files["network.safetensors"].sha256
    assert (overlay.shell, overlay.input.address) == ("bitswath", 0x43C0_0000)


def test_nothing_is_built_into_the_zoo() -> None:
    done = run("build", "zoo:synthetic-u4-w4a4", "--board", BOARD)
    assert done.returncode == 1
    assert "copy it first" in done.stderr
    assert not (zoo_path("synthetic-u4-w4a4") / "hw").exists()
