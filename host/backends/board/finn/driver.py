"""What FINN's and FINN+'s drivers are told about an accelerator.

FINN+ (1.4 and later) writes it to ``driver/settings.json``; FINN, and FINN+ before, into the source of
``driver/driver.py`` (source.py). Bit files lie in ``bitfile/`` beside ``driver/``, or all in one folder.
"""

from __future__ import annotations

import json
import math
import operator
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitswath.backends.board.finn.source import read_source
from bitswath.errors import BundleError

__all__ = ["Driver", "End", "find_driver"]

_MAX_BYTES = 16 << 20
_MAX_BITS = 4096
_DEPTH = 3
_FOLDERS = 1000
_NAMES = ("settings.json", "driver.py")
_CPP = "acceleratorconfig.json"
_DATATYPE = re.compile(r"^(?:DataType\[['\"])?([A-Z]+)(\d*)(?:['\"]\])?$")
_SPECIAL = {"BINARY": (1, False), "BIPOLAR": (1, True), "TERNARY": (2, True)}
"""Bits and sign. One signed bit is FINN's BIPOLAR; TERNARY lies in memory as INT2 does."""


@dataclass(frozen=True)
class End:
    """An input or output. `datatype`: FINN's name; `normal`, `folded`, `packed`: its shapes, batch first: of values,
    of groups of PE or SIMD values, of bytes. `integer`: bits and sign; None for floats, fixed point and others."""

    engine: str
    datatype: str
    normal: tuple[int, ...]
    folded: tuple[int, ...]
    packed: tuple[int, ...]
    integer: tuple[int, bool] | None

    @property
    def values(self) -> int:
        """In a frame."""
        return math.prod(self.normal[1:])

    @property
    def group(self) -> int:
        """Values that are filled up to whole bytes together."""
        return self.folded[-1]

    @property
    def group_bytes(self) -> int:
        """What they take: one word of the stream that the accelerator has there."""
        return self.frame_bytes // math.prod(self.folded[1:-1])

    @property
    def frame_bytes(self) -> int:
        return math.prod(self.packed[1:])


@dataclass(frozen=True)
class Driver:
    """`path`: the file; `kind`: its driver's class, or "axi_dma" for the DMA engine of FINN before 0.4; `clock_hz`,
    `platform` ("zynq-iodma", "alveo") and `bitfile` (a name) where it tells them; `weights`: what is loaded at run
    time, "" for nothing; `inputs_said`, `outputs_said`: how many it says there are."""

    path: Path
    kind: str
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    inputs_said: int
    outputs_said: int
    clock_hz: float | None
    platform: str
    bitfile: str
    weights: str

    @property
    def places(self) -> tuple[Path, ...]:
        """Where its bit file may lie, in the order to look."""
        place = self.path.parent
        return tuple(dict.fromkeys((place, place / "bitfile", place.parent / "bitfile", place.parent)))


def find_driver(folder: Path) -> Driver | None:
    """Of a FINN or FINN+ output or deployment folder, its ``driver/``, the folder of its bit files, or a folder that
    holds one of these and no other; None if there is none. Raises `BundleError` for a damaged file and where there are
    several."""
    error: BundleError | None = None
    for place in (*(root / sub for root in (folder, folder / "deploy") for sub in ("driver", "")), *_beside(folder)):
        if _has_driver(place):
            try:
                return _driver(place)
            except BundleError as problem:  # settings.json is a name that others use, too
                error = error or problem
    below = list(_below(folder))
    if len(below) > 1:
        names = ", ".join(str(place.relative_to(folder)) for place in below[:5])
        raise BundleError(f"{folder}: holds {len(below)} drivers, in {names}; give the folder of one")
    if below:
        return _driver(below[0])
    if error is None and (script := _script(folder)) is not None:
        return _checked(*script)
    for place in (folder / "driver" / "cpp", folder / "driver", folder / "cpp", folder):
        if (place / _CPP).is_file():
            raise BundleError(
                f"{place / _CPP}: is of FINN's C++ driver, which has the datatypes in its source; generate the PYNQ "
                "driver as well"
            )
    if error is not None:
        raise error
    return None


def _beside(folder: Path) -> tuple[Path, ...]:
    """The driver's place if this is a folder of bit files."""
    holds = any(file.suffix in (".bit", ".xclbin", ".hwh") for file in folder.iterdir()) if folder.is_dir() else False
    return (folder.parent / "driver", folder.parent) if holds else ()


def _has_driver(place: Path) -> bool:
    return any((place / name).is_file() for name in _NAMES)


def _below(folder: Path) -> Iterator[Path]:
    """Folders with a driver, a few floors down, hidden ones left out."""
    for seen, (place, folders, files) in enumerate(os.walk(folder)):
        here = Path(place)
        depth = len(here.relative_to(folder).parts)
        hidden = [name for name in folders if name.startswith((".", "__"))]
        folders[:] = sorted(set(folders) - set(hidden)) if depth < _DEPTH and seen < _FOLDERS else []
        if depth and any(name in files for name in _NAMES):
            yield here
            folders.clear()


