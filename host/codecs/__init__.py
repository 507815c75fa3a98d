"""Patches to few-bit codes, codes to frames, frames to an archive.

A new codec is a module here and an entry of `kinds.KINDS`.
"""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "archive": ("Archive", "open_archive", "write_archive"),
        "base": ("Codec",),
        "companded": ("CompandedCodec",),
        "integer": ("IntegerCodec",),
        "kinds": ("CodecSpec", "codec_from_dict", "fit_codec", "parse_codec"),
        "packing": ("pack", "unpack"),
        "palette": ("PaletteCodec",),
        "threshold": ("ThresholdCodec",),
        "transform.codec": ("TransformCodec",),
        "uniform": ("UniformCodec",),
    },
)
