"""Codecs and patches to try them on, and what codes are by definition."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import bitswath._native as _native
from bitswath.codecs.base import Codec
from bitswath.codecs.companded import CompandedCodec
from bitswath.codecs.dither import DITHERS, count_thresholds, dither_named, positions
from bitswath.codecs.kinds import CodecSpec, fit_codec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec

seeds = st.integers(0, 2**32 - 1)
bit_widths = st.integers(1, 8)
sample_types = st.sampled_from([np.uint8, np.uint16])
dithers = st.sampled_from([None, *(dither.name for dither in DITHERS)])


def land(seed: int, shape: tuple[int, ...] = (6, 16, 16, 3), dtype: type = np.uint8) -> NDArray[np.uint8 | np.uint16]:
    """Dark, skewed, band-correlated samples, as land is."""
    rng = np.random.default_rng(seed)
    brightness = rng.gamma(3.0, 18.0, (*shape[:-1], 1)) + rng.normal(0, 8, shape)
    scale = 1 if dtype is np.uint8 else 40
    return (brightness * scale).clip(0, np.iinfo(dtype).max).astype(dtype)


def every_sample(dtype: type, bands: int, side: int = 8) -> NDArray[np.uint8 | np.uint16]:
    """Each sample value at each of the mask's positions: (values, side, side, bands)."""
    values = np.iinfo(dtype).max + 1
    samples = np.arange(values, dtype=dtype)[:, None, None, None]
    return np.ascontiguousarray(np.broadcast_to(samples, (values, side, side, bands)))


def random_codec(seed: int, kind: str, bits: int, dither: str | None, dtype: type, bands: int) -> Codec:
    rng, depth, values = np.random.default_rng(seed), np.iinfo(dtype).bits, np.iinfo(dtype).max + 1
    if kind == "companded":
        levels = [np.sort(rng.choice(values, 1 << bits, replace=False)).tolist() for _ in range(bands)]
        return CompandedCodec(bits, dither, depth, levels=levels)
    if kind == "palette":
        return PaletteCodec(bits, dither, depth, colours=rng.integers(0, values, (1 << bits, bands)).tolist())
    return UniformCodec(bits, dither, depth)


def fitted(kind: str, bits: int, dither: str | None = None, dtype: type = np.uint8, bands: int = 3) -> Codec:
    return fit_codec(CodecSpec(kind, bits, dither), land(bits, (6, 16, 16, bands), dtype))


def block_means(patches: NDArray[np.integer]) -> NDArray[np.float64]:
    n, height, width, bands = patches.shape
    blocks = patches.reshape(n, height // 8, 8, width // 8, 8, bands)
    return np.asarray(blocks.mean(axis=(2, 4)))


def squared_error(codec: Codec, patches: NDArray[np.uint8 | np.uint16]) -> float:
    return float(np.square(codec.decode(codec.encode(patches)).astype(float) - patches).mean())


def nearest_by_definition(pixels: NDArray[np.integer], colours: NDArray[np.integer]) -> NDArray[np.intp]:
    differences = pixels[:, None].astype(np.int64) - colours.astype(np.int64)
    return np.square(differences).sum(axis=2).argmin(axis=1)


def mixture_by_definition(
    pixels: NDArray[np.int64], colours: NDArray[np.integer], count: int, top: int
) -> NDArray[np.intp]:
    """The sorted codes of `count` colours that are mixed for each pixel (n, C): (n, count)."""
    codes, left_over = [], np.zeros_like(pixels)
    for _ in range(count):
        codes.append(nearest_by_definition((pixels + left_over).clip(0, top), colours))
        left_over += pixels - colours[codes[-1]]
    return np.sort(np.stack(codes, axis=1), axis=1)


def encoded_by(codec: Codec, batch: NDArray[np.uint8 | np.uint16], kernels: str) -> NDArray[np.uint8]:
    out = np.full((len(batch), math.prod(codec.code_shape(batch.shape[1:]))), 255, np.uint8)
    if isinstance(codec, PaletteCodec):
        _native.encode_palette(batch, codec._colours, codec._ranks, out, 0, 1, kernels)
    elif isinstance(codec, UniformCodec) and codec.dither is None:
        _native.encode_shifts(batch, codec.depth - codec.bits, out, 0, 1, kernels)
    else:
        positions = np.broadcast_to(codec._positions, (batch.shape[-1], codec._positions.shape[1]))
        thresholds = count_thresholds(positions, codec.bits, dither_named(codec.dither))
        _native.encode_counts(batch, thresholds, out, 0, 1, kernels)
    return out


def by_definition(codec: Codec, batch: NDArray[np.uint8 | np.uint16]) -> NDArray[np.integer]:
    """Codes from the formulas of `bitswath.codecs.dither`, in numpy."""
    samples, dither = batch.astype(np.int64), dither_named(codec.dither)
    period, steps, bands = dither.period, dither.steps, batch.shape[-1]
    rows, columns = np.arange(batch.shape[1])[:, None] % period, np.arange(batch.shape[2]) % period
    mask = dither.mask(bands)[rows, columns].astype(np.int64)
    if isinstance(codec, PaletteCodec):
        count = min(steps, 16)
        mixed = mixture_by_definition(samples.reshape(-1, bands), codec.values[0], count, np.iinfo(batch.dtype).max)
        chosen = np.broadcast_to(mask[..., 0] * count // steps, batch.shape[:3]).ravel()
        return mixed[np.arange(len(mixed)), chosen].reshape(*batch.shape[:3], 1)
    if codec.dither is None:
        if isinstance(codec, UniformCodec):
            return samples >> (codec.depth - codec.bits)
        return (samples[..., None] >= codec.thresholds).sum(axis=-1)
    if isinstance(codec, CompandedCodec):
        exact = np.stack([positions(samples[..., c], row, steps) for c, row in enumerate(np.array(codec.levels))], -1)
    else:
        exact = np.floor(steps * ((1 << codec.bits) - 1) * samples / ((1 << codec.depth) - 1) + 0.5).astype(np.int64)
    return (exact + mask) // steps
