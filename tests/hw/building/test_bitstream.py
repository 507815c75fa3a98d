"""From a build to a bitstream through the stand-ins for Vivado and Vitis as programs, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tkinter", reason="the stand-in for Vivado runs scripts in tkinter's Tcl")

from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.builds.report import Counts
from bitswath.codecs.packing import pack
from bitswath.errors import BuildError
from bitswath.hw.building.activity import record_activity
from bitswath.hw.building.bitstream import make_bitstream, missing_tools
from bitswath.hw.planning.boards import Board, find_board
from bitswath.hw.vendor import tools
from tests.designs import CACHE, random_codes, residual
from tests.vivado.tools import install

PLATFORM = "xilinx_u250_gen3x16_xdma_4_1_202210_1"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """The residual design for a Pynq-Z2."""
    residual(tmp_path / "sized")
    return tmp_path / "sized"


@pytest.fixture
def board() -> Board:
    return find_board("Pynq-Z2")


@pytest.fixture(autouse=True)
def no_version_kept() -> None:
    tools._version.cache_clear()


def test_a_bitstream_of_ours(build: Path, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, tmp_path / "tools", "vivado", version="2024.1")
    steps: list[str] = []
    made = make_bitstream(board, build, on_step=steps.append)
    assert steps[:4] == ["packaging idma", "packaging dataflow", "packaging odma", "block design"]
    overlay = load_overlay(made.folder, build)
    overlay.check_bitfile()
    assert (overlay.shell, overlay.input.engine, overlay.output.engine) == ("bitswath", "idma0", "odma0")
    assert (overlay.input.address, overlay.output.address) == (0x43C0_0000, 0x43C1_0000)
    assert overlay.clock_hz == pytest.approx(100e6)
    routed = made.routed
    assert (routed.tool, routed.of, routed.slack_ns) == ("Vivado 2024.1", "with shell", 0.214)
    assert routed.counted == Counts(lut=26338, lutram=3368, ff=44974, bram36=80.5, dsp=12)
    assert routed.power_estimated is not None and routed.power_estimated.confidence == "Low"
    assert routed.activity == "Vivado's default"
    before = len(steps)
    assert make_bitstream(board, build, on_step=steps.append) == made and len(steps) == before, "it was made before"


def test_power_rests_on_frames_that_were_simulated(
    build: Path, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))
    install(monkeypatch, tmp_path / "tools", "vivado")
    activity = record_activity(build, pack(random_codes(3, 1), 4))
    for out_of_context, path in ((False, "system_i dataflow0 inst core"), (True, "core")):
        made = make_bitstream(board, build, activity=activity, out_of_context=out_of_context)
        assert made.routed.activity == "simulated frames"
        assert made.routed.power_estimated is not None and made.routed.power_estimated.confidence == "High"
        text = (made.folder / "reports" / "activity.saif").read_text()
        assert text.count("(") == text.count(")")
        names = [word.split()[0] for word in text.split("(INSTANCE ")[1:]][: len(path.split()) + 1]
        assert names == ["design", *path.split()]
        assert text.count("(NET") == activity.read_text().count("(NET")


def test_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    design = residual(tmp_path / "sized", word=512)
    install(monkeypatch, tmp_path / "tools")
    board = find_board("U250")
    monkeypatch.setenv("PLATFORM_REPO_PATHS", str(tmp_path / "platforms"))
    with pytest.raises(BuildError, match=r"no platform xilinx_u250_gen3x16_xdma_. for U250 in .*platforms or"):
        make_bitstream(board, tmp_path / "sized")
    for name in (PLATFORM, PLATFORM.replace("4_1_202210", "3_1_202020")):
        (tmp_path / "platforms" / name).mkdir(parents=True)
        (tmp_path / "platforms" / name / f"{name}.xpfm").write_text("")
    steps: list[str] = []
    made = make_bitstream(board, tmp_path / "sized", on_step=steps.append)
    assert steps[0] == f"v++ for {PLATFORM}", "the newest, and packages from before"
    overlay = load_overlay(made.folder, tmp_path / "sized")
    overlay.check_bitfile()
    assert overlay.is_alveo and overlay.input.address is None and overlay.clock_hz == design.clock_hz


def test_timing_that_is_not_met_is_refused_with_a_clock_that_would_do(
    build: Path, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path / "tools", "vivado", slack=-2.002)
    wanted = r"timing is not met at 100 MHz: worst slack -2.002 ns, .* 8 late; build with --clock-mhz 83.3 or less"
    for _ in range(2):
        with pytest.raises(BuildError, match=wanted):
            make_bitstream(board, build)


def test_a_run_that_fails_names_its_log_and_may_be_repeated(
    build: Path, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path / "tools", "vivado", fails="impl_1")
    with pytest.raises(BuildError, match=r"vivado: run impl_1 failed: route_design ERROR; .*; see .*system.log"):
        make_bitstream(board, build)
    monkeypatch.setenv("STAND_IN", json.dumps({}))
    steps: list[str] = []
    make_bitstream(board, build, on_step=steps.append)
    assert steps[0] == "block design", "packages are kept"


@pytest.mark.parametrize(
    ("setup", "told"),
    [
        ({"version": "2021.1"}, "expected version 2022.2 or later, found 2021.1"),
        ({"parts": []}, "this Vivado 2023.2 has no part xc7z020clg400-1; install its device support"),
    ],
)
def test_a_vivado_that_cannot(
    build: Path, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setup: dict[str, object], told: str
) -> None:
    install(monkeypatch, tmp_path / "tools", "vivado", **setup)
    with pytest.raises(BuildError, match=told):
        make_bitstream(board, build)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("echo nonsense; exit 0", "expected it to say its version, it said 'nonsense'"),
        ("[ $1 = -version ] && echo vivado v2023.2 && exit; echo ERROR: license; exit 1", "vivado: license; see"),
        ("[ $1 = -version ] && echo vivado v2023.2 && exit; echo gone; exit 9", "exit code 9 after saying 'gone'"),
        ("[ $1 = -version ] && echo vivado v2023.2 && exit; exit 0", "Vivado ended without a package of idma; see"),
        (
            "[ $1 = -version ] && echo vivado v2023.2 && exit; sleep 60",
            "vivado took longer than 2 s; see .*package.log",
        ),
    ],
)
def test_a_vivado_that_misbehaves(
    build: Path, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, told: str
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "vivado").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "tools" / "vivado").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "tools"), prepend=":")
    with pytest.raises(BuildError, match=told):
        make_bitstream(board, build, timeout_s=2.0)


def test_without_vivado(build: Path, board: Board, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_tools(board) == "vivado not found on the path; it needs Vivado 2022.2 or later"
    with pytest.raises(
        BuildError, match=r"no bitstream for U250: vivado and v.. not found on the path; it needs Vitis"
    ):
        make_bitstream(find_board("U250"), build)
    with pytest.raises(BuildError, match="there is no shell for VCK190"):
        make_bitstream(find_board("VCK190"), build)


KILLED = """
import sys
from pathlib import Path
from bitswath.hw.building.bitstream import make_bitstream
from bitswath.hw.planning.boards import find_board
make_bitstream(find_board("Pynq-Z2"), Path(sys.argv[1]), on_step=lambda name: print(name, flush=True))
"""


@pytest.mark.parametrize("step", ["packaging odma", "place and route"])
def test_a_run_that_was_killed_goes_on(
    build: Path, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    install(monkeypatch, tmp_path / "tools", "vivado")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(build)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == step:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)
    steps: list[str] = []
    made = make_bitstream(board, build, on_step=steps.append)
    assert steps[0] == ("packaging idma" if step == "packaging odma" else "block design")
    load_overlay(made.folder, build).check_bitfile()


def test_activity_is_that_of_a_waveform(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes of the ports in the SAIF file are those in a VCD file of the same frames, read here. How long a
    simulation goes on behind the last frame is up to the host."""
    from bitswath.backends.rtl.backend import RtlBackend

    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))
    frames = pack(random_codes(2, 5), 4)
    steps: list[str] = []
    written = record_activity(build, frames, steps.append)
    saif = written.read_text()
    assert record_activity(build, frames, steps.append) == written and len(steps) == 1, "simulated once"
    with RtlBackend(build, exact=True, trace=tmp_path / "wave.vcd") as simulated:
        simulated.collect(simulated.submit(frames))
    changes, last_ps = toggles((tmp_path / "wave.vcd").read_text())
    assert last_ps % 5000 == 0, "half a period of 100 MHz"
    top = saif[: saif.index("(INSTANCE", saif.index("(NET"))]

    def counted(name: str) -> int:
        (line,) = (line for line in top.splitlines() if line.strip().startswith(f"({name} "))
        return int(line.partition("(TC ")[2].partition(")")[0])

    for name in ("s_axis_tvalid", "m_axis_tvalid", "s_axis_tready"):
        assert abs(counted(name) - changes[name]) <= 1 and changes[name] >= 2, name
    duration_ps = int(saif.partition("(DURATION ")[2].partition(")")[0])
    assert "(TIMESCALE 1 ps)" in saif
    assert abs(counted("clk") - duration_ps / 5000) <= 1, "it changes every half period"


