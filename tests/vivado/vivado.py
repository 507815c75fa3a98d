"""A strict stand-in for Vivado: the commands that our scripts use, over a real Tcl interpreter.

Every command checks its options and what it is given; any other command is unknown to Tcl. It makes what Vivado makes:
packaged IPs, a validated block design with its hand-off file, reports in Vivado's form, a placeholder for a bit file.
"""

from __future__ import annotations

import json
import os
import sys
import tkinter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.vivado import packager
from tests.vivado.catalog import BOARDS, PARTS, Refused, definitions
from tests.vivado.designing import Designing
from tests.vivado.packaging import Packaging
from tests.vivado.words import listed, one_of, options_of

__all__ = ["Setup", "StandIn", "run_script"]


@dataclass
class Setup:
    """What this Vivado is like. `boards`: whose files it has; `slack`: of what it routes; `fails`: a run that fails."""

    version: str = "2023.2"
    parts: tuple[str, ...] = PARTS
    boards: tuple[str, ...] = BOARDS
    slack: float = 0.214
    fails: str = ""
    infers: bool = True
    """Whether packaging finds interfaces by itself."""

    @staticmethod
    def of_environment() -> Setup:
        return Setup(**json.loads(os.environ.get("STAND_IN", "{}")))


@dataclass
class _Project:
    name: str
    folder: Path
    part: str
    files: list[Path] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    runs: dict[str, dict[str, str]] = field(default_factory=dict)


