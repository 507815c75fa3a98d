"""RTL and netlists side by side: fed the same beats with the same pauses and resets, compared in every cycle."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitswath.backends.netlist.parts import Part
from bitswath.backends.netlist.verilog import verilog
from bitswath.backends.netlist.yosys import PRIMITIVES, Module, simulation_models
from bitswath.backends.rtl.verilator import kept_program
from bitswath.errors import BackendError, BackendTimeoutError

__all__ = ["Mismatch", "Stimulus", "Verdict", "run_lockstep"]

HERE = Path(__file__).parent
MAIN = HERE / "bench" / "lockstep.cpp"
_BENCH = tuple(sorted((HERE / "bench").glob("*.sv")))
_CELLS = tuple(sorted(path for path in (HERE / "cells").glob("*.sv") if path != PRIMITIVES))
_OPTIONS = (
    "--top-module",
    "lockstep",
    "--prefix",
    "Vlockstep",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--noassert",
)
_BRIEF = 50_000
"""Cycles up to which optimizing the program takes longer than running it."""
_CUT = 0.4
"""The share of the cycles within which resets come."""


@dataclass(frozen=True)
class Stimulus:
    """`cycles` of a run, `resets` in between; pauses and resets come from `seed`."""

    cycles: int = 20_000
    resets: int = 3
    seed: int = 0

    def cuts(self) -> list[int]:
        """Cycles of the resets, of which most come early."""
        drawn = random.Random(self.seed)
        last = int(_CUT * self.cycles)
        return sorted(64 + int((last - 64) * drawn.random() ** 2) for _ in range(self.resets))


@dataclass(frozen=True)
class Mismatch:
    """The first cycle in which a port of the netlist is not the RTL's; values are those of all its bits."""

    part: str
    port: str
    cycle: int
    expected: int
    actual: int


@dataclass(frozen=True)
class Verdict:
    """Of one part. `values`: comparisons of a port in a cycle, data only while they are valid; `beats`: that left it;
    `mismatches`: the first at each port that differs."""

    part: str
    cycles: int
    values: int
    beats: int
    mismatches: tuple[Mismatch, ...]


def run_lockstep(
    parts: Mapping[Part, Module],
    rtl: Path,
    beats: Mapping[str, Path],
    stimulus: Stimulus,
    *,
    timeout_s: float = 1800.0,
) -> list[Verdict]:
    """Each part beside its netlist, all in one simulation.

    `rtl`: folder of the sources; `beats`: files of hexadecimal lines, what streams into the parts, by the name of the
    stream. Raises `BackendError` if they cannot be simulated, `BuildError` for cells without models.
    """
    numbered = list(enumerate(parts.items()))
    modules = {f"netlist_{index}": verilog(netlist, f"netlist_{index}") for index, (_, netlist) in numbered}
    wrappers = "".join(part.wrapper(f"rtl_{index}") for index, (part, _) in numbered)
    texts = {"parts.sv": wrappers, "lockstep.sv": _bench(list(parts)), **{f"{k}.v": v for k, v in modules.items()}}
    names = list(dict.fromkeys(name for part in parts for name in part.sources))
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        for name, text in texts.items():
            (scratch / name).write_text(text)
        fixed = [simulation_models(), *_CELLS, *_BENCH]
        sources = [rtl / name for name in _packages_first(names)] + fixed + [scratch / name for name in texts]
        digest = _digest([*texts.values(), *(path.read_text() for path in (*fixed, *(rtl / name for name in names)))])
        brief = stimulus.cycles <= _BRIEF
        program = kept_program(f"lockstep {digest}", MAIN, sources, list(_OPTIONS), rtl, timeout_s, brief=brief)
        folder = scratch / "beats"
        folder.mkdir()
        for index, (part, _) in numbered:
            for prefix in part.inputs:
                (folder / f"{index}_{prefix}.beats").symlink_to(beats[part.streams[prefix]].absolute())
        said = _run(program, rtl, folder, stimulus, timeout_s)
    return [_verdict(index, part, said) for index, (part, _) in numbered]


