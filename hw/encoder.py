"""Tables of the encoder kernel (hw/rtl/codec_encode.sv), which computes a codec's codes in fabric."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs import Codec
from bitswath.errors import BuildError

__all__ = ["encoder_tables", "thresholds"]

MASK_SIDE = 8
CHUNK = 4096


def thresholds(codec: Codec, bands: int) -> NDArray[np.int64]:
    """(bands, rows, columns, 2^bits - 1): the smallest sample whose code is at least 1, 2, ...

    Rows and columns are the 8 x 8 positions of the dither mask, or 1 x 1 without dither. Found by encoding every
    sample value at every position, so that codec and kernel agree by construction. Raises `BuildError` for a
    palette codec, whose codes are not a function of one sample, and for a larger mask than the kernel's.
    """
    if not codec.numeric:
        raise BuildError(f"expected a uniform or companded codec to encode in fabric, got {codec.kind}")
    if codec.mask_period > MASK_SIDE:
        raise BuildError(
            f"expected a dither mask of at most {MASK_SIDE} x {MASK_SIDE} pixels to encode in fabric, got"
            f" {codec.dither}; encode on the host, or use ordered"
        )
    side = MASK_SIDE if codec.dither else 1
    below = np.zeros(((1 << codec.bits) - 1, side, side, bands), np.int64)
    for start in range(0, 1 << codec.depth, CHUNK):
        samples = np.arange(start, min(start + CHUNK, 1 << codec.depth), dtype=codec.dtype)
        patches = np.broadcast_to(samples[:, None, None, None], (len(samples), side, side, bands))
        codes = codec.encode(np.ascontiguousarray(patches))
        for code, count in enumerate(below, start=1):
            count += (codes < code).sum(axis=0)
    return below.transpose(3, 1, 2, 0)


def encoder_tables(codec: Codec, bands: int, simd: int, prefix: str) -> dict[str, str]:
    """Memory files of the kernel by name, ``<prefix><lane>_<stage>.hex``; `simd` bands pass in a beat."""
    table, files = thresholds(codec, bands), {}
    for lane in range(simd):
        for stage in range(codec.bits):
            step = 1 << (codec.bits - 1 - stage)
            entries = table[lane::simd, ..., step - 1 :: 2 * step].reshape(-1)
            files[f"{prefix}{lane}_{stage}.hex"] = "\n".join(f"{entry:x}" for entry in entries) + "\n"
    return files
