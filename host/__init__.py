"""bitswath: few-bit satellite imagery on FPGA dataflow accelerators.

    import bitswath as bs
    accel = bs.open("eurosat-u4-w4a4.bsw")
    result = accel.classify(patches)

Names are loaded when they are first used, so that the import itself is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bitswath import renamed
from bitswath.basics.lazy import lazily
from bitswath.version import __version__

if TYPE_CHECKING:
    from bitswath.accelerator import Accelerator, DenseResult, Result, open
    from bitswath.bundle.bundle import Bundle, load_bundle, save_bundle, update_accuracy
    from bitswath.codecs.archive import Archive, open_archive, write_archive
    from bitswath.codecs.base import Codec
    from bitswath.codecs.companded import CompandedCodec
    from bitswath.codecs.packing import pack, unpack
    from bitswath.codecs.palette import PaletteCodec
    from bitswath.codecs.threshold import ThresholdCodec
    from bitswath.codecs.transform.codec import TransformCodec
    from bitswath.codecs.uniform import UniformCodec
    from bitswath.errors import BitswathError
    from bitswath.evaluation.report import Report
    from bitswath.imagery.images import open_images
    from bitswath.network.file import load_network, save_network
    from bitswath.network.network import Network
    from bitswath.streaming.counters import Counters
    from bitswath.streaming.progress import stream_progress
    from bitswath.streaming.stream import Stream

__all__ = [
    "Accelerator",
    "Archive",
    "BitswathError",
    "Bundle",
    "Codec",
    "CompandedCodec",
    "Counters",
    "DenseResult",
    "Network",
    "PaletteCodec",
    "Report",
    "Result",
    "Stream",
    "ThresholdCodec",
    "TransformCodec",
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
    "accelerator": ("Accelerator", "DenseResult", "Result", "open"),
    "bundle.bundle": ("Bundle", "load_bundle", "save_bundle", "update_accuracy"),
    "codecs.archive": ("Archive", "open_archive", "write_archive"),
    "codecs.base": ("Codec",),
    "codecs.companded": ("CompandedCodec",),
    "codecs.packing": ("pack", "unpack"),
    "codecs.palette": ("PaletteCodec",),
    "codecs.threshold": ("ThresholdCodec",),
    "codecs.transform.codec": ("TransformCodec",),
    "codecs.uniform": ("UniformCodec",),
    "errors": ("BitswathError",),
    "evaluation.report": ("Report",),
    "imagery.images": ("open_images",),
    "network.file": ("load_network", "save_network"),
    "network.network": ("Network",),
    "streaming.counters": ("Counters",),
    "streaming.progress": ("stream_progress",),
    "streaming.stream": ("Stream",),
}


if not TYPE_CHECKING:  # a type checker takes the imports above, and so sees a misspelt name
    _, __getattr__ = lazily(__name__, _HOMES)


renamed.install()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
