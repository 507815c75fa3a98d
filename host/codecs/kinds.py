"""Every kind of codec: by name, from plain data, fitted to patches. A new kind is added to `KINDS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from bitswath.codecs.base import Codec, Patches
from bitswath.codecs.companded import CompandedCodec
from bitswath.codecs.dither import dither_named
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.threshold import ThresholdCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError

__all__ = ["KINDS", "CodecSpec", "codec_from_dict", "fit_codec", "parse_codec"]

KINDS: dict[str, type[Codec]] = {
    codec.kind: codec for codec in (UniformCodec, CompandedCodec, PaletteCodec, ThresholdCodec, IntegerCodec)
}
_FITTED = {codec.kind: codec.fit for codec in (UniformCodec, CompandedCodec, PaletteCodec)}
"""Kinds that the command line names, with how each is fitted to patches, bits and dither."""


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
    """A codec before its fit, as the command line names it: ``str(spec)`` is "palette:4:ordered"."""

    kind: str
    bits: int
    dither: str | None = None

    def __str__(self) -> str:
        return ":".join([self.kind, str(self.bits), *([self.dither] if self.dither else [])])


def parse_codec(text: str) -> CodecSpec:
    """ "KIND:BITS" or "KIND:BITS:DITHER" to a `CodecSpec`; kinds: uniform, companded, palette."""
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or parts[0] not in _FITTED or parts[1] not in tuple("12345678"):
        raise CodecError(f"expected {'|'.join(_FITTED)}:BITS with 1 to 8 bits and optionally :DITHER, got {text!r}")
    return CodecSpec(parts[0], int(parts[1]), dither_named(parts[2]).name if parts[2:] else None)


def fit_codec(spec: CodecSpec, training_patches: Patches) -> Codec:
    """The codec of `spec`, fitted to patches (N, H, W, C) of the training split."""
    return _FITTED[spec.kind](training_patches, spec.bits, spec.dither)
