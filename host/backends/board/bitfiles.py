"""Which bit file of a folder is meant, and which handoff file belongs to it.

By name where names tell; else by content: a bit file's header has part, tool version, design and time, a handoff file
has them too, and the DMA engines that the accelerator's driver names. What is left open is refused.
"""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bitswath.backends.board.handoff import Blocks, read_blocks
from bitswath.basics.cache import cache_folder
from bitswath.basics.files import keep_folder, scratch_path, sha256_of
from bitswath.errors import BackendError, BundleError

__all__ = [
    "SUFFIXES",
    "Header",
    "Pair",
    "Wanted",
    "contradiction",
    "likely_handoff",
    "pick_bitfile",
    "read_header",
    "together",
]

SUFFIXES = (".bit", ".xclbin")
_OWN = ("finn-accel.bit", "resizer.bit")
"""What FINN's own steps call a bit file."""
_HEADER_BYTES = 4096
_HEADER_START = bytes.fromhex("0009 0ff0 0ff0 0ff0 0ff0 00 0001")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_BUILD = datetime.timedelta(days=2)
"""A bit file is made within this time of its hand-off."""


@dataclass(frozen=True)
class Header:
    """Of a .bit file as Vivado writes it. `made`: None if the file does not tell."""

    design: str
    version: str
    part: str
    made: datetime.datetime | None


@dataclass(frozen=True)
class Wanted:
    """`engines`: what must be in a handoff file: bytes of a word of its stream, by the engine's name. `suffix`: ".bit"
    or ".xclbin" where the device takes that one. `name`: of the bit file if it must be that one; `likely`: of the one
    to take of several that fit."""

    engines: Mapping[str, int]
    suffix: str = ""
    name: str = ""
    likely: str = ""


@dataclass(frozen=True)
class Pair:
    """A bit file and its handoff file with what is in that; both None on cards and where there is none.
    `others`: bit files that were not taken. `because`: how it was told from them."""

    bitfile: Path
    handoff: Path | None = None
    blocks: Blocks | None = None
    others: tuple[Path, ...] = ()
    because: str = ""


def pick_bitfile(places: Sequence[Path], wanted: Wanted) -> Pair:
    """The one in the first of `places` that has any. Raises `BundleError` if there is none, or several that fit."""
    for place in places:
        files = _files(place, SUFFIXES)
        if files:
            break
    else:
        place = next((place for place in places if place.name == "bitfile" and place.is_dir()), places[0])
        raise BundleError(f"{place}: expected a .bit or .xclbin file there or beside it, found none; copy it there")
    found = [file for file in files if file.name == wanted.name] if wanted.name else files
    found = [file for file in found if file.suffix == wanted.suffix] or found
    if not found:
        raise BundleError(f"{place}: has no {wanted.name}, only {_names(files)}")
    handoffs = [file for one in dict.fromkeys((place, *places)) for file in _files(one, (".hwh",))]
    pairs = [_paired(file, handoffs, files, wanted) for file in found]
    pair = pairs[0] if len(pairs) == 1 else _one(place, pairs, wanted)
    others = tuple(file for file in files if file != pair.bitfile)
    return replace(pair, others=others, because=pair.because if others else "")


def likely_handoff(places: Sequence[Path], wanted: Wanted) -> tuple[Path, Blocks] | None:
    """A handoff file that has the engines, and its content, where no bit file tells which is meant; None if several
    that differ have."""
    found = [(file, _blocks_or_none(file)) for place in places for file in _files(place, (".hwh",))]
    able = [(file, blocks) for file, blocks in found if blocks is not None and not _missing(blocks, wanted)]
    own = [(file, blocks) for file, blocks in able if f"{file.stem}.bit" in _OWN]
    able = own if len(own) == 1 else able
    return able[0] if len({_but_for_time(blocks) for _, blocks in able}) == 1 else None


def _files(place: Path, suffixes: tuple[str, ...]) -> list[Path]:
    try:
        return sorted(file for file in place.iterdir() if file.suffix in suffixes and file.name[0] != ".")
    except OSError:
        return []


def _names(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files)


def _one(place: Path, pairs: list[Pair], wanted: Wanted) -> Pair:
    """Of several bit files: the one whose hand-off has the engines; FINN's own name among equals."""
    suffixes = sorted({pair.bitfile.suffix for pair in pairs})
    if len(suffixes) > 1:
        raise BundleError(
            f"{place}: has bit files for boards and for cards, {_names(pair.bitfile for pair in pairs)}; "
            "give the one to take instead of the folder"
        )
    able = [pair for pair in pairs if pair.blocks is not None and not _missing(pair.blocks, wanted)]
    fitting = [pair for pair in able if not _unlike(pair.blocks, wanted)] or able
    if len(fitting) == 1:
        return replace(fitting[0], because="its .hwh has the engines that the driver names")
    for names, because in (((wanted.likely,), "the driver names it"), (_OWN, "it has the name that FINN gives")):
        own = [pair for pair in fitting if pair.bitfile.name in names]
        if len(own) == 1:
            return replace(own[0], because=because)
    files = [pair.bitfile for pair in fitting or pairs]
    raise BundleError(
        f"{place}: expected one bit file, got {_names(files)}; remove the others or give the one to take "
        "instead of the folder"
    )


