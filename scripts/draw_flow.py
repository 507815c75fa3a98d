"""Draws docs/assets/flow.svg, the picture of the whole flow, from the rows below.

python scripts/draw_flow.py            # writes it; `--check` fails where it is not what this would write
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "assets" / "flow.svg"


@dataclass(frozen=True)
class Row:
    """One job from left to right. `steps`: what passes, and how it looks there."""

    title: str
    command: str
    colour: str
    steps: tuple[tuple[str, str], ...]


TRAIN = Row(
    "Train", "bitswath train, export", "#8a4b08",
    (
        ("patches", "uint8 or uint16"),
        ("codec", "fitted, 1-8 bits"),
        ("Keras", "quantization-aware"),
        ("QONNX", "or of other tools"),
        ("network", "integers only"),
    ),
)  # fmt: skip
BUILD = Row(
    "Build", "bitswath build", "#5b3a91",
    (
        ("units", "folded for a board"),
        ("RTL", "FINN, own kernels"),
        ("simulation", "queues, cycles"),
        ("synthesis", "Yosys counts"),
        ("bitstream", "Vivado or Vitis"),
    ),
)  # fmt: skip
CLASSIFY = Row(
    "Classify", "bitswath classify, bs.open", "#00695c",
    (
        ("images", "files, zips, archives"),
        ("codes", "codec, 1-8 bits"),
        ("frames", "packed without gaps"),
        ("backend", "emulator, RTL, board"),
        ("classes", "int32 to labels"),
    ),
)  # fmt: skip
BUNDLE = "bundle.bsw", "codec, integer network, QONNX, classes, accuracy, builds; a digest of every file"
EQUAL = "Keras = QONNX = integer network = emulator = RTL", "the same integers at every tensor: bitswath verify"

WIDTH, MARGIN = 900, 16
BOX_WIDTH, BOX_HEIGHT, ROW_HEIGHT = 148, 62, 112
STEP = (WIDTH - 2 * MARGIN - BOX_WIDTH) / 4
BAND_HEIGHT, BAND_GAP = 58, 26


def text(x: float, y: float, content: str, size: int, *, bold: bool = False, fill: str = "#222") -> str:
    """Centred on x, with its base line at y."""
    weight = ' font-weight="600"' if bold else ""
    style = f'font-size="{size}"{weight} fill="{fill}" text-anchor="middle"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(content)}</text>'


def box(
    x: float, y: float, width: float, height: float, name: str, detail: str, colour: str, *, full: bool = False
) -> str:
    """A rounded box with a name and what it is; filled with its colour where it is `full`."""
    fill, ink, faint = (colour, "#fff", "#fff") if full else ("#fff", "#222", "#555")
    middle = x + width / 2
    return "\n".join(
        [
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{fill}" stroke="{colour}" '
            'stroke-width="1.5"/>',
            text(middle, y + height / 2 - 4, name, 17, bold=True, fill=ink),
            text(middle, y + height / 2 + 17, detail, 13, fill=faint),
        ]
    )


def arrow(x: float, y: float, dx: float, dy: float, colour: str) -> str:
    """From (x, y), with its tip at (x + dx, y + dy); along an axis."""
    across, along = (0, 1) if dx else (1, 0), (1 if dx > 0 else -1 if dx else 0, 1 if dy > 0 else -1 if dy else 0)
    tip = x + dx, y + dy
    wings = [(tip[0] - 8 * along[0] + 5 * s * across[0], tip[1] - 8 * along[1] + 5 * s * across[1]) for s in (1, -1)]
    points = " ".join(f"{px:g},{py:g}" for px, py in [tip, *wings])
    end = tip[0] - 7 * along[0], tip[1] - 7 * along[1]
    return (
        f'<line x1="{x:g}" y1="{y:g}" x2="{end[0]:g}" y2="{end[1]:g}" stroke="{colour}" stroke-width="2"/>'
        f'<polygon points="{points}" fill="{colour}"/>'
    )


def drawn(row: Row, top: float) -> list[str]:
    """A row: its title, its steps, an arrow between each two."""
    y = top + ROW_HEIGHT - BOX_HEIGHT - 12
    parts = [
        f'<text x="{MARGIN}" y="{top + 24:g}" font-size="18" font-weight="600" fill="{row.colour}">{row.title}</text>',
        f'<text x="{MARGIN + 180}" y="{top + 24:g}" font-size="14" font-family="monospace" fill="#555">'
        f"{row.command}</text>",
    ]
    for index, (name, detail) in enumerate(row.steps):
        x = MARGIN + index * STEP
        parts.append(box(x, y, BOX_WIDTH, BOX_HEIGHT, name, detail, row.colour))
        if index:
            parts.append(arrow(x - STEP + BOX_WIDTH + 3, y + BOX_HEIGHT / 2, STEP - BOX_WIDTH - 6, 0, row.colour))
    return parts


def band(top: float, content: tuple[str, str], colour: str) -> str:
    return box(MARGIN, top, WIDTH - 2 * MARGIN, BAND_HEIGHT, *content, colour, full=True)


def picture() -> str:
    first, last = MARGIN + 124, MARGIN + 4 * STEP + BOX_WIDTH / 2
    bundle = ROW_HEIGHT + BAND_GAP - 8
    below = bundle + BAND_HEIGHT + BAND_GAP - 6
    third = below + ROW_HEIGHT + 4
    equal = third + ROW_HEIGHT + 6
    height = equal + BAND_HEIGHT + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        'font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif" role="img">',
        "<title>From patches to a bundle, from a bundle to hardware, from images to classes</title>",
        f'<rect width="{WIDTH}" height="{height:g}" rx="10" fill="#fafafa"/>',
        *drawn(TRAIN, 0),
        arrow(last, ROW_HEIGHT - 10, 0, BAND_GAP, TRAIN.colour),
        band(bundle, BUNDLE, "#37474f"),
        arrow(first, bundle + BAND_HEIGHT + 2, 0, BAND_GAP + 22, BUILD.colour),
        *drawn(BUILD, below),
        arrow(last, below + ROW_HEIGHT - BOX_HEIGHT - 14, 0, -(BAND_GAP + 28), BUILD.colour),
        *drawn(CLASSIFY, third),
        band(equal, EQUAL, "#1b5e20"),
        "</svg>\n",
    ]
    return "\n".join(parts)


def main() -> None:
    if "--check" in sys.argv:
        if PICTURE.read_text(encoding="utf-8") != picture():
            raise SystemExit(f"{PICTURE}: not what scripts/draw_flow.py draws; run it")
        return
    PICTURE.write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    main()