class StandIn(Packaging, Designing):
    """One session."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.tcl = tkinter.Tcl()
        self.project: _Project | None = None
        self.catalog = dict(definitions(setup.version))
        self.params = {"board.repoPaths": ""}
        self.design = None
        self.core = None
        self.routed = False
        self.refusal: Refused | None = None
        self.activity = None
        for name in dir(self):
            if name.startswith("tcl_"):
                self._register(name.removeprefix("tcl_").replace("__", "::"), getattr(self, name))

    def _register(self, name: str, command: Callable[..., Any]) -> None:
        if "::" in name:
            self.tcl.eval(f"namespace eval {name.rpartition('::')[0]} {{}}")

        def called(*arguments: str) -> str:
            try:
                result = command(*arguments)
            except (Refused, TypeError, KeyError, ValueError, AssertionError) as error:
                self.refusal = error if isinstance(error, Refused) else Refused(f"{name}: {error!r}")
                raise  # Tcl is told that it failed, not why
            return "" if result is None else listed(result)

        self.tcl.createcommand(name, called)

    def _words(self, text: str) -> list[str]:
        return [str(word) for word in self.tcl.splitlist(text)]

    @property
    def current(self) -> _Project:
        if self.project is None:
            raise Refused("no project is open")
        return self.project

    # ---- projects

    def tcl_version(self, option: str) -> str:
        one_of(option, "-short")
        return self.setup.version

    def tcl_get_parts(self, *words: str) -> list[str]:
        _, (pattern,) = options_of(words, flags=("-quiet",))
        return [part for part in self.setup.parts if part == pattern]

    def tcl_get_board_parts(self, *words: str) -> list[str]:
        _, (pattern,) = options_of(words, flags=("-quiet", "-latest_file_version"))
        found = [board for board in self.setup.boards if board.startswith(pattern.removesuffix("*"))]
        return found[-1:]

    def tcl_get_param(self, name: str) -> str:
        return self.params[one_of(name, *self.params)]

    def tcl_set_param(self, name: str, value: str) -> None:
        self.params[one_of(name, *self.params)] = value

    def tcl_create_project(self, *words: str) -> str:
        options, places = options_of(words, flags=("-force", "-in_memory"), values=("-part",))
        if options["-part"] not in self.setup.parts:
            raise Refused(f"no part {options['-part']}")
        name, folder = places if places else ("memory", ".")
        if self.project is not None:
            raise Refused(f"project {self.project.name} is open")
        self.project = _Project(name, Path(folder), options["-part"])
        if places:
            Path(folder).mkdir(parents=True, exist_ok=True)
        return name

    def tcl_open_project(self, path: str) -> None:
        if not Path(path).is_file():
            raise Refused(f"no project {path}")
        self.project = _Project(Path(path).stem, Path(path).parent, json.loads(Path(path).read_text())["part"])

    def tcl_close_project(self) -> None:
        self.current.name  # noqa: B018
        self.project = self.design = self.core = None

    def tcl_current_project(self) -> str:
        return f"project:{self.current.name}"

    def tcl_current_fileset(self) -> str:
        return f"fileset:{self.current.name}"

    def tcl_add_files(self, *words: str) -> None:
        _, (listed,) = options_of(words, flags=("-norecurse",))
        for path in map(Path, self._words(listed)):
            if not path.is_file():
                raise Refused(f"no file {path}")
            self.current.files.append(path)

    def tcl_update_compile_order(self, *words: str) -> None:
        options, _ = options_of(words, values=("-fileset",))
        one_of(options["-fileset"], "sources_1")

    def tcl_update_ip_catalog(self) -> None:
        for path in self._words(self.current.properties.get("ip_repo_paths", "")):
            for folder in sorted(Path(path).iterdir()):
                if folder.is_dir():
                    definition = packager.definition_of(packager.load(folder))
                    self.catalog[definition.vlnv] = definition

    def tcl_get_files(self, name: str) -> str:
        return f"file:{one_of(name, f'{self.blocks.name}.bd')}"

    # ---- properties

    def tcl_set_property(self, *words: str) -> None:
        if words[0] == "-dict":
            pairs = self._words(words[1])
            for name, value in zip(pairs[::2], pairs[1::2]):
                self._set(name, value, words[2])
        else:
            name, value, target = words
            self._set(name, value, target)

    def _set(self, name: str, value: str, target: str) -> None:
        kind, _, rest = target.partition(":")
        if name.startswith("CONFIG."):
            return self.blocks.configure(target, name.removeprefix("CONFIG."), value)
        if kind == "project":
            self.current.properties[one_of(name, "board_part", "ip_repo_paths")] = value
            if name == "board_part" and value not in self.setup.boards:
                raise Refused(f"no board {value}")
        elif kind == "fileset":
            self.current.properties[one_of(name, "top")] = value
        elif kind == "file":
            one_of(value, "None", "Hierarchical", "Singular")
            one_of(name, "synth_checkpoint_mode")
        elif kind == "run":
            one_of(value, "Performance_ExplorePostRoutePhysOpt", "Performance_Explore")
            self.current.runs[rest][one_of(name, "strategy")] = value
        elif kind in ("core", "bus", "bus_parameter", "map", "block", "register", "register_parameter"):
            self._set_of_core(kind, rest, name, value)
        else:
            raise Refused(f"no object {target!r} to set {name} of")
        return None

    def tcl_get_property(self, name: str, target: str) -> Any:
        if name == "VLNV":
            return [one_of(one, *self.catalog) for one in self._words(target)]
        if name in ("PROGRESS", "STATUS"):
            return self.current.runs[target.removeprefix("run:")][name]
        if name == "CONFIG.FREQ_HZ":
            return f"{self.blocks.clock_hz(target):.0f}"
        if name == "NAME" and target.startswith("netlist:"):
            return target.removeprefix("netlist:")
        raise Refused(f"no property {name} of {target}")


def run_script(script: Path, setup: Setup) -> StandIn:
    """Source a script in a new session, in the current folder. Raises `Refused`, `tkinter.TclError`."""
    session = StandIn(setup)
    try:
        session.tcl.eval(f"source {{{script}}}")
    except tkinter.TclError:
        if session.refusal is not None:
            raise session.refusal from None
        raise
    return session


def main(arguments: list[str]) -> int:
    """As ``vivado`` is called."""
    setup = Setup.of_environment()
    if arguments == ["-version"]:
        print(f"vivado v{setup.version} (64-bit)\nTool Version Limit: 2026.06")
        return 0
    options, _ = options_of(tuple(arguments), flags=("-nojournal", "-nolog", "-notrace"), values=("-mode", "-source"))
    one_of(options["-mode"], "batch")
    try:
        run_script(Path(options["-source"]), setup)
    except (Refused, tkinter.TclError) as error:
        print(f"ERROR: [StandIn 1-1] {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
