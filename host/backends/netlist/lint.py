"""What Yosys and Vivado could read differently: constructs that Vivado's guide to synthesis (UG901) does not support or
ignores, and sources that another front end refuses.

Yosys reads with slang, which knows all of SystemVerilog. Verilator, which does not share a line with it, reads the same
files as they are synthesized. The rules look at the syntax behind the preprocessor, so what only simulations see is
nobody's concern.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitswath.backends.netlist.yosys import PRIMITIVES
from bitswath.backends.rtl.verilator import find_verilator
from bitswath.errors import BackendError, BackendTimeoutError, DependencyError

__all__ = ["RULES", "Finding", "lint", "second_front_end"]

RULES = {
    "ClassDeclaration": "classes are not synthesized",
    "DPIImport": "functions of other languages are not synthesized",
    "WaitStatement": "wait is not synthesized",
    "WaitForkStatement": "wait fork is not synthesized",
    "ParallelBlockStatement": "fork and join are not synthesized",
    "ForeverStatement": "endless loops are not synthesized",
    "ProceduralForceStatement": "force is not synthesized",
    "ProceduralReleaseStatement": "release is not synthesized",
    "ProceduralAssignStatement": "assign in a process is not synthesized",
    "ProceduralDeassignStatement": "deassign is not synthesized",
    "BlockingEventTriggerStatement": "events are not synthesized",
    "DelayControl": "delays are ignored",
    "OneStepDelay": "delays are ignored",
    "ProgramDeclaration": "programs are not synthesized",
    "CovergroupDeclaration": "coverage is not synthesized",
    "ClockingDeclaration": "clocking blocks are not synthesized",
    "UdpDeclaration": "primitives of one's own are not synthesized",
    "QueueDimensionSpecifier": "queues are not synthesized",
    "WildcardDimensionSpecifier": "associative arrays are not synthesized",
    "RealType": "real variables are not synthesized",
    "ShortRealType": "real variables are not synthesized",
    "RealTimeType": "real variables are not synthesized",
    "EventType": "events are not synthesized",
    "SystemTimingCheck": "timing checks are ignored",
    "CaseEqualityExpression": "=== is read as ==",
    "CaseInequalityExpression": "!== is read as !=",
}
"""By kind of syntax."""

_FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """
        bits ceil clog2 countones dimensions display error fatal finish floor high increment info isunknown
        left ln low onehot onehot0 pow readmemb readmemh right rtoi sformatf signed size sqrt unsigned
        unpacked_dimensions warning write
        """,
    )
)
_WARNINGS = ("MULTIDRIVEN", "LATCH", "BLKANDNBLK")
_WARNED = re.compile(rf"%Warning-({'|'.join(_WARNINGS)}): ([^:]+):(\d+):\d+: (.*)")
_ASSERTIONS = ("ImmediateAssertStatement", "ConcurrentAssertionMember", "AssertPropertyStatement")
_NOT_SYNTHESIZED = re.compile(r"//\s*synthesis translate[_ ]off\b.*?//\s*synthesis translate[_ ]on\b", re.DOTALL)
_SYSTEM_NAME = re.compile(r"\$(\w+)\s*$")


@dataclass(frozen=True)
class Finding:
    """`line` of `file` breaks a rule."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


def lint(sources: Sequence[Path], defines: Sequence[str] = ("SYNTHESIS",)) -> list[Finding]:
    """What is wrong with these files, in their order. Raises `DependencyError` without pyslang."""
    try:
        from pyslang import Bag, SourceManager, parsing, syntax
    except ImportError:
        raise DependencyError("linting for Vivado needs pyslang; pip install 'bitswath[hw]'") from None
    found = []
    for path in sources:
        options = parsing.PreprocessorOptions()
        options.predefines = list(defines)
        manager = SourceManager()
        text = _NOT_SYNTHESIZED.sub(lambda part: "\n" * part[0].count("\n"), path.read_text(encoding="utf-8"))
        tree = syntax.SyntaxTree.fromText(text, manager, path.stem, path.name, Bag([options]))
        found += sorted(_findings(tree.root, path.name, manager), key=lambda finding: finding.line)
    return found


def _findings(root: Any, file: str, manager: Any) -> Iterator[Finding]:
    """Of a tree, without what stands in assertions."""
    pending = [root]
    while pending:
        node = pending.pop()
        kind = str(node.kind).rpartition(".")[2]
        if kind in _ASSERTIONS:
            continue
        reason = RULES.get(kind)
        called = _SYSTEM_NAME.search(str(node)) if kind == "SystemName" else None
        if called and called[1] not in _FUNCTIONS:
            reason = f"${called[1]} is not known to synthesis"
        if reason is not None:
            yield Finding(file, manager.getLineNumber(node.sourceRange.start), reason)
        pending += [child for child in node if hasattr(child, "kind") and hasattr(child, "sourceRange")]


def second_front_end(sources: Sequence[Path], top: str, folder: Path, timeout_s: float = 600.0) -> list[Finding]:
    """Have Verilator read and elaborate `sources` as they are synthesized, below the module `top`: second drivers,
    latches and mixed assignments that it warns of.

    Raises `BackendError` with the first thing that it refuses.
    """
    tool = find_verilator()
    ordered = sorted(sources, key=lambda path: not path.name.endswith("_pkg.sv"))
    options = [
        "--lint-only",
        "--no-timing",
        "-DSYNTHESIS",
        "--top-module",
        top,
        "-Wno-fatal",
        "-Wno-lint",
        "-Wno-style",
    ]
    options += ["-Wno-TIMESCALEMOD", *(f"-Wwarn-{name}" for name in _WARNINGS)]
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(tool.program), *options, "--Mdir", scratch, *map(str, ordered), str(PRIMITIVES)]
        try:
            environment = {**os.environ, **tool.environment}
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise BackendTimeoutError(f"Verilator needed more than {timeout_s:g} s to read {top}") from None
    lines = done.stderr.splitlines()
    if done.returncode:
        wrong = next((line for line in lines if line.startswith("%Error")), f"exit code {done.returncode}")
        raise BackendError(f"Verilator does not read {top} as Yosys does: {wrong}")
    warned = filter(None, map(_WARNED.match, lines))
    return [Finding(Path(found[2]).name, int(found[3]), f"{found[1]}: {found[4]}") for found in warned]
