"""The stand-in for Vitis' linker, ``v++``: its link file held against the kernels in the .xo files."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from tests.vivado.catalog import Refused
from tests.vivado.vivado import Setup
from tests.vivado.words import one_of, options_of

__all__ = ["link"]

_MEMORY = {"u250": r"DDR\[[0-3]\]", "u55c": r"HBM\[(\d|[12]\d|3[01])\]"}
_PARTS = {"u250": "xcu250-figd2104-2L-e", "u55c": "xcu55c-fsvh2892-2L-e"}


def link(text: str, packages: list[Path], platform: str) -> None:
    """Raises `Refused` for what v++ would not link, or what a card would not work with."""
    kernels = {}
    for path in packages:
        with zipfile.ZipFile(path) as package:
            component = json.loads(package.read("component.json"))
            kernels[component["name"]] = component["buses"]
    section, units, open_ends = "", {}, set()
    streams: list[tuple[str, str]] = []
    placed: set[str] = set()
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            section = one_of(line, "[connectivity]")
            continue
        key, _, value = line.partition("=")
        if section != "[connectivity]":
            raise Refused(f"{line} outside of a section")
        if key == "nk":
            kernel, count, names = value.split(":")
            units |= {name: kernels[one_of(kernel, *kernels)] for name in names.split(".")}
            if len(names.split(".")) != int(count):
                raise Refused(f"{line}: names for another number of units")
        elif key == "sp":
            place, memory = value.split(":")
            unit, bus = place.split(".")
            _port(units, unit, bus, "aximm", "master")
            card = next(card for card in _MEMORY if card in platform)
            if not re.fullmatch(_MEMORY[card], memory):
                raise Refused(f"{line}: {card} has no memory {memory}")
            placed.add(place)
        elif key == "stream_connect":
            streams.append(tuple(value.split(":")))  # type: ignore[arg-type]
        else:
            raise Refused(f"unknown key {key}")
    for source, sink in streams:
        given = _port(units, *source.split("."), "axis", "master")
        taken = _port(units, *sink.split("."), "axis", "slave")
        if given["width"] != taken["width"]:
            raise Refused(f"{source} has {given['width']} bits, {sink} {taken['width']}")
        if {source, sink} & open_ends:
            raise Refused(f"{source} or {sink} is connected twice")
        open_ends |= {source, sink}
    for unit, buses in units.items():
        for name, bus in buses.items():
            if bus["kind"] == "axis" and f"{unit}.{name}" not in open_ends:
                raise Refused(f"stream {unit}.{name} is not connected")
            if bus["kind"] == "aximm" and bus["mode"] == "master" and f"{unit}.{name}" not in placed:
                raise Refused(f"{unit}.{name} has no memory")


def _port(units: dict[str, Any], unit: str, bus: str, kind: str, mode: str) -> dict[str, Any]:
    buses = units[one_of(unit, *units)]
    found: dict[str, Any] = buses[one_of(bus, *buses)]
    if (found["kind"], found["mode"]) != (kind, mode):
        raise Refused(f"{unit}.{bus} is an {found['kind']} {found['mode']}")
    return found


def main(arguments: list[str]) -> int:
    setup = Setup.of_environment()
    if arguments == ["--version"]:
        print(f"****** v++ v{setup.version} (64-bit)")
        return 0
    values = ("-t", "--platform", "--config", "--kernel_frequency", "--jobs", "-o")
    try:
        options, packages = options_of(tuple(arguments), flags=("--link", "--save-temps"), values=values)
        one_of(options["-t"], "hw")
        link(Path(options["--config"]).read_text(), [Path(path) for path in packages], options["--platform"])
    except (Refused, KeyError, ValueError) as error:
        print(f"ERROR: [v++ 60-1] {error}", flush=True)
        return 1
    project = Path("_x/link/vivado/vpl/prj/prj.xpr")
    project.parent.mkdir(parents=True)
    part = next(part for card, part in _PARTS.items() if card in options["--platform"])
    project.write_text(json.dumps({"part": part}))
    Path(options["-o"]).write_bytes(b"stand-in xclbin")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
