"""FINN's and FINN+'s own output folders: what their drivers are told about the accelerator.

FINN+ (1.6) writes it to ``driver/settings.json``; FINN into the source of ``driver/driver.py``, whose literals are
read from the syntax tree. Nothing of it is executed. Bit files lie in ``bitfile/`` beside ``driver/``.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bitswath.backends.board.overlay import Frames, Overlay
from bitswath.errors import BundleError

__all__ = ["find_settings"]

_MAX_BYTES = 16 << 20
_BITFILES = (".bit", ".xclbin")
_DATATYPE = re.compile(r"^(?:DataType\[['\"])?([A-Z]+)(\d*)(?:['\"]\])?$")
_ADVICE = "use FINN's own driver for it"


def find_settings(folder: Path) -> Overlay | None:
    """The overlay of a FINN or FINN+ output or deployment folder, its ``driver/`` or a folder that holds all; or None.

    Raises `BundleError` for a damaged file and for what this driver cannot drive: several inputs or outputs, weights
    loaded at run time, FLOAT or FIXED data.
    """
    for root in (folder, folder / "deploy"):
        for place in (root / "driver", root):
            for name, read in (("settings.json", _from_json), ("driver.py", _from_source)):
                path = place / name
                if path.is_file():
                    return _overlay(path, read(path), [place, root / "bitfile", root, *_around(place)])
    return None


def _around(place: Path) -> tuple[Path, ...]:
    return (place.parent / "bitfile", place.parent)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BundleError(f"{path}: expected at most {_MAX_BYTES} bytes, got {path.stat().st_size}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot be read ({error})") from error


def _from_json(path: Path) -> dict[str, Any]:
    """``driver_information`` with the keys of io_shape_dict beside the others."""
    try:
        found = json.loads(_text(path))["driver_information"]
        return {**found, **found["io_shape_dict"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise BundleError(f"{path}: is no settings.json of a FINN+ DMA driver ({what})") from None


def _from_source(path: Path) -> dict[str, Any]:
    """``io_shape_dict`` and ``fclk_mhz`` of a generated driver.py."""
    try:
        tree = ast.parse(_text(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BundleError(f"{path}: is no Python source ({error})") from None
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and [getattr(name, "id", None) for name in node.targets] == ["io_shape_dict"]:
            found.update(_literal(path, node.value))
        if isinstance(node, ast.keyword) and node.arg == "fclk_mhz" and isinstance(node.value, ast.Constant):
            found.setdefault("fclk_mhz", node.value.value)
    if not found:
        raise BundleError(f"{path}: expected an io_shape_dict as FINN's driver has it, found none")
    renamed = {"input_dma_name": "idma_names", "output_dma_name": "odma_names"}
    return {renamed.get(name, name): value for name, value in found.items()}


def _literal(path: Path, node: ast.expr) -> Any:
    """A literal's value; ``DataType["INT8"]`` and ``DataType.INT8`` are the strings they name."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(path, item) for item in items]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_literal(path, key): _literal(path, value) for key, value in zip(keys, values) if key is not None}
        case ast.Subscript(value=ast.Name(id="DataType"), slice=ast.Constant(value=str(name))):
            return name
        case ast.Attribute(value=ast.Name(id="DataType"), attr=name):
            return name
    raise BundleError(f"{path}: line {node.lineno}: expected literals in io_shape_dict, got {ast.unparse(node)[:60]!r}")


def _overlay(path: Path, found: Mapping[str, Any], places: Sequence[Path]) -> Overlay:
    try:
        _check_supported(path, found)
        clock = found.get("fclk_mhz")
        return Overlay(
            bitfile=_bitfile(path, places),
            shell="finn",
            input=_frames(path, found, "i", "idma0"),
            output=_frames(path, found, "o", "odma0"),
            clock_hz=float(clock) * 1e6 if clock is not None else None,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, BundleError):
            raise
        what = f"no {error}" if isinstance(error, KeyError) else error
        raise BundleError(f"{path}: is not complete ({what}); generate the driver again") from None


def _check_supported(path: Path, found: Mapping[str, Any]) -> None:
    kind = found.get("driver_type", "FINNDMAOverlay")
    if kind not in ("FINNDMAOverlay", "FINNDMAInstrumentationOverlay"):
        raise BundleError(f"{path}: expected a bitstream with DMA engines, got one for {kind}; {_ADVICE}")
    for name in ("num_inputs", "num_outputs"):
        if int(found.get(name, 1)) != 1:
            raise BundleError(f"{path}: expected one input and one output, got {name} {found[name]}; {_ADVICE}")
    weights = path.parent / "runtime_weights"
    if (
        int(found.get("number_of_external_weights", 0))
        or found.get("external_weights")
        or found.get("runtime_weights")
        or found.get("mlo_weight_config")
        or (weights.is_dir() and any(weights.iterdir()))
    ):
        raise BundleError(f"{path}: expected weights in the bitstream, got some to be loaded at run time; {_ADVICE}")


def _frames(path: Path, found: Mapping[str, Any], end: str, engine: str) -> Frames:
    """`end`: "i" or "o"; older drivers have single values where newer ones have lists of one."""
    bits, signed = _datatype(path, str(_only(found[f"{end}dt"])))
    normal, folded, packed = (_shape(found[f"{end}shape_{kind}"]) for kind in ("normal", "folded", "packed"))
    group = folded[-1]
    size = math.prod(folded[1:-1]) * (-(-group * bits // 8))
    if math.prod(normal[1:]) != math.prod(folded[1:]) or math.prod(packed[1:]) != size:
        raise BundleError(f"{path}: shapes {normal}, {folded} and {packed} of {bits}-bit values do not fit each other")
    name = found.get(f"{end}dma_names", engine)
    return Frames(str(_only(name)), bits, signed, math.prod(normal[1:]), group, size)


def _datatype(path: Path, name: str) -> tuple[int, bool]:
    """Bits and sign. One signed bit is FINN's BIPOLAR; TERNARY lies there as INT2 does."""
    match = _DATATYPE.match(name)
    kind, width = match.groups() if match else (name, "")
    special = {"BINARY": (1, False), "BIPOLAR": (1, True), "TERNARY": (2, True)}
    if kind in special and not width:
        return special[kind]
    if kind in ("INT", "UINT") and width and 1 <= int(width) <= 4096 and (kind, width) != ("INT", "1"):
        return int(width), kind == "INT"
    raise BundleError(f"{path}: expected integers at both ends, got {name}; {_ADVICE}")


def _only(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) != 1:
        raise ValueError(f"expected one entry, got {len(value)}")
    return value[0]


def _shape(value: Any) -> tuple[int, ...]:
    inner = value[0] if value and isinstance(value[0], (list, tuple)) else value
    shape = tuple(int(size) for size in inner)
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"expected a shape with a batch axis, got {shape}")
    return shape


def _bitfile(path: Path, places: Sequence[Path]) -> Path:
    for place in places:
        files = sorted(file for suffix in _BITFILES for file in place.glob(f"*{suffix}"))
        if len(files) == 1:
            return files[0]
        if files:
            raise BundleError(f"{place}: expected one bit file, got {', '.join(file.name for file in files)}")
    raise BundleError(f"{path}: expected a .bit or .xclbin file beside it or in bitfile/, found none")