def _script(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """A script of another name that has what a driver.py has, as people write them around FINN's base class."""
    found: list[tuple[Path, dict[str, Any]]] = []
    for path in sorted(file for place in (folder / "driver", folder) for file in place.glob("*.py")):
        try:
            text = _text(path)
            told = read_source(path, text) if "ishape_normal" in text else {}
        except BundleError:  # not a driver
            continue
        if {"idt", "odt", "ishape_normal", "oshape_normal"} <= told.keys():
            found.append((path, told))
    if any(told != found[0][1] for _, told in found):
        names = ", ".join(path.name for path, _ in found)
        raise BundleError(f"{folder}: {names} describe different accelerators; call the driver of this one driver.py")
    return found[0] if found else None


def _driver(place: Path) -> Driver:
    path = place / _NAMES[0]
    found = _from_json(path) if path.is_file() else {}
    if "idt" not in found and "driver_type" not in found:
        source = place / _NAMES[1]
        if source.is_file():  # settings.json of FINN+ before 1.4 has a clock at most
            found, path = {**read_source(source, _text(source)), **found}, source
        if "idt" not in found and "odt" not in found and not any(name.endswith("shape_normal") for name in found):
            expected = "an io_shape_dict as FINN's driver has it" if path == source else "io_shape_dict in it"
            raise BundleError(f"{path}: expected {expected}, found none")
    return _checked(path, found)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BundleError(f"{path}: expected at most {_MAX_BYTES} bytes, got {path.stat().st_size}")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot be read ({error})") from error


def _from_json(path: Path) -> dict[str, Any]:
    """``driver_information`` or, before FINN+ 1.4, all, with the keys of io_shape_dict beside the others."""
    try:
        content = json.loads(_text(path))
        found = content.get("driver_information", content)
        return {**found, **found.get("io_shape_dict", {})}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path}: is no settings.json of a FINN+ DMA driver ({error})") from None


def _checked(path: Path, found: Mapping[str, Any]) -> Driver:
    try:
        return _told(path, found)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        if isinstance(error, BundleError):
            raise
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise BundleError(f"{path}: is not complete ({what}); generate the driver again") from None


def _told(path: Path, found: Mapping[str, Any]) -> Driver:
    kind = str(found.get("driver_type", "axi_dma" if found.get("axi_dma") else "FINNDMAOverlay"))
    moving = "idt" in found or kind in ("FINNDMAOverlay", "FINNDMAInstrumentationOverlay")
    inputs, outputs = (_ends(path, found, end) if moving else () for end in "io")
    clock = found.get("fclk_mhz")
    clock_hz = None if clock is None else float(clock) * 1e6
    if clock_hz is not None and not math.isfinite(clock_hz):
        raise ValueError(f"fclk_mhz is {clock}")
    return Driver(
        path=path,
        kind=kind,
        inputs=inputs,
        outputs=outputs,
        inputs_said=int(found.get("num_inputs", len(inputs))),
        outputs_said=int(found.get("num_outputs", len(outputs))),
        clock_hz=clock_hz if clock_hz is not None and clock_hz > 0 else None,  # FINN's driver sets none then
        platform=str(found.get("platform") or ""),
        bitfile=Path(str(found.get("bitfile") or "")).name,
        weights=_weights(path, found),
    )


def _weights(path: Path, found: Mapping[str, Any]) -> str:
    if int(found.get("number_of_external_weights", 0)) or found.get("external_weights"):
        return "weights in external memory"
    if found.get("mlo_weight_config"):
        return "weights of a loop in external memory"
    folder = path.parent / "runtime_weights"
    if found.get("runtime_weights") or (folder.is_dir() and any(folder.iterdir())):
        return "weights that are written through registers"
    return ""


def _ends(path: Path, found: Mapping[str, Any], end: str) -> tuple[End, ...]:
    """`end`: "i" or "o"; older drivers have single values where newer ones have lists."""
    types = _list(found[f"{end}dt"])
    shapes = {kind: _shapes(found[f"{end}shape_{kind}"]) for kind in ("normal", "folded", "packed")}
    engines = _list(found.get(f"{end}dma_names", [f"{end}dma{i}" for i in range(len(types))]))
    for name, given in (
        *((f"{end}shape_{kind}", given) for kind, given in shapes.items()),
        (f"{end}dma_names", engines),
    ):
        if len(given) != len(types) or not types:
            entries = "one entry" if len(types) == 1 else f"{len(types)} entries"
            raise ValueError(f"{name}: expected {entries}, got {len(given)}")
    return tuple(
        _end(path, str(engine), str(kind), *three)
        for engine, kind, three in zip(engines, types, zip(*shapes.values(), strict=True), strict=True)
    )


def _end(
    path: Path, engine: str, name: str, normal: tuple[int, ...], folded: tuple[int, ...], packed: tuple[int, ...]
) -> End:
    match = _DATATYPE.match(name)
    kind, width = match.groups() if match else (name, "")
    integer = None
    if kind in _SPECIAL and not width:
        integer = _SPECIAL[kind]
    elif kind in ("INT", "UINT") and width and 1 <= int(width) <= _MAX_BITS and (kind, width) != ("INT", "1"):
        integer = int(width), kind == "INT"
    groups, size = math.prod(folded[1:-1]), math.prod(packed[1:])
    filled = size % groups == 0 if integer is None else size == groups * -(-folded[-1] * integer[0] // 8)
    if math.prod(normal[1:]) != math.prod(folded[1:]) or not filled:
        what = f"{integer[0]}-bit values" if integer else name
        raise BundleError(f"{path}: shapes {normal}, {folded} and {packed} of {what} do not fit each other")
    return End(engine, kind + width if match else name, normal, folded, packed, integer)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _shapes(value: Any) -> list[tuple[int, ...]]:
    several: Sequence[Any] = value if value and isinstance(value[0], (list, tuple)) else [value]
    shapes = [tuple(operator.index(size) for size in shape) for shape in several]
    for shape in shapes:
        if len(shape) < 2 or min(shape) < 1:
            raise ValueError(f"expected a shape with a batch axis, got {shape}")
    return shapes
