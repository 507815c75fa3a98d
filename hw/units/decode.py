"""The unit at the front of an accelerator that takes compressed frames."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import prod
from typing import Any

from bitswath.bundle.bundle import Bundle
from bitswath.codecs.transform.codec import BLOCK, TransformCodec
from bitswath.errors import BuildError
from bitswath.hw.units.base import Choices, Folding, Shape, SimdUnit, divisors

__all__ = ["Decode", "Decoding", "decoding_of"]

_LEAST_WORDS, _MOST_BYTES = 4, 32768
"""Of a frame, as frame_reader.sv takes them."""

_ROOM = 1024
"""What one block RAM holds two frames of."""


@dataclass(frozen=True)
class Decoding:
    """How frames become codes. `shape`: (H, W, C) of a patch."""

    codec: TransformCodec
    shape: Shape

    def most_bytes(self, word_bits: int) -> int:
        """Of a frame, on a link of such words. Without a budget as many as noise may need, which costs block RAM."""
        budget = self.codec.budget or min(max(2 * prod(self.shape), _ROOM), _MOST_BYTES)
        return max(budget, _LEAST_WORDS * word_bits // 8)

    @property
    def blocks(self) -> tuple[int, int]:
        """Down and across."""
        height, width, _ = self.shape
        return -(-height // BLOCK), -(-width // BLOCK)


def decoding_of(bundle: Bundle) -> Decoding | None:
    """None for a bundle whose frames are packed codes. Raises `BuildError` for a codec that has no decoder."""
    codec, shape = bundle.codec, bundle.manifest.input.patch_shape
    if not codec.compressed:
        return None
    if not isinstance(codec, TransformCodec):
        raise BuildError(f"{bundle.name}: frames of its codec, {codec.kind}, have no decoder in hardware")
    if codec.budget is not None and codec.budget > _MOST_BYTES:
        raise BuildError(
            f"{bundle.name}: frames may have {codec.budget} bytes, the decoder takes {_MOST_BYTES}; "
            "train or export with a smaller budget"
        )
    return Decoding(codec, shape)


@dataclass(frozen=True, eq=False)
class Decode(SimdUnit):
    """Words of compressed frames to codes, and a beat a frame that says whether it was damaged."""

    decoding: Decoding = field(kw_only=True)

    op = "TransformDecode_rtl"

    def choices(self) -> Choices:
        return {"SIMD": divisors(self.decoding.shape[-1])}

    def cycles(self, folding: Folding) -> int:
        """A coefficient a cycle, those of blocks that reach beyond the patch too."""
        rows, columns = self.decoding.blocks
        return rows * columns * BLOCK * BLOCK * self.decoding.shape[-1]

    def taken(self, folding: Folding) -> int:
        return 1

    @property
    def most_words(self) -> int:
        """Of a frame."""
        bits = self.inputs[0].numbers.bits
        return -(-self.decoding.most_bytes(bits) * 8 // bits)

    def attributes(self, folding: Folding) -> dict[str, Any]:
        words, codes = self.inputs[0], self.outputs[0]
        bits = words.numbers.bits
        return {
            "wordBits": bits,
            "maxBytes": self.decoding.most_bytes(bits),
            "PatchShape": list(self.decoding.shape),
            "Shape": list(codes.shape),
            "SIMD": folding["SIMD"],
            "dataType": codes.numbers.datatype,
            "codec": json.dumps(self.decoding.codec.to_dict(), sort_keys=True),
        }
