"""Which room may import which, as pyproject.toml declares it, and how large rooms and modules are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

CODE = {".py", ".cpp", ".hpp", ".sv"}
MOST_MODULES = 12
MOST_LINES = 400
CIRCLES = """
import graphlib, grimp
walls = grimp.build_graph("bitswath", exclude_type_checking_imports=True, cache_dir=None)
graphlib.TopologicalSorter({m: walls.find_modules_directly_imported_by(m) for m in walls.modules}).prepare()
print(len(walls.modules))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package lies as it is imported, where tools that read files find all of it."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "bitswath").mkdir()
    rooms = {path.name: path for path in (ROOT / "host").iterdir()}
    for name, path in {**rooms, "models": ROOT / "models", "hw": ROOT / "hw"}.items():
        (folder / "bitswath" / name).symlink_to(path)
    return {**os.environ, "PYTHONPATH": str(folder)}


def python(tree: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=tree, capture_output=True, text=True, timeout=300)


def test_rooms_import_as_declared(tree: dict[str, str]) -> None:
    lint = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    done = python(tree, "-c", lint)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_imports_go_in_circles(tree: dict[str, str]) -> None:
    done = python(tree, "-c", CIRCLES)
    assert done.returncode == 0, done.stderr.splitlines()[-1]
    assert int(done.stdout) == sum(1 for path in sources() if path.suffix == ".py")


def test_a_room_has_few_modules_on_one_floor() -> None:
    floors: dict[Path, set[str]] = {}
    for path in sources():
        if path.stem != "__init__":
            floors.setdefault(path.parent.relative_to(ROOT), set()).add(path.stem)
    assert {str(floor): sorted(names) for floor, names in floors.items() if len(names) > MOST_MODULES} == {}


def test_modules_are_read_in_a_few_screens() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def sources() -> Iterator[Path]:
    for room in ("host", "models", "hw"):
        yield from (path for path in sorted((ROOT / room).rglob("*")) if path.suffix in CODE)
