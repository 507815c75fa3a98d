"""Colours of classes: by what their names say, else told apart as well as possible."""

from __future__ import annotations

import colorsys
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bitswath.errors import InputError

__all__ = ["Colour", "class_colours", "read_colours"]

Colour = tuple[int, int, int]

_KNOWN: tuple[tuple[str, str], ...] = (
    ("annual crop|crop ?land|arable|agricultur|field", "#e8c840"),
    ("permanent crop|orchard|vineyard|plantation", "#c08030"),
    ("forest|tree|wood", "#1a6b2a"),
    ("herbaceous|shrub|scrub|heath|bush", "#8fb04f"),
    ("pasture|grass|meadow", "#a8dc7a"),
    ("highway|road|street|railway|runway", "#6e6e78"),
    ("industr|commercial|port|airport", "#a24bb8"),
    ("residential|urban|built|town|city|building|settlement", "#d6403a"),
    ("river|stream|canal", "#4aa8e8"),
    ("sea|lake|ocean|water|pond", "#14509c"),
    ("wetland|marsh|swamp|bog|mangrove", "#4f9a8f"),
    ("snow|ice|glacier", "#f2f6fa"),
    ("bare|soil|sand|desert|beach|rock", "#c9b294"),
    ("cloud", "#dcdcdc"),
)


def class_colours(classes: Sequence[str], given: Mapping[str, Colour] | None = None) -> tuple[Colour, ...]:
    """One for each class, no two alike: those `given`, those that its name suggests, and hues in between."""
    chosen: dict[str, Colour] = dict(given or {})
    for name in classes:
        found = next((colour for words, colour in _KNOWN if re.search(words, _words(name))), None)
        if name not in chosen and found and _rgb(found) not in chosen.values():
            chosen[name] = _rgb(found)
    left = [name for name in classes if name not in chosen]
    for index, name in enumerate(left):
        chosen[name] = _hue(index, set(chosen.values()))
    return tuple(chosen[name] for name in classes)


def read_colours(path: Path, classes: Sequence[str]) -> dict[str, Colour]:
    """From JSON ``{"class": "#rrggbb"}``. Raises `InputError` for another file, or a class that is not there."""
    try:
        content = json.loads(path.read_bytes())
        found = {str(name): _rgb(str(colour)) for name, colour in content.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f'{path}: expected JSON {{"class": "#rrggbb"}} ({error})') from error
    if unknown := [name for name in found if name not in classes]:
        raise InputError(f"{path}: names the class {unknown[0]!r}, there are {', '.join(classes)}")
    return found


def _words(name: str) -> str:
    """ "AnnualCrop" and "annual_crop" as "annual crop"."""
    return re.sub(r"[_\W]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).lower()


def _rgb(text: str) -> Colour:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"{text!r} is no colour #rrggbb")
    red, green, blue = (int(text[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _hue(index: int, taken: set[Colour]) -> Colour:
    """Hues a golden angle apart, which never come back."""
    while True:
        saturation, value = 0.55 + 0.2 * (index % 3), 0.9 - 0.15 * (index // 3 % 4)
        parts = colorsys.hsv_to_rgb((0.07 + index * 0.618034) % 1, saturation, value)
        red, green, blue = (round(255 * part) for part in parts)
        if (red, green, blue) not in taken:
            return red, green, blue
        index += 1
