"""Scenes, bundles for them, and the plain loop over windows that maps are compared with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

import bitswath as bs
from bitswath.backends.emulator import run
from bitswath.bundle.manifest import Sensor
from bitswath.network.network import INPUT, Conv, Dense, Head, MaxPool, Network, Threshold
from tests.networks import network_of, uniform_rows

Rng = np.random.Generator
PLACE = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_000_000, 10, 10)}
NAMES = ("Forest", "River", "AnnualCrop", "Residential", "Highway")


def small_network(bands: int = 3, classes: int = 5, patch: int = 8, hi: int = 15, scale: float = 0.03) -> Network:
    rng = np.random.default_rng(11)
    return Network(
        network_of(
            (patch, patch, bands),
            0,
            hi,
            Conv("conv", (INPUT,), rng.integers(-8, 8, (12, 3, 3, bands)), pads=(1, 1, 1, 1)),
        ).input,
        (
            Conv("conv", (INPUT,), rng.integers(-8, 8, (12, 3, 3, bands)), pads=(1, 1, 1, 1)),
            Threshold("act", ("conv",), uniform_rows(12, 15, rng)),
            MaxPool("pool", ("act",), (2, 2), (2, 2)),
            Dense("logits", ("pool",), rng.integers(-8, 8, (classes, (patch // 2) ** 2 * 12))),
        ),
        Head(np.array([scale / 10]), np.array([0.5])),
    )


def dense_network(bands: int = 3, classes: int = 5, patch: int = 8) -> Network:
    """A class for each 2 x 2 pixels."""
    rng = np.random.default_rng(12)
    stages = (
        Conv("conv", (INPUT,), rng.integers(-8, 8, (6, 3, 3, bands)), pads=(1, 1, 1, 1)),
        Threshold("act", ("conv",), uniform_rows(6, 15, rng)),
        MaxPool("pool", ("act",), (2, 2), (2, 2)),
        Conv("logits", ("pool",), rng.integers(-8, 8, (classes, 1, 1, 6))),
    )
    head = Head(np.full(classes, 0.01), rng.normal(0, 0.1, classes))
    return Network(network_of((patch, patch, bands), 0, 15, stages[0]).input, stages, head)


def bundle_of(
    path: Path,
    network: Network | None = None,
    *,
    depth: int = 8,
    sensor: Sensor | None = None,
    patch: int = 8,
    codec: bs.UniformCodec | None = None,
) -> bs.Bundle:
    network = network or small_network(patch=patch)
    bands, classes = network.input.shape[2], network.output.shape[-1]
    return bs.save_bundle(
        path,
        network=network,
        codec=codec or bs.UniformCodec(4, depth=depth),
        patch_shape=(patch, patch, bands),
        classes=NAMES[:classes],
        sensor=sensor,
    )


def land(rng: Rng, height: int, width: int, bands: int = 3, dtype: str = "uint8") -> NDArray[Any]:
    """(bands, height, width): fields with edges, so that windows differ."""
    top = np.iinfo(dtype).max if dtype == "uint8" else 8000
    coarse = rng.integers(1, top, (bands, -(-height // 11), -(-width // 13)))
    fine = coarse.repeat(11, 1).repeat(13, 2)[:, :height, :width] + rng.integers(0, 9, (bands, height, width))
    return fine.clip(1, np.iinfo(dtype).max).astype(dtype)


def write_scene(path: Path, values: NDArray[Any], mask: NDArray[np.bool_] | None = None, **profile: Any) -> Path:
    """A GeoTIFF of (bands, height, width); `mask`: where its mask says that there is something."""
    bands, height, width = values.shape
    given = {"driver": "GTiff", "dtype": values.dtype, **PLACE, **profile}
    names = given.pop("names", ())
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", count=bands, height=height, width=width, **given) as file,
    ):
        file.write(values)
        for number, name in enumerate(names, 1):
            file.set_band_description(number, name)
        if mask is not None:
            file.write_mask(mask)
    return path


def softmax_scores(integers: NDArray[Any], head: Head) -> list[int]:
    """The documented rule, for the integers of one place, in Python's numbers."""
    classes = len(integers)
    scale, offset = (np.broadcast_to(v, classes) for v in (head.scale, head.offset))
    logits = [float(y) * float(s) + float(o) for y, s, o in zip(integers, scale, offset)]
    steps = [math.floor((max(logits) - one) * 64 + 0.5) for one in logits]
    parts = [0 if t >= 1024 else round(2**20 * math.exp(-t / 64)) for t in steps]
    scores = [(2 * 65534 * e + sum(parts)) // (2 * sum(parts)) for e in parts]
    scores[logits.index(max(logits))] += 1
    return scores


def reference(
    bundle: bs.Bundle,
    pixels: NDArray[Any],
    valid: NDArray[np.bool_],
    stride: int,
    mode: str,
    *,
    whole: bool = True,
    most_nodata: float = 0.5,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Labels (H, W), 255 for nodata, scores (classes, H, W) and confidence (H, W) by a loop over windows and pixels.

    `pixels` (H, W, C) of the bundle's type."""
    height, width = valid.shape
    patch = bundle.manifest.input.patch_shape[0]
    network = bundle.network
    pixels = np.where(valid[..., None], pixels, 0)
    tops, lefts = (_starts(size, patch, stride, whole) for size in (height, width))
    height, width = tops[-1] + patch, lefts[-1] + patch
    sums = np.zeros((len(bundle.classes), height, width), object)
    weights = np.zeros((height, width), object)
    nearest = np.full((height, width, 2), 10**9)
    for top in tops:
        for left in lefts:
            inside = np.s_[top : top + patch, left : left + patch]
            enough = (~valid[inside]).sum() <= math.floor(most_nodata * patch * patch)
            codes = bundle.codec.encode(pixels[inside].astype(bundle.codec.dtype))
            answer = run(network, codes[None])[0]
            cells = answer.reshape(1, 1, -1) if answer.ndim == 1 else answer
            cell = patch // cells.shape[0]
            scores = np.array([[softmax_scores(one, network.head) for one in row] for row in cells], object)
            for y in range(patch):
                for x in range(patch):
                    place = (slice(None), top + y, left + x)
                    weight = 1
                    if mode == "smooth":
                        weight = min(y + 1, patch - y) * min(x + 1, patch - x)
                    if mode == "nearest":
                        far = (abs(2 * y + 1 - patch), abs(2 * x + 1 - patch))
                        if not (far[0] < nearest[place[1:]][0] or far[1] < nearest[place[1:]][1]):
                            continue
                        before = nearest[place[1:]]
                        if far[0] > before[0] or far[1] > before[1]:
                            continue
                        nearest[place[1:]] = far
                        sums[place], weights[place[1:]] = 0, 0
                    if enough:
                        sums[place] += weight * scores[y // cell, x // cell]
                        weights[place[1:]] += weight
    spoken = (weights > 0) & valid[:height, :width]
    weights = np.where(weights > 0, weights, 1)
    shares = np.minimum((2 * 254 * sums + 65534 * weights) // (2 * 65534 * weights), 254)
    labels = sums.astype(np.int64).argmax(axis=0)
    confidence = np.take_along_axis(shares, labels[None], 0)[0]
    return (
        np.where(spoken, labels, 255),
        np.where(spoken, shares, 255).astype(np.int64),
        np.where(spoken, confidence, 255).astype(np.int64),
    )


def _starts(size: int, patch: int, stride: int, whole: bool) -> list[int]:
    starts = list(range(0, size - patch + 1, stride))
    return [*starts, size - patch] if whole and starts[-1] != size - patch else starts


def nodata_of(rng: Rng, kind: str, height: int, width: int) -> NDArray[np.bool_]:
    """Where a scene holds something: all of it, with a slanting edge, with holes, in a corner alone."""
    y, x = np.mgrid[:height, :width]
    return {
        "none": np.ones((height, width), bool),
        "edge": y + x // 2 > height // 2,
        "holes": rng.random((height, width)) < 0.7,
        "corner": (y < 10) & (x < 10),
        "nothing": np.zeros((height, width), bool),
    }[kind]


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as file:
        bands: NDArray[Any] = file.read()
    return bands
