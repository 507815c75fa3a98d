"""Pages name what there is: modules, their names, and files of the repository."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/contribute/*.md")])
CODE = re.compile(r"`([^`\n]+)`")
DOTTED = re.compile(r"(bitswath|tests)(\.\w+)+")
FILE = re.compile(r"(docs|host|hw|models|scripts|tests)/[a-z][\w./-]*")


@cache
def names_in(module: Path) -> set[str]:
    """What a module defines or imports at its top level, and the members of its classes as Class.member."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom() | ast.Import():
                found |= {alias.asname or alias.name for alias in node.names}
            case ast.Call(func=ast.Name(id="lazily"), args=[_, ast.Dict(values=values)]):
                found |= {name.value for value in values for name in ast.walk(value) if isinstance(name, ast.Constant)}
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Assign():
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def place(parts: list[str]) -> Path | None:
    """The file or folder that a dotted name stands for; ["bitswath", "hw", "plan"] is hw/planning/plan.py."""
    package, *inside = parts
    nested = package == "bitswath" and inside and inside[0] in ("models", "hw")
    folder = inside.pop(0) if nested else {"bitswath": "host"}.get(package, package)
    path = ROOT.joinpath(folder, *inside)
    return next((found for found in (path.with_suffix(".py"), path / "__init__.py", path) if found.exists()), None)


def there(dotted: str) -> bool:
    """Whether a module of that name exists, or one in front of it that has the rest as a name."""
    parts = dotted.split(".")
    if place(parts) is not None:
        return True
    for length in range(len(parts) - 1, 0, -1):
        module = place(parts[:length])
        if module is not None:
            return module.is_file() and set(parts[length:]) <= names_in(module)
    return False


def named(pattern: re.Pattern[str]) -> list[tuple[Path, str]]:
    """What pages say in code that is nothing but such a name."""
    found = ((page, code) for page in PAGES for code in CODE.findall(page.read_text(encoding="utf-8")))
    return sorted({(page.relative_to(ROOT), code) for page, code in found if pattern.fullmatch(code)})


def test_modules_and_their_names_exist() -> None:
    assert [(str(page), name) for page, name in named(DOTTED) if not there(name)] == []


def test_files_exist() -> None:
    assert [(str(page), name) for page, name in named(FILE) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "name", ["bitswath.codex", "bitswath.codecs.Kodec", "bitswath.hw.plane", "tests.rtl.stimulate"]
)
def test_a_name_that_does_not_exist_is_seen(name: str) -> None:
    assert not there(name)


@pytest.mark.parametrize(
    "name", ["bitswath.codecs.Codec", "bitswath.hw.planning.plan", "bitswath.power", "bitswath.open", "tests.rtl"]
)
def test_a_name_that_exists_is_found(name: str) -> None:
    assert there(name)
