"""Bundles of small networks behind a transform codec, and frames that are unlike each other."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.transform.codec import TransformCodec
from bitswath.network.network import INPUT, Conv, Dense, MaxPool, Network, TensorSpec, Threshold

__all__ = ["BUDGET", "DELTAS", "SHAPE", "bundle_of", "codec_of", "convolutional", "dense", "frames_of", "smooth"]

SHAPE = (20, 36, 3)
"""Neither a whole number of blocks down nor across."""
BUDGET = 220
DELTAS = (-9, 3, 0)


def smooth(count: int, seed: int, shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint8]:
    """Slopes with some noise."""
    rng = np.random.default_rng(seed)
    y, x = (axis[..., np.newaxis] - 0.5 for axis in np.mgrid[0 : shape[0], 0 : shape[1]] / max(shape[:2]))
    slopes = rng.uniform(-120, 120, (3, count, 1, 1, shape[2]))
    noise = rng.normal(0, 1, (count, *shape)) * rng.choice([1, 6, 20], (count, 1, 1, 1))
    samples = 128 + slopes[0] * y + slopes[1] * x + slopes[2] / 3 + noise
    return np.clip(samples, 0, 255).astype(np.uint8)


@lru_cache
def codec_of(bands: int, budget: int | None = BUDGET) -> TransformCodec:
    quality = 30 if budget is None else None
    codec = TransformCodec.fit(smooth(60, 1, (32, 32, bands)), quality=quality, budget=budget)
    return replace(codec, deltas=DELTAS)


def convolutional(shape: tuple[int, int, int] = SHAPE) -> Network:
    rng = np.random.default_rng(7)
    stages = (
        Conv("conv", (INPUT,), rng.integers(-1, 2, (4, 3, 3, shape[2])), pads=(1, 1, 1, 1), strides=(2, 2)),
        Threshold("act", ("conv",), np.sort(rng.integers(-400, 400, (4, 3)), axis=1)),
        MaxPool("pool", ("act",), (2, 2), (2, 2)),
        Dense("fc", ("pool",), rng.integers(-1, 2, (5, 4 * (shape[0] // 4) * (shape[1] // 4)))),
    )
    return Network(TensorSpec(shape, 0, 255), stages)


def dense(shape: tuple[int, int, int]) -> Network:
    """Takes the codes as they come, so that beats of many would fit it."""
    weights = np.random.default_rng(8).integers(-1, 2, (3, int(np.prod(shape))))
    return Network(TensorSpec(shape, 0, 255), (Dense("fc", (INPUT,), weights),))


def bundle_of(network: Network, folder: Path, budget: int | None = BUDGET) -> Bundle:
    shape = network.input.shape
    classes = [f"class {i}" for i in range(network.output.size)]
    codec = codec_of(shape[2], budget)
    return save_bundle(folder / "compressed.bsw", network=network, codec=codec, patch_shape=shape, classes=classes)


def frames_of(bundle: Bundle, count: int, seed: int) -> NDArray[np.uint8]:
    """Of smooth patches, flat ones, and noise that a budget cuts."""
    shape = bundle.manifest.input.patch_shape
    rng = np.random.default_rng(seed)
    patches = smooth(count, seed, shape)
    patches[::5] = rng.integers(0, 256, (len(patches[::5]), 1, 1, shape[2]), np.uint8)
    patches[1::5] = rng.integers(0, 256, patches[1::5].shape, np.uint8)
    return bundle.codec.encode_packed(patches)
