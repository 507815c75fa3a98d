"""Which transform and which entropy coder: bytes of a patch of EuroSAT at equal PSNR, and what a decoder needs.

Transforms are compared with the same coder, ideal tANS of every coefficient by the magnitudes of its neighbours;
entropy coders on the levels of the 16 x 16 DCT. All are fitted to the training split and measured on the validation
split. PSNR is of all patches at once; the band transform is the codec's, arithmetic is in floats, no level is dropped.

    python scripts/bench_transforms.py [--data FOLDER] [--json FILE] [--markdown FILE]
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_tables import Grid
from benchmark import Facts, machine, versions
from entropy_coders import HEADER_BYTES, STATE_BYTES, TABLE_BITS, golomb_rice, huffman, symbols, tans
from numpy.typing import NDArray
from rich.console import Console
from transforms import BlockDct, Levels, Transform, Wavelet, ideal_bits, scanned

from bitswath.basics.files import write_atomic
from bitswath.codecs.transform import fitting
from bitswath.models.data.datasets import load_dataset

DECIBELS = (32.0, 35.0, 38.0)
STEPS = (10.0, 14.0, 20.0, 29.0, 42.0, 60.0)
TRANSFORMS: tuple[Transform, ...] = (
    *(Wavelet(kind, levels) for kind in ("5/3", "9/7") for levels in (3, 4)),
    *(BlockDct(side) for side in (8, 16, 32)),
)
CHOSEN = BlockDct(16)
EVERY = "tANS, every coefficient by its neighbours"
KINDS = ("Huffman, 8 tables", "Huffman, a table a class", "tANS, 8 tables", "tANS, 56 tables", "Golomb-Rice, adaptive")


@dataclass(frozen=True)
class Pixels:
    """Components (N, H, W, C) of patches, and the matrix that makes bands of them."""

    patches: NDArray[np.uint8]
    matrix: NDArray[np.float32]

    @property
    def components(self) -> NDArray[np.float32]:
        return (self.patches.astype(np.float32) - 128) @ self.matrix.T


@dataclass(frozen=True)
class Quantized:
    """Levels of a transform at a step, and the PSNR of what they stand for in dB."""

    train: list[Levels]
    val: list[Levels]
    psnr_db: float


def quantized(transform: Transform, step: float, train: Pixels, val: Pixels) -> Quantized:
    """Means rounded, others with a dead zone of two thirds; 1, 2 and more stand where they are on average."""
    values = [transform.forward(part.components) for part in (train, val)]
    levels = [[_rounded(one, mean, step) for one, mean in zip(part, transform.is_mean(part))] for part in values]
    shifts = _shifts(values[0], levels[0], step)
    found = [np.sign(k) * (np.abs(k) + shifts[np.minimum(np.abs(k), 3)]) * np.float32(step) for k in levels[1]]
    image = np.rint(np.clip(transform.inverse(found) @ val.matrix + 128, 0, 255))
    error = np.square(image - val.patches).mean(dtype=np.float64)
    return Quantized(levels[0], levels[1], float(10 * np.log10(255**2 / error)))


def _rounded(values: NDArray[np.float32], mean: bool | NDArray[np.bool_], step: float) -> Levels:
    sizes = np.floor(np.abs(values) / np.float32(step) + np.where(mean, 0.5, 1 / 3).astype(np.float32))
    return (np.sign(values) * sizes).astype(np.int32)


def _shifts(values: list[NDArray[np.float32]], levels: list[Levels], step: float) -> NDArray[np.float32]:
    count, excess = np.zeros(4), np.zeros(4)
    for value, level in zip(values, levels):
        size = np.abs(level)
        kind = np.minimum(size, 3).ravel()
        count += np.bincount(kind, minlength=4)
        excess += np.bincount(kind, (np.abs(value) / step - size).ravel(), minlength=4)
    shifts = excess / np.maximum(count, 1)
    shifts[0] = 0
    return shifts.astype(np.float32)


def at_decibels(points: list[tuple[float, float]]) -> list[float]:
    """What (PSNR, value) comes to at `DECIBELS`, on a logarithmic scale."""
    decibels, values = zip(*sorted(points))
    if not decibels[0] <= DECIBELS[0] <= DECIBELS[-1] <= decibels[-1]:
        raise SystemExit(f"expected steps from below {DECIBELS[0]} to above {DECIBELS[-1]} dB, got {decibels}")
    return [float(np.exp(value)) for value in np.interp(DECIBELS, decibels, np.log(values))]


def measured(train: Pixels, val: Pixels) -> Facts:
    """Bytes at each PSNR by transform and by coder, decoded symbols of a patch at 35 dB, bits of tables."""
    transforms, contexts, coders = {}, 0, {name: list[tuple[float, float]]() for name in KINDS}
    counts = {name: list[tuple[float, float]]() for name in KINDS}
    tables: dict[str, int] = {}
    for transform in TRANSFORMS:
        points = []
        for step in STEPS:
            found = quantized(transform, step, train, val)
            bits = ideal_bits(transform, found.train, found.val)
            points.append((found.psnr_db, bits / 8 / len(val.patches)))
            if transform == CHOSEN:
                contexts = max(contexts, sum(len(np.unique(part.contexts)) for part in CHOSEN.parts(found.val)))
                for name, size, decoded, held in _coded_by(scanned(found.train[0]), scanned(found.val[0])):
                    coders[name].append((found.psnr_db, size))
                    counts[name].append((found.psnr_db, decoded))
                    tables[name] = held
        transforms[transform.name] = at_decibels(points)
    middle = DECIBELS.index(35.0)
    each = {
        name: {"bytes": at_decibels(coders[name]), "decoded": at_decibels(counts[name])[middle], "bits": tables[name]}
        for name in KINDS
    }
    each[EVERY] = {
        "bytes": [size + HEADER_BYTES + STATE_BYTES for size in transforms[CHOSEN.name]],
        "decoded": float(np.prod(val.patches.shape[1:])),
        "bits": contexts * TABLE_BITS,
    }
    return {"decibels": list(DECIBELS), "transforms": transforms, "coders": each}


def _coded_by(train: Levels, val: Levels) -> Iterator[tuple[str, float, float, int]]:
    """Name, bytes of a patch, decoded symbols of a patch, and bits of tables."""
    known, coded = symbols(train), symbols(val)
    found = (
        huffman(known, coded, False),
        huffman(known, coded, True),
        tans(known, coded, True),
        tans(known, coded, False),
    )
    for name, (size, held) in zip(KINDS, found):
        yield name, size, coded.count, held
    size, decoded = golomb_rice(val)
    yield KINDS[-1], size, decoded, 0


def tables_of(facts: Facts) -> list[Grid]:
    sizes = [f"{decibels:.0f} dB, bytes" for decibels in facts["decibels"]]
    best = [min(column) for column in zip(*facts["transforms"].values())]
    rows = [
        (name, *(f"{value:.0f} ({value / least - 1:+.0%})" for value, least in zip(values, best)))
        for name, values in facts["transforms"].items()
    ]
    coders = [
        (name, *(f"{value:.0f}" for value in of["bytes"]), f"{of['decoded']:,.0f}", f"{of['bits']:,}")
        for name, of in facts["coders"].items()
    ]
    columns = ("coder", *sizes, "decoded symbols, 35 dB", "bits of tables")
    return [
        Grid("Transforms, ideal static contexts", ("transform", *sizes), tuple(rows)),
        Grid(f"Entropy coders, {CHOSEN.name}, header included", columns, tuple(coders)),
    ]


def provenance(facts: Facts) -> str:
    host, (train, val) = facts["machine"], facts["patches"]
    return (
        f"Measured on {facts['date']} on {host['cores']} cores of {host['processor']} ({host['system']}):"
        f" fitted to {train:,} patches of EuroSAT's training split, bytes of {val:,} of its validation split."
    )


def markdown(facts: Facts) -> str:
    command = (
        "python scripts/bench_transforms.py --json docs/results/transform.json --markdown docs/results/transform.md"
    )
    tables = "\n".join(grid.markdown() for grid in tables_of(facts)).rstrip()
    end = "[What follows from it](../transform.md#why-this-transform-and-this-coder). Written by"
    return f"# Transforms and entropy coders\n\n{provenance(facts)}\n\n{tables}\n\n{end}\n\n```\n{command}\n```\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="where data sets are; else BITSWATH_DATA")
    parser.add_argument("--patches", type=int, nargs=2, default=(1500, 300), metavar=("TRAIN", "VAL"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    given = parser.parse_args()
    train, val = (
        load_dataset("eurosat", split, data=given.data, limit=count).patches
        for split, count in zip(("train", "val"), given.patches)
    )
    matrix = np.array(fitting.band_matrix(train), np.float32) / fitting.MATRIX_ONE
    facts = measured(Pixels(train, matrix), Pixels(val, matrix))
    facts |= {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "patches": [len(train), len(val)],
    }
    console = Console()
    console.print(provenance(facts), highlight=False)
    for grid in tables_of(facts):
        console.print(grid.rich())
    if given.json:
        write_atomic(given.json, (json.dumps(facts, indent=1) + "\n").encode())
    if given.markdown:
        write_atomic(given.markdown, markdown(facts).encode())


if __name__ == "__main__":
    main()