def toggles(vcd: str) -> tuple[dict[str, int], int]:
    """How often each one-bit signal of the top changes between 0 and 1, and the last time."""
    head, _, body = vcd.partition("$enddefinitions")
    names, depth = {}, 0
    for line in head.splitlines():
        words = line.split()
        if words[:1] == ["$scope"]:
            depth += 1
        elif words[:1] == ["$upscope"]:
            depth -= 1
        elif words[:1] == ["$var"] and depth <= 2 and words[2] == "1":
            names.setdefault(words[4], words[3])
    last: dict[str, str] = {}
    counts: dict[str, int] = dict.fromkeys(names.values(), 0)
    time_ps = 0
    for line in body.splitlines():
        if line.startswith("#"):
            time_ps = int(line[1:])
        elif line[:1] in ("0", "1") and line[1:] in counts:
            counts[line[1:]] += last.get(line[1:], line[0]) != line[0]
            last[line[1:]] = line[0]
    return {name: counts[code] for name, code in names.items()}, time_ps


def test_frames_of_images_are_evenly_drawn(tmp_path: Path) -> None:
    from PIL import Image

    from bitswath.bundle.bundle import load_bundle
    from bitswath.bundle.zoo import zoo_path
    from bitswath.hw.building.activity import frames_of

    bundle = load_bundle(zoo_path("synthetic-u4-w4a4"))
    height, width, bands = bundle.manifest.input.patch_shape
    patches = np.random.default_rng(3).integers(0, 256, (5, height, width, bands), np.uint8)
    for index, patch in enumerate(patches):
        Image.fromarray(patch).save(tmp_path / f"{index}.png")
    np.testing.assert_array_equal(frames_of(bundle, tmp_path, 2), bundle.codec.encode_packed(patches[[0, 2]]))
