"""bitswath: few-bit satellite imagery on FPGA dataflow accelerators.

    import bitswath as bs
    accel = bs.open("eurosat-u4-w4a4.bsw")
    result = accel.classify(patches)

Names are loaded when they are first used, so that the import itself is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bitswath.version import __version__

if TYPE_CHECKING:
    from bitswath.accelerator import Accelerator, Result, open
    from bitswath.archive import Archive, open_archive, write_archive
    from bitswath.bundle import Bundle, load_bundle, save_bundle, update_accuracy
    from bitswath.codecs import Codec, CompandedCodec, PaletteCodec, ThresholdCodec, UniformCodec
    from bitswath.console import stream_progress
    from bitswath.counters import Counters
    from bitswath.errors import BitswathError
    from bitswath.images import open_images
    from bitswath.network import Network
    from bitswath.network_io import load_network, save_network
    from bitswath.packing import pack, unpack
    from bitswath.report import Report
    from bitswath.stream import Stream

__all__ = [
    "Accelerator",
    "Archive",
    "BitswathError",
    "Bundle",
    "Codec",
    "CompandedCodec",
    "Counters",
    "Network",
    "PaletteCodec",
    "Report",
    "Result",
    "Stream",
    "ThresholdCodec",
    "UniformCodec",
    "__version__",
    "load_bundle",
    "load_network",
    "open",
    "open_archive",
    "open_images",
    "pack",
    "save_bundle",
    "save_network",
    "stream_progress",
    "unpack",
    "update_accuracy",
    "write_archive",
]

_HOMES = {
    "accelerator": ("Accelerator", "Result", "open"),
    "archive": ("Archive", "open_archive", "write_archive"),
    "bundle": ("Bundle", "load_bundle", "save_bundle", "update_accuracy"),
    "codecs": ("Codec", "CompandedCodec", "PaletteCodec", "ThresholdCodec", "UniformCodec"),
    "console": ("stream_progress",),
    "counters": ("Counters",),
    "errors": ("BitswathError",),
    "images": ("open_images",),
    "network": ("Network",),
    "network_io": ("load_network", "save_network"),
    "packing": ("pack", "unpack"),
    "report": ("Report",),
    "stream": ("Stream",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker takes the imports above, and so sees a misspelt name

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'bitswath' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"bitswath.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
