"""Which split and which class an image is of, by the folders it lies in.

Class names are compared here and nowhere else: `class_index` takes a name for a class if both are the
same text, in whatever Unicode normal form, also where a zip tool has written it in ``#Uxxxx`` escapes or
in an old code page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bitswath.errors import ImageError
from bitswath.imagery.listing import Listing, parts_of

__all__ = ["SPLITS", "Item", "Labelled", "class_index", "class_name", "label_images"]

SPLITS = ("train", "val", "test", "valid", "validation")
"""Folder names that are splits, in any case, where a folder or zip holds nothing else at its top."""

_ESCAPE = re.compile(r"#U([0-9A-Fa-f]{4})|#L([0-9A-Fa-f]{6})")
_CODE_PAGES = ("utf-8", "cp437", "cp850", "cp1252", "cp852", "cp866", "cp1251", "gbk", "cp932", "cp949", "big5")

Parts = dict[str, tuple[str, ...]]
Item = tuple[str, int | None]


@dataclass(frozen=True)
class Labelled:
    """`items`: (name, label or None); `classes`: what labels index, or None; `notes`: what a user should be told, a
    line each."""

    items: list[Item]
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


def class_name(folder: str) -> str:
    """A folder's name as that of a class: escapes undone, in normal form C."""
    return unicodedata.normalize("NFC", _ESCAPE.sub(_character, folder))


def class_index(name: str, classes: Sequence[str]) -> int | None:
    """Which of the classes a name means, or None. Raises `ImageError` where it may mean more than one."""
    if name in classes:
        return classes.index(name)
    known = {class_name(text): index for index, text in enumerate(classes)}
    if class_name(name) in known:
        return known[class_name(name)]
    found = {known[text] for text in map(class_name, _spellings(name)) if text in known}
    if len(found) > 1:
        one, other = sorted(classes[index] for index in found)[:2]
        raise ImageError(f"{name!r} may be the class {one} or {other}; rename it")
    return next(iter(found), None)


def _character(escape: re.Match[str]) -> str:
    code = int(escape[1] or escape[2], 16)
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else escape[0]


def _spellings(name: str) -> Iterator[str]:
    """What a name may be whose bytes were read in the wrong code page, or not at all."""
    for read_as in ("utf-8", "cp437", "cp850", "cp1252"):
        for meant in _CODE_PAGES:
            try:
                yield name.encode(read_as, "surrogateescape").decode(meant)
            except UnicodeError:
                continue


def label_images(path: Path, listing: Listing, split: str | None, classes: Sequence[str] | None) -> Labelled:
    """The images of the chosen split, labelled by their folders where these are classes."""
    parts = _look_through({name: parts_of(name) for name in listing.names}, classes)
    parts, beside = _choose_split(path, parts, split, classes)
    parts = _down_to(_look_through(parts, classes), classes)
    notes = [f"left out beside the splits: {_listed(beside)}"] if beside else []
    folders = sorted({part[0] for part in parts.values() if len(part) > 1})
    known, index = _meanings(folders, classes)
    if not known:
        if classes and folders:
            notes.append(f"no labels: no folder is named as one of the classes {_listed(classes)}: {_listed(folders)}")
        return Labelled([(name, None) for name in parts], None, tuple(notes))
    for part in parts.values():
        if len(part) == 1 or index[part[0]] is None:
            raise ImageError(f"{path}: {part[0]} is in none of the classes {', '.join(known)}")
    items = [(name, index[part[0]]) for name, part in parts.items()]
    if classes is None and (inner := sorted({part[:2] for part in parts.values() if len(part) > 2})):
        notes.append(f"folders inside those of classes count as these: {_listed(['/'.join(part) for part in inner])}")
    labels = {label for _, label in items}
    absent = [text for label, text in enumerate(known) if label not in labels]
    absent += [folder for folder in _empty(listing, parts) if class_index(folder, known) is None]
    if absent:
        notes.append(f"no images of {_listed(absent)}")
    return Labelled(items, known, tuple(notes))


def _meanings(folders: Sequence[str], classes: Sequence[str] | None) -> tuple[tuple[str, ...], dict[str, int | None]]:
    """The classes, none where folders are no classes, and which one each folder means."""
    if classes is None:
        names = sorted({class_name(folder) for folder in folders})
        known = tuple(names) if len(names) > 1 else ()
    else:
        known = tuple(classes)
    index = {folder: class_index(folder, known) for folder in folders}
    return (known if any(label is not None for label in index.values()) else ()), index


def _look_through(parts: Parts, classes: Sequence[str] | None) -> Parts:
    """Without the single folders around everything."""
    while len(tops := {part[0] for part in parts.values()}) == 1 and max(map(len, parts.values())) > 2:
        (top,) = tops
        if top.casefold() in SPLITS or (classes and class_index(top, classes) is not None):
            break
        parts = {name: part[1:] for name, part in parts.items()}
    return parts


def _down_to(parts: Parts, classes: Sequence[str] | None) -> Parts:
    """Without the folders around those that are classes, such as categories of them."""
    for depth in range(max(map(len, parts.values())) - 1 if classes else 0):
        folders = {part[depth] for part in parts.values() if len(part) > depth + 1}
        if any(class_index(folder, classes or ()) is not None for folder in folders):
            return {name: part[min(depth, len(part) - 1) :] for name, part in parts.items()}
    return parts


def _choose_split(
    path: Path, parts: Parts, split: str | None, classes: Sequence[str] | None
) -> tuple[Parts, list[str]]:
    """The parts below the chosen split, all of them where there are no splits, and what lies beside the splits."""
    folders = {part[0] for part in parts.values() if len(part) > 1}
    splits = sorted(folder for folder in folders if folder.casefold() in SPLITS)
    beside = sorted({part[0] for part in parts.values()} - set(splits))
    if not splits:
        if split is not None:
            raise ImageError(f"{path}: has no split {split!r}; expected folders named {', '.join(SPLITS[:3])} in it")
        return parts, []
    if beside and (len(splits) == 1 or any(class_index(folder, classes or ()) is not None for folder in folders)):
        if split is not None:  # "train" may be a class, of vehicles
            raise ImageError(f"{path}: has no split {split!r}: {_listed([*splits, *beside])} are not all splits")
        return parts, []
    if split is None and len(splits) > 1:
        raise ImageError(f"{path}: holds the splits {', '.join(splits)}; choose one")
    chosen = [folder for folder in splits if split is None or folder.casefold() == split.casefold()]
    if not chosen:
        raise ImageError(f"{path}: has no split {split!r}; it holds {', '.join(splits)}")
    return {name: part[1:] for name, part in parts.items() if part[0] in chosen}, beside


def _empty(listing: Listing, parts: Parts) -> list[str]:
    """Folders without images beside those that are classes."""
    name, part = next(iter(parts.items()))
    around = parts_of(name)[: -len(part)]
    beside = {folder[-1] for folder in listing.folders if folder[:-1] == around}
    return sorted(folder for folder in beside - {part[0] for part in parts.values()} if not folder.startswith("__"))


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(islice(names, most)) + more