def _paired(bitfile: Path, handoffs: list[Path], bitfiles: list[Path], wanted: Wanted) -> Pair:
    """A bit file with the handoff file of its name, else with the one that by its content belongs to it."""
    if bitfile.suffix != ".bit":
        return Pair(bitfile)
    named = [file for file in handoffs if file.stem == bitfile.stem]
    if named:
        return Pair(bitfile, named[0], _blocks_or_none(named[0]))
    taken = {file.stem for file in bitfiles}
    loose = [(file, _blocks_or_none(file)) for file in handoffs if file.stem not in taken]
    able = [(file, blocks) for file, blocks in loose if blocks is not None and not _missing(blocks, wanted)]
    header = read_header(bitfile)
    if header is not None:
        able = [(file, blocks) for file, blocks in able if not contradiction(header, blocks)]
        dated = [(file, blocks) for file, blocks in able if _of_one_build(header, blocks)]
        able = dated or able
    able = [(file, blocks) for file, blocks in able if not _unlike(blocks, wanted)] or able
    if len({_but_for_time(blocks) for _, blocks in able}) > 1:
        raise BundleError(
            f"{bitfile}: expected a {bitfile.stem}.hwh beside it, got {_names(file for file, _ in able)}, which all "
            "fit; give the right one the bit file's name"
        )
    if loose and not able:
        raise BundleError(
            f"{bitfile}: expected a {bitfile.stem}.hwh beside it; {_names(file for file, _ in loose)} is of another "
            "design; copy the .hwh that was made with the bit file"
        )
    return Pair(bitfile, *able[0]) if able else Pair(bitfile)


def _blocks_or_none(path: Path) -> Blocks | None:
    """None for a damaged file, which is complained about when it is used."""
    try:
        return read_blocks(path)
    except BundleError:
        return None


def _missing(blocks: Blocks | None, wanted: Wanted) -> list[str]:
    return [name for name in wanted.engines if blocks is not None and name not in blocks.engines]


def _unlike(blocks: Blocks | None, wanted: Wanted) -> list[str]:
    """Engines whose stream has another width than the driver's frames are made of."""
    engines = {} if blocks is None else blocks.engines
    widths = {name: engines[name].stream_bytes for name in wanted.engines if name in engines}
    return [name for name, width in widths.items() if width not in (None, wanted.engines[name])]


def _but_for_time(blocks: Blocks) -> str:
    return repr((replace(blocks, made="", engines={}), sorted(blocks.engines.items())))


def contradiction(header: Header, blocks: Blocks) -> str:
    """What a bit file and a handoff file say differently, "" for nothing."""
    part = header.part.replace("-", "")
    told = blocks.part.partition("-")[0]
    if told and part and not part.startswith(told):
        return f"it is for part {header.part}, the .hwh for {blocks.part}"
    if header.version and blocks.vivado and header.version.split("_")[0] != blocks.vivado.split("_")[0]:
        return f"Vivado {header.version} made it, and {blocks.vivado} the .hwh"
    made = _time_of(blocks)
    if made is not None and header.made is not None and header.made < made - datetime.timedelta(days=1):
        return f"it was made {header.made:%Y-%m-%d}, before the .hwh of {made:%Y-%m-%d}"
    return ""


def _of_one_build(header: Header, blocks: Blocks) -> bool:
    made = _time_of(blocks)
    return made is not None and header.made is not None and abs(header.made - made) <= _BUILD


def _time_of(blocks: Blocks) -> datetime.datetime | None:
    try:
        _, month, day, time, year = blocks.made.split()
        hour, minute, second = map(int, time.split(":"))
        return datetime.datetime(int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second)
    except ValueError:
        return None


def read_header(bitfile: Path) -> Header | None:
    """None for a file that does not begin as a .bit file does.

    The format: 13 bytes, then fields of a letter, two bytes for the length, and text that ends in a zero; "a" is
    design, user and version, "b" part, "c" date, "d" time.
    """
    try:
        with bitfile.open("rb") as file:
            content = file.read(_HEADER_BYTES)
    except OSError as error:
        raise BundleError(f"{bitfile}: cannot be read ({error.strerror})") from error
    if not content.startswith(_HEADER_START):
        return None
    fields, at = {}, len(_HEADER_START)
    while content[at : at + 1] in (b"a", b"b", b"c", b"d"):
        size = int.from_bytes(content[at + 1 : at + 3], "big")
        fields[content[at : at + 1].decode()] = content[at + 3 : at + 3 + size].rstrip(b"\0").decode("latin-1")
        at += 3 + size
    design, *details = fields.get("a", "").split(";")
    told = dict(detail.partition("=")[::2] for detail in details)
    try:
        made = datetime.datetime.strptime(f"{fields.get('c')} {fields.get('d')}", "%Y/%m/%d %H:%M:%S")
    except ValueError:
        made = None
    return Header(design, told.get("Version", ""), fields.get("b", ""), made)


def together(pair: Pair) -> Path:
    """The bit file with its handoff file beside it under the same name, as pynq looks for it: where they are if they
    are so, else copies in the user's cache. Raises `BackendError` if they cannot be copied."""
    if pair.handoff is None or pair.handoff == pair.bitfile.with_suffix(".hwh"):
        return pair.bitfile
    try:
        digest = hashlib.sha256((sha256_of(pair.bitfile) + sha256_of(pair.handoff)).encode()).hexdigest()
        folder = cache_folder("bitstreams") / digest
        if not folder.is_dir():
            scratch = scratch_path(folder)
            scratch.mkdir()
            shutil.copyfile(pair.bitfile, scratch / pair.bitfile.name)
            shutil.copyfile(pair.handoff, scratch / f"{pair.bitfile.stem}.hwh")
            keep_folder(scratch, folder)
    except OSError as error:
        raise BackendError(
            f"{pair.bitfile}: cannot be copied ({error.strerror}); give its .hwh the same name"
        ) from error
    return folder / pair.bitfile.name
