"""Transform codecs as random as the format allows, with their twins of the independent reference, and patches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.transform import TransformCodec
from tests.transform_model import Codec, Table, random_codec

Shape = tuple[int, int, int]


def random_pair(random: np.random.Generator, bands: int, **options: Any) -> tuple[TransformCodec, Codec]:
    """A codec and the reference's one of the same data; `options`: of the codec."""
    drawn = random_codec(random, bands)
    deltas = tuple(int(delta) for delta in random.integers(-31, 32, 3))
    model = replace(drawn, ac=[_possible(table) for table in drawn.ac], deltas=deltas)
    codec = TransformCodec(
        **{"quality": 64, "lows": (0,) * bands, "highs": (255,) * bands}
        | {
            "matrix": model.matrix.tolist(),
            "deltas": deltas,
            "dc_counts": [counts for counts, _ in model.dc],
            "dc_symbols": [symbols for _, symbols in model.dc],
            "ac_counts": [counts for counts, _ in model.ac],
            "ac_symbols": [symbols for _, symbols in model.ac],
            "contexts": model.contexts,
        }
        | options
    )
    return codec, replace(model, seed=codec.seed)


def _possible(table: Table) -> Table:
    """Without symbols of 255 zeros, which no block has room for."""
    counts, symbols = table
    free = iter(symbol for symbol in range(16, 4096) if 1 <= symbol & 15 <= 14 and symbol not in symbols)
    return counts, [symbol if symbol >> 4 < 255 else next(free) for symbol in symbols]


def rows_of(frames: list[bytes]) -> NDArray[np.uint8]:
    """Frames filled up to the longest."""
    width = max(map(len, frames), default=0)
    return np.frombuffer(b"".join(frame.ljust(width, b"\0") for frame in frames), np.uint8).reshape(-1, width)


def frames_of(rows: NDArray[np.uint8], codec: TransformCodec) -> list[bytes]:
    return [row[:length].tobytes() for row, length in zip(rows, codec.frame_lengths(rows))]


def smooth(seed: int, shape: tuple[int, ...], dtype: type = np.uint8) -> NDArray[Any]:
    """Patches (N, H, W, C) of correlated bands with slopes, an edge and a little noise, as land is."""
    random = np.random.default_rng(seed)
    count, height, width, bands = shape
    y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[:, None]
    slopes = random.normal(0, 0.25, (3, count, 1, 1, 1))
    waves = 0.1 * np.sin(random.uniform(3, 20, (count, 1, 1, 1)) * (x + slopes[2] * y))
    common = 0.4 + slopes[0] * y + slopes[1] * x + waves + np.where(x > y + slopes[2], slopes[0], 0)
    values = common * random.uniform(0.6, 1.2, bands) + random.normal(0, 0.01, shape)
    return np.rint(np.clip(values, 0, 1) * np.iinfo(dtype).max).astype(dtype)


def psnr(a: NDArray[Any], b: NDArray[Any], most: int = 255) -> float:
    return float(10 * np.log10(most**2 / np.square(a.astype(float) - b).mean()))
