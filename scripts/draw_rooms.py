"""Draws docs/assets/rooms.svg: the rooms and which may import which, as pyproject.toml declares it to the lint.

python scripts/draw_rooms.py           # writes it; `--check` fails where it is not what this would write
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "assets" / "rooms.svg"
FOLDERS = {"models": ROOT / "models", "hw": ROOT / "hw"}
"""Packages in folders of their own; every other module of `bitswath` lies in host/."""

WIDTH, MARGIN, GAP, PAD = 840, 12, 6, 10
TITLE, NAME, LINE, LETTER = 36, 18, 15, 6.6
"""Heights of a panel's title, a room's name and a line of text; width of a letter in one."""
BESIDE, WIDE = 120, 600
"""In a box wider than `WIDE` the text stands beside the name, so far from the box's side."""


@dataclass(frozen=True)
class Room:
    """A module that imports are declared for: what its docstring says, and which rooms lie in it."""

    name: str
    purpose: str
    inside: tuple[tuple[str, ...], ...]

    def lines(self, width: float) -> list[str]:
        """Its purpose, and its layers from top to bottom, for a box of that width."""
        letters = int((width - 2 * PAD - (BESIDE if width > WIDE else 0)) / LETTER)
        layers = " > ".join(", ".join(layer) for layer in self.inside)
        return [*textwrap.wrap(self.purpose, letters), *textwrap.wrap(f"inside: {layers}" if layers else "", letters)]


@dataclass(frozen=True)
class Panel:
    """A package's layers, the highest first."""

    title: str
    colour: str
    layers: tuple[tuple[Room, ...], ...]
    width: float = field(default=WIDTH - 2 * MARGIN)

    def rows(self) -> Iterator[tuple[float, float, list[tuple[Room, list[str]]]]]:
        """Of each layer the width and height of its boxes, and what stands in them."""
        for rooms in self.layers:
            box = (self.width - 2 * PAD - GAP * (len(rooms) - 1)) / len(rooms)
            content = [(room, room.lines(box)) for room in rooms]
            most = max(len(lines) for _, lines in content)
            yield box, NAME + LINE * (most - (box > WIDE)) + PAD, content

    @property
    def height(self) -> float:
        return TITLE + sum(height + GAP for _, height, _ in self.rows()) + PAD - GAP


def declared() -> dict[str, tuple[tuple[str, ...], ...]]:
    """By package: its layers from top to bottom, each the names of modules in it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = {}
    for contract in settings["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            layers = [layer.replace("|", ":").split(":") for layer in contract["layers"]]
            names = [[name.strip() for name in layer] for layer in layers]
            package = contract.get("containers", [common(names)])[0]
            found[package] = tuple(tuple(n.removeprefix(f"{package}.") for n in layer) for layer in names)
    return found


def common(layers: list[list[str]]) -> str:
    """The package that modules with full names share."""
    parts = zip(*(name.split(".") for layer in layers for name in layer))
    shared = [each[0] for each in parts if len(set(each)) == 1]
    return ".".join(shared)


def purpose(module: str) -> str:
    """The first sentence of a module's docstring, without what follows a colon or semicolon where it is long."""
    package, *inside = module.split(".")[1:]
    folder = FOLDERS.get(package, ROOT / "host" / package).joinpath(*inside)
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentence = " ".join(text.split("\n\n")[0].split()).replace("`", "").split(". ")[0].rstrip(".")
    return sentence if len(sentence) < 90 else sentence.partition(": ")[0]


def panel(package: str, title: str, colour: str, width: float, without: tuple[str, ...] = ()) -> Panel:
    packages = declared()
    layers = [[name for name in layer if name not in without] for layer in packages[package]]
    rooms = (
        tuple(Room(name, purpose(f"{package}.{name}"), packages.get(f"{package}.{name}", ())) for name in layer)
        for layer in layers
        if layer
    )
    return Panel(title, colour, tuple(rooms), width)


def text(x: float, y: float, content: str, size: int, fill: str, weight: int = 400) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{fill}">{escape(content)}</text>'


def rectangle(x: float, y: float, width: float, height: float, fill: str, stroke: str) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="7" fill="{fill}" stroke="{stroke}" '
        'stroke-width="1.3"/>'
    )


def drawn(panel: Panel, x: float, y: float, height: float) -> Iterator[str]:
    yield rectangle(x, y, panel.width, height, "#f4f5f7", panel.colour)
    yield text(x + PAD, y + 24, panel.title, 17, panel.colour, 600)
    top = y + TITLE
    for width, tall, content in panel.rows():
        for index, (room, lines) in enumerate(content):
            left = x + PAD + index * (width + GAP)
            yield rectangle(left, top, width, tall, "#fff", panel.colour)
            yield text(left + PAD, top + NAME, room.name, 14, "#222", 600)
            right, first = (BESIDE, 0) if width > WIDE else (PAD, 1)
            for number, line in enumerate(lines, first):
                yield text(left + right, top + NAME + LINE * number, line, 12, "#444")
        top += tall + GAP


def picture() -> str:
    half = (WIDTH - 3 * MARGIN) / 2
    models = panel("bitswath.models", "models/ = bitswath.models", "#8a4b08", half)
    hw = panel("bitswath.hw", "hw/ = bitswath.hw", "#5b3a91", half)
    host = panel("bitswath", "host/ = bitswath", "#00695c", WIDTH - 2 * MARGIN, without=("models", "hw"))
    upper = max(models.height, hw.height)
    legend = MARGIN + 18
    below = legend + MARGIN + upper + MARGIN
    height = below + host.height + MARGIN
    rule = "Imports go down: a room knows those below it, never those above. models and hw do not know each other."
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
            f'height="{height:g}" font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif" role="img">',
            "<title>The rooms of models, hw and host, each above those that it imports from</title>",
            f'<rect width="{WIDTH}" height="{height:g}" rx="10" fill="#fafafa"/>',
            text(MARGIN, legend, rule, 15, "#222"),
            *drawn(models, MARGIN, legend + MARGIN, upper),
            *drawn(hw, 2 * MARGIN + half, legend + MARGIN, upper),
            *drawn(host, MARGIN, below, host.height),
            "</svg>\n",
        ]
    )


def main() -> None:
    if "--check" in sys.argv:
        if PICTURE.read_text(encoding="utf-8") != picture():
            raise SystemExit(f"{PICTURE}: not what scripts/draw_rooms.py draws; run it")
        return
    PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
