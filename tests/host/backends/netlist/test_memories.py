"""Models of block RAM, UltraRAM and LUT RAM: what Yosys maps memories of every kind to does what the memories do."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.netlist.lockstep import Stimulus, run_lockstep
from bitswath.backends.netlist.mapping import map_parts, read_netlist
from bitswath.backends.netlist.parts import Part
from tests.designs import CACHE

SOURCE = Path(__file__).with_name("memories.sv")
Shape = dict[str, int | str]

MEMORIES: dict[str, Shape] = {
    "read_first": {"ABITS": 10, "WIDTH": 36, "MODE": "read_first"},
    "write_first": {"ABITS": 11, "WIDTH": 9, "MODE": "write_first"},
    "no_change": {"ABITS": 10, "WIDTH": 18, "MODE": "no_change"},
    "two_ports": {"ABITS": 9, "WIDTH": 72, "MODE": "two"},
    "two_narrow": {"ABITS": 12, "WIDTH": 4, "MODE": "two"},
    "bytes": {"ABITS": 10, "WIDTH": 36, "MODE": "two", "BYTES": 1},
    "rom": {"ABITS": 10, "WIDTH": 20, "MODE": "rom", "INIT": "rom.dat"},
    "luts": {"ABITS": 6, "WIDTH": 11, "MODE": "two", "STYLE": "distributed"},
}
ULTRA: dict[str, Shape] = {
    "ultra": {"ABITS": 12, "WIDTH": 72, "MODE": "two", "STYLE": "ultra"},
    "two_ports": MEMORIES["two_ports"],
    "write_first": MEMORIES["write_first"],
    "rom": MEMORIES["rom"],
}


def part(name: str, shape: Shape) -> Part:
    texts = {key: f'"{value}"' if isinstance(value, str) else value for key, value in shape.items()}
    given = ", ".join(f".{key}({value})" for key, value in texts.items())
    abits, width = int(shape["ABITS"]), int(shape["WIDTH"])
    inputs, outputs = {"s_axis": -(-(2 * abits + width + 4) // 8) * 8}, {"m_axis": -(-width // 8) * 8}
    return Part(name, "memory", inputs, outputs, f"  memory #({given}) part (.*);\n", (SOURCE.name,), {"s_axis": name})


@pytest.mark.parametrize(("family", "memories"), [("xcup", ULTRA)])
def test_memories_are_what_they_are_mapped_to(
    family: str, memories: dict[str, Shape], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))
    seed = secrets.randbelow(2**31)
    print(f"seed {seed}")
    rtl = tmp_path / "rtl"
    rtl.mkdir()
    shutil.copy(SOURCE, rtl)
    (rtl / "rom.dat").write_text("\n".join(f"{(i * 0x9E3779B1) >> 7 & 0xFFFFF:05x}" for i in range(1024)))
    random = np.random.default_rng(seed)
    parts, beats = [part(*item) for item in memories.items()], {}
    for one in parts:
        words = random.bytes(5000 * one.inputs["s_axis"] // 8)
        size = one.inputs["s_axis"] // 8
        lines = [words[i : i + size].hex() for i in range(0, len(words), size)]
        beats[one.name] = tmp_path / f"{one.name}.beats"
        beats[one.name].write_text("\n".join(lines))
    mapped = map_parts(parts, rtl, family)
    assert not mapped.problems
    netlists = {one: read_netlist(mapped.files[one.name]) for one in parts}
    kinds = {one.name: {cell["type"] for cell in netlist["cells"].values()} for one, netlist in netlists.items()}
    for name, shape in memories.items():
        wanted = {"distributed": "RAM", "ultra": "URAM288"}.get(str(shape.get("STYLE")), "RAMB")
        assert any(kind.startswith(wanted) for kind in kinds[name]), (name, kinds[name])
    for verdict in run_lockstep(netlists, rtl, beats, Stimulus(20_000, resets=1, seed=seed)):
        assert not verdict.mismatches
        assert verdict.beats > 1000
