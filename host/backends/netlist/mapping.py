"""Netlists of a build's parts, made once: kept in the cache under a digest of all that decides them.

Parts go through Yosys in groups, since starting it costs as much as a small part does.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitswath.backends.netlist.parts import Part, memories_of, read_source
from bitswath.backends.netlist.yosys import PRIMITIVES, TECHMAP, Module, map_design, script, tool
from bitswath.basics.cache import cache_folder
from bitswath.basics.files import write_atomic
from bitswath.errors import BuildError

__all__ = ["GROUP", "Mapped", "map_parts", "part_key", "read_netlist"]

GROUP = 10
"""Parts in one run of Yosys."""

_FORMAT = "2"
"""Of what is kept."""


@dataclass(frozen=True)
class Mapped:
    """`files`: where each part's netlist is, by the part's name; `problems`: why there is none."""

    files: Mapping[str, Path]
    problems: Mapping[str, str]


def map_parts(
    parts: Sequence[Part],
    rtl: Path,
    family: str,
    *,
    jobs: int = 2,
    timeout_s: float = 1800,
    on_step: Callable[[str], None] = lambda name: None,
) -> Mapped:
    """Netlists for `family`, "xc7" or "xcup", from the cache or mapped now; parts that are alike share one.

    `rtl`: folder of the sources; `jobs`: runs of Yosys at a time; `timeout_s`: for each run. A part that Yosys cannot
    take, or not in time, has a problem. Raises `BuildError` if sources are missing, `DependencyError` without Yosys.
    """
    keys = {part.name: part_key(part, rtl) for part in parts}
    files = {key: _kept(key, family) for key in keys.values()}
    missing = list({keys[part.name]: part for part in parts if not files[keys[part.name]].exists()}.items())
    groups = [missing[i :: -(-len(missing) // GROUP)] for i in range(-(-len(missing) // GROUP))]
    problems: dict[str, str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(_group, dict(group), rtl, family, timeout_s, files) for group in groups]
        for done, run in enumerate(runs):
            on_step(f"{done * GROUP} of {len(missing)} parts")
            problems.update(run.result())
    return Mapped(
        {name: files[key] for name, key in keys.items() if key not in problems},
        {name: problems[key] for name, key in keys.items() if key in problems},
    )


def read_netlist(path: Path) -> Module:
    """Ports and cells of what `map_parts` kept. Raises `BuildError` if it is damaged."""
    try:
        netlist: Module = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, ValueError, EOFError) as error:
        raise BuildError(f"{path}: cannot be read ({error}); delete it to map it anew") from error
    return netlist


def part_key(part: Part, rtl: Path) -> str:
    """A digest of what a part is, without its name or its module's: parts that are alike have the same."""
    memories = memories_of(part, rtl)
    texts = [*part.ports, part.instance, *(read_source(rtl / name) for name in part.sources)]
    for index, path in enumerate(memories):
        texts = [text.replace(f'"{path.name}"', f'"memory {index}"') for text in texts]
    contents = [path.read_text() for path in memories]
    return _digest(*(text.replace(part.module, "part") for text in texts), *contents)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _kept(key: str, family: str) -> Path:
    """Where a netlist is kept; it also depends on the tool and on what it is told."""
    recipe = (_FORMAT, tool(), script([], [], family, "top"), PRIMITIVES.read_text(), TECHMAP.read_text())
    return cache_folder("netlists") / f"{_digest(key, *recipe)}.json.gz"


def _group(
    group: Mapping[str, Part], rtl: Path, family: str, timeout_s: float, files: Mapping[str, Path]
) -> dict[str, str]:
    """Maps a group into the cache and gives its problems; if it fails, each of its parts for itself."""
    log = files[next(iter(group))].with_suffix(".log")
    try:
        for key, netlist in _run(group, rtl, family, log, timeout_s).items():
            write_atomic(files[key], gzip.compress(json.dumps(netlist).encode(), 1))
    except BuildError as error:
        if len(group) == 1:
            return {key: f"{part.name}: {error}" for key, part in group.items()}
        return {
            k: why for one in group.items() for k, why in _group(dict([one]), rtl, family, timeout_s, files).items()
        }
    return {}


def _run(group: Mapping[str, Part], rtl: Path, family: str, log: Path, timeout_s: float) -> dict[str, Any]:
    modules = {f"part_{index}": part for index, part in enumerate(group.values())}
    sources = list(dict.fromkeys(name for part in modules.values() for name in part.sources))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in rtl.iterdir():
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        texts = [part.wrapper(module) for module, part in modules.items()]
        (folder / "parts.sv").write_text("".join([*texts, _over(modules)]))
        files = [*sources, "parts.sv"]
        mapped = map_design(folder, files, list(modules), family, top="parts", log=log, timeout_s=timeout_s)
    return {key: _bare(mapped[module]) for key, module in zip(group, modules)}


def _over(modules: Mapping[str, Part]) -> str:
    """A module over all parts of a group, with every port of theirs."""
    ports, bodies = [], []
    for module, part in modules.items():
        names = [port.split()[-1] for port in part.ports]
        ports += [f"{port.rpartition(' ')[0]} {module}_{name}" for port, name in zip(part.ports, names)]
        bodies.append(f"  {module} u_{module} ({', '.join(f'.{name}({module}_{name})' for name in names)});\n")
    return f"module parts (\n  {', '.join(ports)}\n);\n{''.join(bodies)}endmodule\n"


def _bare(module: Module) -> dict[str, Any]:
    """What a netlist is, with the sources' names of its nets and without all else about where it came from."""
    kept = ("type", "parameters", "port_directions", "connections")
    cells = {name: {key: cell[key] for key in kept} for name, cell in module["cells"].items()}
    names = {
        str(bit): f"{name}[{index}]" if len(net["bits"]) > 1 else name
        for name, net in module["netnames"].items()
        if not net["hide_name"]
        for index, bit in enumerate(net["bits"])
        if isinstance(bit, int)
    }
    return {"ports": module["ports"], "cells": cells, "names": names}
