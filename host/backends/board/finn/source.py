"""The literals of a ``driver.py`` that FINN generated, read from its syntax tree; nothing of it is executed.

FINN 0.2 has them as names of the module, 0.3 and 0.4 as attributes of a class, with N for the batch; later ones have a
dictionary ``io_shape_dict``, at first of single values, then of lists with one entry for each input or output.
"""

from __future__ import annotations

import ast
import warnings
from pathlib import Path
from typing import Any

from bitswath.errors import BundleError

__all__ = ["read_source"]

_DICT = "io_shape_dict"
_ENDS = frozenset(
    f"{end}{what}" for end in "io" for what in ("dt", "shape_normal", "shape_folded", "shape_packed", "dma_names")
)
_RENAMED = {"input_dma_name": "idma_names", "output_dma_name": "odma_names"}
_COUNTS = frozenset(("number_of_external_weights", "num_inputs", "num_outputs"))
_KNOWN = _ENDS | _COUNTS | {"external_weights", "runtime_weights"}
_ASIDES = frozenset(("fclk_mhz", "platform", "bitfile", "axi_dma"))
_BATCH = ("N", "batch_size", "batchsize")


def read_source(path: Path, text: str) -> dict[str, Any]:
    """What the driver is told, by the names of FINN+'s settings; empty if `text` tells no shapes.

    Raises `BundleError` if it is no Python or has something else than literals there.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the stranger's source, not ours
            tree = ast.parse(text)
        found, asides = _dictionary(path, tree), _asides(tree)
        return {**asides, **found} if found else {}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{path}: is no Python source ({error})") from None


def _dictionary(path: Path, tree: ast.AST) -> dict[str, Any]:
    """Of an ``io_shape_dict``, or of the names and attributes that were its entries before there was one."""
    values = _given(tree)
    found = [
        (value.lineno, _entries(path, value)) for name, value in values if name.endswith(_DICT) and _is_dict(value)
    ]
    if any(entries != found[0][1] for _, entries in found):
        lines = ", ".join(str(line) for line, _ in found)
        raise BundleError(
            f"{path}: has different dictionaries {_DICT} in the lines {lines}; leave the one that is used"
        )
    if found:
        return found[0][1]
    return {name: _literal(path, value) for name, value in values if name in _ENDS}


def _given(tree: ast.AST) -> list[tuple[str, ast.expr]]:
    """What names, attributes and keywords of calls are given, in the order of the lines."""
    found: list[tuple[str, ast.expr]] = []
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value):
                found.append((name, value))
            case ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name), value=ast.expr() as value):
                found.append((name, value))
            case ast.keyword(arg=str(name), value=value):
                found.append((name, value))
    return sorted(found, key=lambda pair: pair[1].lineno)


def _is_dict(node: ast.expr) -> bool:
    return isinstance(node, ast.Dict) or (isinstance(node, ast.Call) and getattr(node.func, "id", None) == "dict")


def _entries(path: Path, node: ast.expr) -> dict[str, Any]:
    """Of a dictionary in braces or a call of `dict`; entries that nobody asks for may be anything."""
    pairs: list[tuple[str | None, ast.expr]]
    match node:
        case ast.Dict(keys=keys, values=values):
            pairs = [(getattr(key, "value", None), value) for key, value in zip(keys, values)]
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
            pairs = [(keyword.arg, keyword.value) for keyword in keywords]
        case _:
            raise _no_literal(path, node)
    named = [(_RENAMED.get(str(name), str(name)), value) for name, value in pairs]
    return {name: _literal(path, value) for name, value in named if name in _KNOWN}


def _asides(tree: ast.AST) -> dict[str, Any]:
    """Clock, platform and bit file: what names, keywords and arguments are given. And which DMA engines."""
    found: dict[str, Any] = {}
    for name, value in _given(tree):
        if name in ("fclk_mhz", "platform", "bitfile", "bitfile_name") and isinstance(value, ast.Constant):
            found[name.removesuffix("_name")] = value.value
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="add_argument"), args=[ast.Constant(value=str(option)), *_]):
                for keyword in node.keywords:
                    if keyword.arg == "default" and isinstance(keyword.value, ast.Constant):
                        found[option.lstrip("-")] = keyword.value.value
            case ast.arguments(args=args, defaults=defaults) if defaults:
                for arg, default in zip(args[-len(defaults) :], defaults):
                    if arg.arg == "platform" and isinstance(default, ast.Constant):
                        found.setdefault("platform", default.value)
            case ast.Attribute(attr="axi_dma_0"):
                found["axi_dma"] = True
    return {name: value for name, value in found.items() if name in _ASIDES}


def _literal(path: Path, node: ast.expr) -> Any:
    """A literal's value; ``DataType["INT8"]`` and ``DataType.INT8`` are the strings they name, the batch is 1."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(path, item) for item in items]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {str(_literal(path, key)): _literal(path, value) for key, value in zip(keys, values) if key}
        case ast.Subscript(value=ast.Name(id="DataType"), slice=ast.Constant(value=str(name))):
            return name
        case ast.Attribute(value=ast.Name(id="DataType"), attr=name):
            return name
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self"), attr=name) if name in _BATCH:
            return 1
    raise _no_literal(path, node)


def _no_literal(path: Path, node: ast.expr) -> BundleError:
    shown = " ".join(ast.unparse(node).split())[:60]
    return BundleError(f"{path}: line {node.lineno}: expected literals in {_DICT}, got {shown!r}")
