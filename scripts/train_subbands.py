"""Trains a network on the coefficients of a block transform, or on the pixels that the same coefficients decode to.

    python scripts/train_subbands.py scripts/subbands-w4a4.yaml -o RUN [--codec decoded:48] [--data DATA] [--json FILE]

The configuration is one of `bitswath train`, but for its codec: "subbands:STEP" gives the network the quantized
coefficients, 8 x 8 x 192 of a patch of 64 x 64 x 3; "subbands:STEP:shifted" each times the power of two that lets it
use eight bits; "decoded:STEP" the 64 x 64 x 3 pixels that they stand for. So both forms know the same of a patch, and
what they cost on the link is one figure: its ideal bytes under static tables, one for each coefficient.

An experiment, and so no codec kind: nothing sends, stores or decodes such codes. Its runs cannot be exported.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.codecs.base import Codes, Patches, PointwiseCodec, Rows
from bitswath.errors import CodecError
from bitswath.models.data.datasets import Dataset, load_configured
from bitswath.models.export.qonnx import export_qonnx
from bitswath.models.lowering import lower
from bitswath.models.nets.config import TrainConfig, load_config
from bitswath.models.training.fit import describe, train_model
from bitswath.models.training.train import Samples, evaluate

__all__ = ["Decoded", "Subbands", "fitted", "ideal_bytes"]

SIDE = 8
SCALE = 2048
"""Of the integer bases: sums of products with 8-bit samples stay below 2^24, so float32 computes them exactly."""
LARGEST = 127
DEAD_ZONE = 0.15
"""By how much the rounding threshold of all coefficients but the means is above a half."""
FIT_PATCHES = 2000
TIMES = 10


@dataclass(frozen=True)
class _BlockTransform(PointwiseCodec):
    """The DCT of blocks of 8 x 8, of bands that `mixing` (C, C) / 4096 has mixed; quantized by one `step`."""

    mixing: Rows = field(kw_only=True)
    step: int = field(kw_only=True)

    MIXING_SCALE: ClassVar[int] = 4096

    @property
    def bands(self) -> int:
        return len(self.mixing)

    def coefficients(self, patches: Patches) -> NDArray[np.float32]:
        """Integers -127..127 as float32 (N, H/8, W/8, 64 C) of uint8 patches (N, H, W, C): vertical frequency first,
        then horizontal, then mixed band."""
        sums = (_blocks(patches).astype(np.float32) - 128) @ self._basis.T
        rounding = np.full(sums.shape[-1], 0.5 - DEAD_ZONE, np.float32)
        rounding[: self.bands] = 0.5
        magnitudes = np.floor(np.abs(sums) / np.float32(self.step * SCALE) + rounding)
        return np.copysign(np.minimum(magnitudes, LARGEST), sums)

    def pixels(self, coefficients: NDArray[np.float32]) -> Patches:
        """The patches, uint8 (N, H, W, C), that coefficients stand for."""
        values = (coefficients * self.step) @ self._basis / SCALE + 128
        count, high, wide, _ = values.shape
        blocks = values.reshape(count, high, wide, SIDE, SIDE, self.bands).transpose(0, 1, 3, 2, 4, 5)
        pixels: Patches = np.rint(blocks).clip(0, 255).astype(np.uint8)
        return pixels.reshape(count, high * SIDE, wide * SIDE, self.bands)

    def _checked_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        height, width, bands = super()._checked_shape(shape)
        if height % SIDE or width % SIDE:
            raise CodecError(f"expected patches of whole {SIDE} x {SIDE} blocks, got {height} x {width}")
        return height, width, bands

    def _coded(self, batch: Patches) -> Codes:
        raise NotImplementedError

    def _fill(self, batch: Patches, out: Codes, pack_bits: int, threads: int) -> int:
        codes = np.ascontiguousarray(self._coded(batch).reshape(len(batch), -1))
        if pack_bits:
            _native.pack(codes, pack_bits, False, out, threads)
        else:
            out[...] = codes
        return int(batch.max())

    @cached_property
    def _basis(self) -> NDArray[np.float32]:
        """(64 C, 64 C): a row for each coefficient."""
        mixing = np.array(self.mixing) / self.MIXING_SCALE
        rows = np.einsum("uy,vx,bc->uvbyxc", _dct(), _dct(), mixing).reshape((SIDE * SIDE * self.bands,) * 2)
        return np.rint(SCALE * rows).astype(np.float32)


@dataclass(frozen=True)
class Subbands(_BlockTransform):
    """Coefficients in offset binary: 128 is none. They count for the network shifted left by `shifts` (1, 64 C) bits,
    as far as -127..127 goes."""

    shifts: Rows = field(kw_only=True)

    kind: ClassVar[str] = "subbands"
    numeric: ClassVar[bool] = False

    @property
    def values(self) -> NDArray[np.int64]:
        """(64 C, 256, 1): with a sign, so that padding is no coefficient, and bfloat16 rounds small ones little."""
        shifted = (np.arange(256) - 128) << np.array(self.shifts[0])[:, None]
        return shifted.clip(-LARGEST, LARGEST)[..., None]

    def code_shape(self, patch_shape: Sequence[int]) -> tuple[int, int, int]:
        """(H, W, C) to (H/8, W/8, 64 C)."""
        height, width, bands = self._checked_shape(patch_shape)
        return height // SIDE, width // SIDE, SIDE * SIDE * bands

    def _coded(self, batch: Patches) -> Codes:
        return (self.coefficients(batch) + 128).astype(np.uint8)

    def _decode(self, codes: Codes) -> Patches:
        lead = codes.shape[:-3]
        patches = self.pixels(codes.reshape(-1, *codes.shape[-3:]).astype(np.float32) - 128)
        return patches.reshape(*lead, *patches.shape[1:])


@dataclass(frozen=True)
class Decoded(_BlockTransform):
    """The pixels that the coefficients stand for."""

    kind: ClassVar[str] = "decoded"

    def _coded(self, batch: Patches) -> Codes:
        return self.pixels(self.coefficients(batch))

    def _decode(self, codes: Codes) -> Patches:
        return codes


def fitted(text: str, patches: Patches) -> Subbands | Decoded:
    """The codec of "subbands:STEP", "subbands:STEP:shifted" or "decoded:STEP", fitted to training patches, uint8.

    Bands are mixed along their principal axes, the one of most variance first. Raises `CodecError`.
    """
    kind, _, rest = text.partition(":")
    step, _, shifted = rest.partition(":")
    if kind not in ("subbands", "decoded") or not step.isdecimal() or not int(step) or shifted not in ("", "shifted"):
        raise CodecError(f"expected subbands:STEP, subbands:STEP:shifted or decoded:STEP, got {text!r}")
    some = patches[:: max(1, len(patches) // FIT_PATCHES)]
    common = {"mixing": _principal_axes(some), "step": int(step)}
    if kind == "decoded":
        return Decoded(8, **common)
    flat = Subbands(8, **common, shifts=((0,) * (SIDE * SIDE * patches.shape[-1]),))
    if not shifted:
        return flat
    reach = np.quantile(np.abs(flat.coefficients(some)), 0.999, axis=(0, 1, 2))
    shifts = np.floor(np.log2(LARGEST / np.maximum(reach, 1))).astype(int)
    return Subbands(8, **common, shifts=(tuple(shifts.tolist()),))


def ideal_bytes(train: NDArray[np.float32], shown: NDArray[np.float32]) -> float:
    """Mean bytes of a patch of `shown` coefficients in an ideal code with a table for each, fitted to `train`."""
    values = 2 * LARGEST + 1
    channel = np.arange(shown.shape[-1]) * values + LARGEST
    counts = np.bincount((train + channel).astype(int).ravel(), minlength=len(channel) * values) + 0.02
    shares = counts.reshape(-1, values) / counts.reshape(-1, values).sum(1, keepdims=True)
    return float(-np.log2(shares.ravel()[(shown + channel).astype(int).ravel()]).sum() / 8 / len(shown))


def measured(settings: TrainConfig, train: Dataset, val: Dataset, folder: Path) -> dict[str, Any]:
    """Train in `folder`; accuracy on val, ideal bytes, PSNR and, of a quantized network, multiply-accumulates."""
    codec = fitted(settings.codec, train.patches)
    few, shown = train.patches[::TIMES], val.patches[::TIMES]
    coefficients = codec.coefficients(shown)
    error = (codec.pixels(coefficients).astype(float) - shown) ** 2
    facts: dict[str, Any] = {
        "codec": settings.codec,
        "ideal_bytes": round(ideal_bytes(codec.coefficients(few), coefficients), 1),
        "psnr_db": round(float(np.mean(10 * np.log10(255**2 / np.maximum(error.mean((1, 2, 3)), 1e-9)))), 2),
    }
    print(facts, flush=True)
    info = describe(settings, codec, train)
    trained, _ = train_model(info, codec, train, val, folder, report=_show)
    if settings.widths is not None:
        facts["macs"] = lower(export_qonnx(trained.model, trained.spec)).network.macs
    return facts | {"val_accuracy": evaluate(trained.model, codec.encode, Samples(val.patches, val.labels))}


def _show(phase: str, epoch: int, metrics: dict[str, float]) -> None:
    shown = f"loss {metrics['loss']:.4f}, validation {100 * metrics['val_accuracy']:.2f} %"
    print(f"{phase} epoch {epoch}: {shown}, {metrics['elapsed_s']:.0f} s", flush=True)


def _blocks(patches: Patches) -> NDArray[Any]:
    """(N, H, W, C) to (N, H/8, W/8, 64 C)."""
    count, height, width, bands = patches.shape
    cut = patches.reshape(count, height // SIDE, SIDE, width // SIDE, SIDE, bands)
    return cut.transpose(0, 1, 3, 2, 4, 5).reshape(count, height // SIDE, width // SIDE, SIDE * SIDE * bands)


def _dct() -> NDArray[np.float64]:
    """The orthonormal DCT-II, (frequency, place)."""
    place = np.arange(SIDE)
    rows = np.cos((2 * place + 1) * place[:, None] * np.pi / (2 * SIDE)) * np.sqrt(2 / SIDE)
    rows[0] /= np.sqrt(2)
    return rows


def _principal_axes(patches: Patches) -> Rows:
    """Orthonormal rows times 4096, the largest entry of each positive."""
    _, vectors = np.linalg.eigh(np.atleast_2d(np.cov(patches.reshape(-1, patches.shape[-1]).T.astype(np.float64))))
    axes = vectors.T[::-1]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    return tuple(map(tuple, np.rint(axes * _BlockTransform.MIXING_SCALE).astype(int).tolist()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the run's folder")
    parser.add_argument("--codec", help="instead of the configuration's")
    parser.add_argument("--data", type=Path, help="where data sets are; else BITSWATH_DATA")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    settings = load_config(given.config)
    if given.codec:
        settings = settings.model_copy(update={"codec": given.codec})
    train, val = (load_configured(settings.data, split, data=given.data, progress=False) for split in ("train", "val"))
    facts = measured(settings, train, val, given.output)
    print(facts)
    if given.json:
        given.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
