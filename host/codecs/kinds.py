"""Every kind of codec: by name, from plain data, fitted to patches. A new kind is added to `KINDS`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bitswath.codecs.base import Codec, Patches
from bitswath.codecs.companded import CompandedCodec
from bitswath.codecs.dither import dither_named
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.threshold import ThresholdCodec
from bitswath.codecs.transform.codec import QUALITIES, TransformCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError

__all__ = ["KINDS", "CodecSpec", "codec_from_dict", "fit_codec", "parse_codec"]

KINDS: dict[str, type[Codec]] = {
    codec.kind: codec
    for codec in (UniformCodec, CompandedCodec, PaletteCodec, TransformCodec, ThresholdCodec, IntegerCodec)
}
_POINTWISE = {codec.kind: codec.fit for codec in (UniformCodec, CompandedCodec, PaletteCodec)}
"""Kinds that the command line names with bits and a dither, and how each is fitted to patches with them."""
_FORMS = f"{'|'.join(_POINTWISE)}:BITS with 1 to 8 bits and optionally :DITHER, or transform:QUALITY, transform:B=BYTES"


def codec_from_dict(data: Mapping[str, Any]) -> Codec:
    """The codec that `Codec.to_dict` described; raises `CodecError` for anything else."""
    codec = KINDS.get(str(data.get("kind"))) if isinstance(data, Mapping) else None
    if codec is None:
        raise CodecError(f"expected a codec's description with a kind of {', '.join(KINDS)}, got {data!r:.80}")
    expected = {f.name for f in fields(codec)} | {"kind"}
    if set(data) | set(codec.added) != expected:
        raise CodecError(f"{codec.kind} codec: expected keys {sorted(expected)}, got {sorted(map(str, data))}")
    return codec(**{name: value for name, value in data.items() if name != "kind"})


@dataclass(frozen=True)
class CodecSpec:
    """A codec before its fit, as the command line names it: ``str(spec)`` is "palette:4:ordered" or "transform:B=300".

    `quality`, `budget`: of a transform codec, whose codes have 8 bits.
    """

    kind: str
    bits: int
    dither: str | None = None
    quality: int | None = None
    budget: int | None = None

    def __str__(self) -> str:
        if self.kind != TransformCodec.kind:
            return ":".join([self.kind, str(self.bits), *([self.dither] if self.dither else [])])
        quality = [] if self.quality is None else [str(self.quality)]
        return ":".join([self.kind, *quality, *([] if self.budget is None else [f"B={self.budget}"])])


def parse_codec(text: str) -> CodecSpec:
    """ "KIND:BITS" or "KIND:BITS:DITHER" of uniform, companded, palette, or "transform:QUALITY", "transform:B=BYTES",
    "transform:QUALITY:B=BYTES" to a `CodecSpec`."""
    kind, *parts = text.split(":")
    if kind == TransformCodec.kind:
        return _transform_spec(parts, text)
    if not 1 <= len(parts) <= 2 or kind not in _POINTWISE or parts[0] not in tuple("12345678"):
        raise CodecError(f"expected {_FORMS}, got {text!r}")
    return CodecSpec(kind, int(parts[0]), dither_named(parts[1]).name if parts[1:] else None)


def _transform_spec(parts: list[str], text: str) -> CodecSpec:
    found = re.fullmatch(r"(\d{1,2})(?::B=(\d{1,5}))?|B=(\d{1,5})", ":".join(parts), re.ASCII)
    numbers = [None if value is None else int(value) for value in (found.groups() if found else (None,) * 3)]
    quality, budget = numbers[0], numbers[2] if numbers[1] is None else numbers[1]
    if found is None or (quality is not None and quality not in QUALITIES):
        last = QUALITIES[-1]
        raise CodecError(f"expected transform:QUALITY of 1 to {last}, transform:B=BYTES, or both, got {text!r}")
    return CodecSpec(TransformCodec.kind, 8, None, quality, budget)


def fit_codec(spec: CodecSpec, training_patches: Patches) -> Codec:
    """The codec of `spec`, fitted to patches (N, H, W, C) of the training split."""
    if spec.kind == TransformCodec.kind:
        return TransformCodec.fit(training_patches, spec.quality, spec.budget)
    return _POINTWISE[spec.kind](training_patches, spec.bits, spec.dither)
