"""Documented modules that have moved: their old names still import, with a `DeprecationWarning`."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["RENAMED", "install"]

RENAMED = {
    "bitswath.images": "bitswath.imagery.images",
    "bitswath.packing": "bitswath.codecs.packing",
    "bitswath.models.architectures": "bitswath.models.nets.architectures",
    "bitswath.models.synthetic": "bitswath.models.data.synthetic",
}


class _Renamed(MetaPathFinder, Loader):
    """Puts the module of the new name in the place of the old one."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in RENAMED else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        warnings.warn(f"{old} is {RENAMED[old]} now", DeprecationWarning, stacklevel=2)
        sys.modules[old] = importlib.import_module(RENAMED[old])


def install() -> None:
    """Let old names be imported from now on."""
    if not any(isinstance(finder, _Renamed) for finder in sys.meta_path):
        sys.meta_path.append(_Renamed())
