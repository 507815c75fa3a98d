"""Example patches: a few originals and what each codec makes of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.base import Codec
from bitswath.codecs.kinds import codec_from_dict, fit_codec, parse_codec
from bitswath.errors import BitswathError
from bitswath.models.data.datasets import Dataset, load_dataset
from bitswath.models.study.plan.cells import cell_from_json
from bitswath.models.study.report.facts.results import CodecFacts, Results
from bitswath.models.study.report.facts.select import series_order
from bitswath.models.study.work.patches import Shelf

__all__ = ["Examples", "NoExamples", "borrowed_examples", "own_examples"]

CLASSES = 3
FITTED_TO = 200
BITS = (8, 4, 2, 1)


@dataclass(frozen=True, eq=False)
class Examples:
    """`patches` (N, H, W, C), one of each of N classes; `decoded`: by (series, bits) the same patches decoded.

    `source` says where the patches are from and what the codecs were fitted to.
    """

    source: str
    names: tuple[str, ...]
    patches: NDArray[Any]
    decoded: dict[tuple[tuple[str, str | None], int], NDArray[Any]]


@dataclass(frozen=True)
class NoExamples:
    """There are none, and why."""

    reason: str


def own_examples(results: Results, shelf: Shelf) -> Examples | NoExamples:
    """Validation patches of the study's own data, with the codecs as they were measured."""
    shown = _columns(results)
    if not shown:
        return NoExamples("no codec is measured yet")
    cell = cell_from_json(json.dumps(shown[0].row["cell"]))
    try:
        samples = shelf.original(cell.imagery, "val")
    except (BitswathError, OSError) as error:
        return NoExamples(
            f"the study's own patches are not at hand ({error}); --examples NAME shows those of a data set"
        )
    codecs = {(facts.series, facts.bits): codec_from_dict(facts.row["measures"]["codec"]) for facts in shown}
    return _examples(f"{samples.name}, split val, codecs as measured in this study", samples, codecs)


def borrowed_examples(results: Results, name: str, data: str | Path | None) -> Examples | NoExamples:
    """Validation patches of another data set, with the same codecs fitted to its own training split.

    Raises `DatasetError` if it is not there.
    """
    shown = _columns(results)
    if not shown:
        return NoExamples("no codec is measured yet")
    train = load_dataset(name, "train", data=data, limit=FITTED_TO, progress=False)
    samples = load_dataset(name, "val", data=data, limit=10 * len(train.classes), progress=False)
    codecs = {(facts.series, facts.bits): fit_codec(parse_codec(facts.codec), train.patches) for facts in shown}
    source = (
        f"{train.name}, not the study's own data; split val, codecs fitted to {len(train):,} of its training patches"
    )
    return _examples(source, samples, codecs)


def _columns(results: Results) -> list[CodecFacts]:
    """The study's codecs of 8, 4, 2 and 1 bits."""
    found = [facts for facts in results.codecs if facts.original and facts.bits in BITS and not facts.compressed]
    return sorted(found, key=lambda facts: (series_order(facts.series), -facts.bits))


def _examples(source: str, samples: Dataset, codecs: dict[tuple[tuple[str, str | None], int], Codec]) -> Examples:
    chosen = _one_of_each(samples)
    patches = np.ascontiguousarray(samples.patches[chosen])
    decoded = {key: codec.decode(codec.encode(patches)) for key, codec in codecs.items()}
    names = tuple(samples.classes[label] for label in samples.labels[chosen])
    return Examples(source, names, patches, decoded)


def _one_of_each(samples: Dataset) -> list[int]:
    """Of classes spread over all, the patch of middling contrast, neither a flat nor a wild one."""
    present = np.unique(samples.labels)
    labels = present[np.unique(np.linspace(0, len(present) - 1, min(CLASSES, len(present))).round().astype(int))]
    return [_middling(samples, np.flatnonzero(samples.labels == label)) for label in labels]


def _middling(samples: Dataset, places: NDArray[np.int64]) -> int:
    contrast = [float(samples.patches[place].astype(np.float32).std(axis=(0, 1)).mean()) for place in places]
    return int(places[np.argsort(contrast, kind="stable")[len(places) // 2]])
