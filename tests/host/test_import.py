"""What importing bitswath costs, and which room may import which."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bitswath

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"tensorflow", "tf_keras", "torch", "onnx", "onnxruntime", "qonnx", "finn", "sklearn", "scipy"}
WHEN_NEEDED = {"matplotlib", "imagecodecs", "PIL", "tifffile", "click", "rich"}


def packages_after(code: str) -> set[str]:
    """Top-level packages outside the standard library that a fresh interpreter holds after `code`."""
    script = f"import json, sys; before = set(sys.modules); {code}; print(json.dumps([*set(sys.modules) - before]))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    modules = {name.partition(".")[0] for name in json.loads(told.stdout)}
    modules -= {"cython_runtime"}  # no package: numpy 1.26 registers the name
    return {name for name in modules if name not in sys.stdlib_module_names and not name.startswith("_")}


def test_the_import_brings_nothing_but_bitswath() -> None:
    assert packages_after("import bitswath") == {"bitswath"}


def test_numbers_need_numpy_only() -> None:
    assert packages_after("import bitswath; bitswath.pack, bitswath.Network, bitswath.Report") == {"bitswath", "numpy"}


def test_opening_needs_no_picture_or_training_library() -> None:
    brought = packages_after("import bitswath; bitswath.open, bitswath.load_bundle, bitswath.UniformCodec")
    assert brought & (HEAVY | WHEN_NEEDED) == set()


@pytest.mark.parametrize("name", bitswath.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(bitswath, name) is not None
    assert name in dir(bitswath)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = bitswath.opne  # type: ignore[attr-defined]


def sources(room: str) -> list[Path]:
    """Python files of a room; the rooms nest in the package as links, not in the source tree."""
    return [path for path in (ROOT / room).rglob("*.py") if (ROOT / room).resolve() == room_of(path)]


def room_of(path: Path) -> Path:
    return ROOT / path.resolve().relative_to(ROOT).parts[0]


def imported(path: Path, *, top_level_only: bool = False) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every import in a file; ``importlib`` calls with a literal count too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    relative = path.resolve().relative_to(ROOT)
    package = ["bitswath", *relative.parts[:-1]] if relative.parts[0] != "host" else ["bitswath", *relative.parts[1:-1]]
    for node in walk_top_level(tree) if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "import_module":
            yield from ((node.lineno, str(a.value)) for a in node.args if isinstance(a, ast.Constant))


def walk_top_level(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from walk_top_level(node)


def crossings(room: str, *others: str) -> list[str]:
    """Imports in a room of the others; the command line may, inside its commands."""
    found = []
    for path in sources(room):
        on_top = room == "host" and path.name.startswith("cli")
        for line, name in imported(path, top_level_only=on_top):
            if any(f"{name}.".startswith(f"bitswath.{other}.") for other in others):
                found.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    return found


def test_host_imports_neither_models_nor_hw() -> None:
    assert crossings("host", "models", "hw") == []


def test_models_and_hw_do_not_import_each_other() -> None:
    assert crossings("models", "hw") == []
    assert crossings("hw", "models") == []


def test_host_imports_heavy_packages_only_where_they_are_used() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources("host")
        for line, name in imported(path)
        if name.partition(".")[0] in HEAVY
    ]
    assert found == []


def test_the_walk_sees_imports_of_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "host" / "backends").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "host" / "a.py").write_text("from . import models\ndef f():\n    import bitswath.hw.x\n")
    (tmp_path / "host" / "cli.py").write_text("def f():\n    import bitswath.hw.x\n")
    (tmp_path / "host" / "cli_b.py").write_text("if True:\n    import bitswath.hw.x\n")
    (tmp_path / "host" / "backends" / "b.py").write_text("from ..models.x import y\nfrom bitswath import hw\n")
    (tmp_path / "host" / "c.py").write_text("import importlib\nimportlib.import_module('bitswath.models')\n")
    (tmp_path / "models" / "m.py").write_text("from ..hw import z\nfrom bitswath import network\n")
    assert sorted(crossings("host", "models", "hw")) == [
        "host/a.py:1 imports bitswath.models",
        "host/a.py:3 imports bitswath.hw.x",
        "host/backends/b.py:1 imports bitswath.models.x.y",
        "host/backends/b.py:2 imports bitswath.hw",
        "host/c.py:2 imports bitswath.models",
        "host/cli_b.py:2 imports bitswath.hw.x",
    ]
    assert crossings("models", "hw") == ["models/m.py:1 imports bitswath.hw.z"]