def _packages_first(names: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: not name.endswith("_pkg.sv"))


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _run(program: Path, rtl: Path, beats: Path, stimulus: Stimulus, timeout_s: float) -> list[list[str]]:
    """What the simulation says, in words by line."""
    options = {
        "cycles": stimulus.cycles,
        "seed": stimulus.seed,
        "cuts": ",".join(map(str, stimulus.cuts())),
    }
    command = [str(program), *(f"{key}={value}" for key, value in options.items()), f"+beats={beats}"]
    command += ["+verilator+rand+reset+2", f"+verilator+seed+{stimulus.seed % (1 << 31 - 1) + 1}"]
    try:
        done = subprocess.run(command, cwd=rtl, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        raise BackendTimeoutError(f"RTL and netlists side by side took longer than {timeout_s:g} s") from None
    lines = [line.split() for line in done.stdout.splitlines()]
    if done.returncode or not any(line[:1] == ["CYCLES"] for line in lines):
        last = " ".join((done.stdout + done.stderr).strip().splitlines()[-1:])[:300]
        raise BackendError(f"RTL and netlists side by side ended with {done.returncode}: {last}")
    return lines


def _verdict(index: int, part: Part, said: list[list[str]]) -> Verdict:
    own = [line for line in said if len(line) > 2 and line[1] == str(index)]
    compared = {line[2]: int(line[3]) for line in own if line[0] == "COMPARED"}
    mismatches = tuple(
        Mismatch(part.name, line[2], int(line[3]), int(line[4], 16), int(line[5], 16))
        for line in own
        if line[0] == "DIFFERENT"
    )
    cycles = next(int(line[1]) for line in said if line[0] == "CYCLES")
    beats = min(compared[f"{prefix}_beats"] for prefix in part.outputs)
    values = sum(count for port, count in compared.items() if not port.endswith("_beats"))
    return Verdict(part.name, cycles, values, beats, mismatches)


def _bench(parts: Sequence[Part]) -> str:
    """The module `lockstep`, with all parts in it."""
    blocks = [_beside(index, part) for index, part in enumerate(parts)]
    return (
        "module lockstep (input logic clk, rst_n, compare, input logic [7:0] pause_in, pause_out);\n"
        "logic [63:0] cycle;\nalways_ff @(posedge clk) cycle <= cycle + 1;\ninitial cycle = 0;\n"
        + "".join(blocks)
        + "endmodule\n"
    )


def _beside(index: int, part: Part) -> str:
    """A part's RTL and netlist, what feeds them and what compares them. Of what they give, the RTL's goes on."""
    lines, wires = [], {side: [".clk", ".rst_n"] for side in ("rtl", "netlist")}
    for prefix, width in part.inputs.items():
        name = f"p{index}_{prefix}"
        lines.append(
            f"wire [{width - 1}:0] {name}_tdata; wire {name}_tvalid, rtl_{name}_tready, netlist_{name}_tready;"
        )
        lines.append(
            f'beat_source #(.WIDTH({width}), .NAME("{index}_{prefix}")) source_{name} (.clk, .rst_n,'
            f" .pause(pause_in), .tdata({name}_tdata), .tvalid({name}_tvalid), .tready(rtl_{name}_tready));"
        )
        lines.append(_same(index, f"{prefix}_tready", 1, "compare", f"{name}_tready"))
        for side, given in wires.items():
            given += [f".{prefix}_tdata({name}_tdata)", f".{prefix}_tvalid({name}_tvalid)"]
            given.append(f".{prefix}_tready({side}_{name}_tready)")
    for prefix, width in part.outputs.items():
        name = f"p{index}_{prefix}"
        lines.append(f"wire [{width - 1}:0] rtl_{name}_tdata, netlist_{name}_tdata;")
        lines.append(f"wire rtl_{name}_tvalid, netlist_{name}_tvalid; logic {name}_tready;")
        lines.append(f"always_ff @(posedge clk) {name}_tready <= 8'($urandom()) >= pause_out;")
        lines.append(f"wire {name}_move = rtl_{name}_tvalid && {name}_tready && compare && rst_n;")
        lines.append(_same(index, f"{prefix}_tvalid", 1, "compare", f"{name}_tvalid"))
        lines.append(_same(index, f"{prefix}_tdata", width, f"compare && rtl_{name}_tvalid", f"{name}_tdata"))
        lines.append(_same(index, f"{prefix}_beats", 1, f"{name}_move", f"{name}_tvalid"))
        for side, given in wires.items():
            given += [f".{prefix}_tdata({side}_{name}_tdata)", f".{prefix}_tvalid({side}_{name}_tvalid)"]
            given.append(f".{prefix}_tready({name}_tready)")
    lines += [f"{side}_{index} {side}_of_{index} ({', '.join(given)});" for side, given in wires.items()]
    return "\n".join([*lines, ""])


def _same(index: int, port: str, width: int, on: str, wire: str) -> str:
    return (
        f'same_wires #(.WIDTH({width}), .NAME("{index} {port}")) same_{index}_{port} (.clk, .on({on}), .cycle,'
        f" .rtl(rtl_{wire}), .netlist(netlist_{wire}));"
    )
