"""Rows made by hand, as `table.export` writes them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from bitswath.basics.proportions import wilson_interval
from bitswath.codecs.kinds import parse_codec
from bitswath.evaluation.report import Report
from bitswath.models.nets.config import DataConfig
from bitswath.models.study.plan.cells import ORIGINAL, Imagery
from bitswath.models.study.report.facts.results import Results, results_of
from bitswath.models.study.table import COLUMNS

CLASSES = ("crop", "forest", "lake")
PATCHES = 1000

Row = dict[str, Any]


def coded(kind: str, codec: str, source: str = ORIGINAL, codebook: str = "shared", **facts: Any) -> Row:
    spec = parse_codec(codec)
    imagery = Imagery(data=DataConfig(name="eurosat"), codec=codec, source=source, codebook=codebook)  # type: ignore[arg-type]  # a literal
    label = imagery.label
    named = {name: facts[name] for name in ("container", "network", "weights", "seed") if name in facts}
    return {
        **dict.fromkeys(COLUMNS),
        "digest": f"{zlib.crc32(f'{kind}{label}{named}'.encode()):08x}", "kind": kind, "label": label, "state": "done",
        "data": "eurosat", "source": source, "codec": codec, "codec_kind": spec.kind, "bits": spec.bits,
        "dither": spec.dither, "codebook": codebook, "leaks": imagery.leaks, "hardware": [],
        "cell": {"kind": kind, "imagery": imagery.model_dump(mode="json")}, "measures": {}, **facts,
    }  # fmt: skip


def imagery(codec: str, **facts: Any) -> Row:
    bands = 1 if codec.startswith("palette") else 3
    bits = parse_codec(codec).bits * bands
    measured: Row = {"link_bytes": 512 * bits, "code_bits_per_pixel": bits, "measured_patches": 500, "ssim": 0.9}
    measured |= {"psnr_db": 30.0, "encode_patches_per_s": 5e4, "decode_patches_per_s": 9e4}
    return coded("imagery", codec, **{**measured, **facts})


def container(codec: str, name: str, size: float, holds: str = "codes") -> Row:
    speeds = {"write_patches_per_s": 3000.0, "read_patches_per_s": 9000.0}
    return coded("container", codec, container=name, bytes_per_patch=size, holds=holds, **speeds)


def network(
    codec: str,
    correct: int,
    *,
    widths: tuple[int, int] | None = (4, 4),
    split: str = "test",
    hits: str | None = None,
    architecture: str = "vgg",
    seed: int = 0,
    **facts: Any,
) -> Row:
    """`correct` of 1000; the others are taken for the next class."""
    low, high = wilson_interval(correct, PATCHES)
    labels = np.arange(PATCHES) % len(CLASSES)
    guesses = np.where(np.arange(PATCHES) < correct, labels, (labels + 1) % len(CLASSES))
    score = dict(
        zip(("accuracy", "correct", "patches", "low", "high"), (correct / PATCHES, correct, PATCHES, low, high))
    )
    leaks = facts.get("codebook") == "per_class"
    bands = 1 if codec.startswith("palette") else 3
    measures: Row = {split: Report.of(labels, guesses, CLASSES).to_dict()}
    if hits is not None:
        measures["hits"] = {split: hits}
    link = {"link_bytes": 12288 if leaks else 512 * bands * parse_codec(codec).bits}
    return coded(
        "training", codec, network=architecture, weights=widths and widths[0], activations=widths and widths[1],
        seed=seed, fidelity="full" if split == "test" else "quick", macs=40_000_000, epochs=60,
        emulator_patches_per_s=4200.0 if widths else None, measures=measures,
        **{f"{split}_{name}": value for name, value in score.items()}, **link | facts,
    )  # fmt: skip


def lossy(source: str, correct: int, file: float, payload: float | None = None, **facts: Any) -> Row:
    """A network on patches that went through files of so many bytes, and so many without what they share."""
    sizes: Row = {"source_bytes": file, "source_bytes_p99": int(2 * file), "source_bytes_max": int(3 * file)}
    if payload is not None:
        sizes |= {"source_payload_bytes": payload, "source_payload_bytes_p99": 9, "source_payload_bytes_max": 9}
    return network("uniform:8", correct, source=source, **sizes, **facts)


def frames(budget: int, correct: int, **facts: Any) -> Row:
    """A network on compressed frames that fill their budget."""
    sizes = {"link_bytes": float(budget), "link_bytes_p99": budget, "link_bytes_max": budget}
    return network(f"transform:B={budget}", correct, **sizes, **facts)


def trained(row: Row, **cell: Any) -> Row:
    """The row of a network whose cell says how it was trained."""
    return {**row, "cell": {**row["cell"], **cell}}


def build(board: str, rate: float, lut: float) -> Row:
    return {"board": board, "hw_patches_per_s": rate, "clock_hz": 1e8, "lut": lut, "bram36": 40.5, "dsp": 0}


def first_right(count: int) -> str:
    """Hits of a network that gets the first patches right."""
    return "1" * count + "0" * (PATCHES - count)


def waiting(row: Row, error: str | None = None) -> Row:
    return {**row, "state": "failed" if error else "waiting", "error": error, "measures": None}


def results(*rows: Row, fidelity: str = "full") -> Results:
    return results_of("made", fidelity, rows)  # type: ignore[arg-type]  # a literal


STUDY = (
    imagery("uniform:8"),
    imagery("uniform:1"),
    imagery("companded:1"),
    imagery("companded:1:ordered"),
    imagery("companded:2:ordered"),
    imagery("palette:2"),
    imagery("uniform:8", source="jpeg:75:420", source_bytes=1800.0),
    imagery("uniform:8", source="jpeg:10:420", source_bytes=700.0),
    container("companded:2:ordered", "png", 900.0),
    container("companded:2:ordered", "webp", 800.0),
    container("companded:2:ordered", "jpeg:75:420", 300.0, "decoded patches"),
    container("palette:2", "webp", 10.0, "decoded patches"),
    container("palette:2", "png", 400.0, "codes and palette"),
    network("uniform:8", 970, widths=None, hits=first_right(970)),
    network("uniform:8", 965, hits=first_right(965)),
    network("uniform:1", 700, hits=first_right(700)),
    network("companded:1", 800, hits=first_right(800)),
    network("companded:1:ordered", 920, hits=first_right(920)),
    network("companded:2:ordered", 963, hits=first_right(963)),
    network("palette:2", 880, hits=first_right(880)),
    network("companded:2:ordered", 945, widths=(2, 2), hits=first_right(945)),
    network("uniform:8", 960, source="jpeg:75:420", hits=first_right(960)),
    network("uniform:8", 900, source="jpeg:10:420", hits=first_right(900)),
)
"""A small study: dithering and companding help, W2A2 costs 1.8 points, JPEG needs more bytes."""

PEERS = (
    lossy("webp:1", 800, 120.0, 100.0, hits=first_right(800)),
    lossy("webp:50", 950, 420.0, 400.0, hits=first_right(950)),
    lossy("jpegxl:9", 900, 300.0, hits=first_right(900)),
    lossy("jpegxl:3", 940, 500.0, hits=first_right(940)),
    frames(50, 790, hits=first_right(790)),
    frames(200, 930, hits=first_right(930)),
    frames(400, 940, hits=first_right(940)),
    frames(900, 965, hits=first_right(965)),
)
"""Compressed frames between two formats."""
