"""Whether the netlists of a build do in every cycle what its RTL does: each part for itself, and all in one piece."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.netlist.lint import Finding, lint, second_front_end
from bitswath.backends.netlist.lockstep import Stimulus, Verdict, run_lockstep
from bitswath.backends.netlist.mapping import GROUP, map_parts, part_key, read_netlist
from bitswath.backends.netlist.parts import Part, parts_of, source_names, whole_of
from bitswath.backends.netlist.yosys import tool
from bitswath.backends.rtl.taps import tap_streams
from bitswath.builds.design import Design
from bitswath.builds.folder import RTL, load_design
from bitswath.errors import VerificationError

__all__ = ["NetlistCheck", "check_netlists", "family_of"]

_CYCLES = 20_000
_PATIENCE = 10
"""A part that gives nothing in `_CYCLES` gets so many times as many."""

_ULTRASCALE = ("xczu", "xck", "xcu", "xcv")


@dataclass(frozen=True)
class NetlistCheck:
    """`family`: of the cells; `tool`: that mapped them; `verdicts`: of all parts that differ from one another;
    `findings`: what other front ends may read otherwise; `linted`: for Vivado, too."""

    family: str
    tool: str
    verdicts: Sequence[Verdict]
    findings: Sequence[Finding]
    linted: bool


def family_of(design: Design) -> str:
    """For Yosys' ``synth_xilinx -family``, which has no Versal: its LUTs and flip-flops are close to UltraScale+'s."""
    return "xcup" if design.part.startswith(_ULTRASCALE) else "xc7"


def check_netlists(
    folder: Path,
    frames: NDArray[np.uint8],
    *,
    network: str | None = None,
    whole: bool = False,
    seed: int = 0,
    timeout_s: float = 3600.0,
    on_step: Callable[[str], None] = lambda name: None,
) -> NetlistCheck:
    """Simulate every part of the build in `folder` beside its netlist.

    Each is fed what streams to it in the RTL for `frames` (uint8 (N, W), packed or compressed), with pauses and resets
    at random from `seed`. `network`: SHA-256 the build must be made for; `whole`: also the accelerator in one piece,
    until a frame has come out. Raises `BackendError`, `BuildError`, `BundleError`, `DependencyError`, and
    `VerificationError` if a part cannot be mapped or gives nothing.
    """
    design, rtl = load_design(folder, network), folder / RTL
    family = family_of(design)
    on_step("front ends")
    sources = [rtl / name for name in source_names(rtl)]
    findings = second_front_end(sources, design.top, rtl, timeout_s)
    linted = importlib.util.find_spec("pyslang") is not None
    findings += lint(sources) if linted else []
    with tempfile.TemporaryDirectory() as scratch:
        on_step("RTL: what streams between parts")
        tap_streams(design, folder, frames, Path(scratch), timeout_s=timeout_s)
        beats = {path.stem: path for path in Path(scratch).glob("*.beats")}
        verdicts: list[Verdict] = []
        different = list({part_key(part, rtl): part for part in parts_of(design, rtl)}.values())
        netlists = _mapped(different, rtl, family, timeout_s, on_step)
        for start in range(0, len(different), GROUP):
            on_step(f"netlists: parts {start + 1} to {min(start + GROUP, len(different))} of {len(different)}")
            group = {part: netlists[part.name] for part in different[start : start + GROUP]}
            verdicts += _compared(group, rtl, beats, Stimulus(_CYCLES, seed=seed), timeout_s)
        if whole:
            part = whole_of(design, rtl)
            on_step("netlist: the whole")
            netlists = _mapped([part], rtl, family, timeout_s, on_step)
            stimulus = Stimulus(_whole_cycles(design), seed=seed)
            verdicts += _compared({part: netlists[part.name]}, rtl, beats, stimulus, timeout_s)
    return NetlistCheck(family, tool(), verdicts, findings, linted)


def _mapped(
    parts: Sequence[Part], rtl: Path, family: str, timeout_s: float, on_step: Callable[[str], None]
) -> Mapping[str, Path]:
    found = map_parts(parts, rtl, family, timeout_s=timeout_s, on_step=lambda name: on_step(f"Yosys: {name}"))
    for problem in found.problems.values():
        raise VerificationError(f"no netlist of {problem}")
    return found.files


def _compared(
    group: Mapping[Part, Path], rtl: Path, beats: Mapping[str, Path], stimulus: Stimulus, timeout_s: float
) -> list[Verdict]:
    pairs = {part: read_netlist(path) for part, path in group.items()}
    verdicts = run_lockstep(pairs, rtl, beats, stimulus, timeout_s=timeout_s)
    if any(verdict.beats == 0 for verdict in verdicts):
        longer = Stimulus(_PATIENCE * stimulus.cycles, seed=stimulus.seed)
        verdicts = run_lockstep(pairs, rtl, beats, longer, timeout_s=timeout_s)
    for verdict in verdicts:
        if verdict.beats == 0 and not verdict.mismatches:
            raise VerificationError(f"{verdict.part}: gives nothing in {verdict.cycles} cycles, so nothing is proved")
    return verdicts


def _whole_cycles(design: Design) -> int:
    """Enough for resets and a frame or two with pauses."""
    busiest = max(stage.cycles or 1 for stage in design.stages)
    return 5 * (busiest + design.input.words + design.output.words) + _CYCLES
