"""The patches of a study, decoded once: what every cell reads, shared between processes.

A study's folder keeps them below ``data/``, a folder for each data set, source and codebook: patches and labels as
``.npy`` files, mapped into memory, and what they are in ``about.json``; and the codecs fitted to them. They can be
deleted while no study runs.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bitswath.basics.cache import locked
from bitswath.basics.files import scratch_path, sync_folder, write_atomic
from bitswath.codecs.base import Codec
from bitswath.codecs.kinds import codec_from_dict, fit_codec, parse_codec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import ConfigError
from bitswath.models.data.datasets import Dataset, load_configured
from bitswath.models.study.lossy.formats import parse_lossy
from bitswath.models.study.lossy.through import through_files
from bitswath.models.study.plan.cells import ORIGINAL, Imagery

__all__ = ["Shelf", "class_palettes", "lossy_dataset", "recoloured", "thinned"]

PREPARING_S = 7200.0
"""How long another process may take to decode a split."""


@dataclass(frozen=True)
class Shelf:
    """The prepared patches of the study in `folder`; `data`: where data sets are, as `load_dataset` takes it."""

    folder: Path
    data: str | None = None
    download: bool = False

    def split(self, imagery: Imagery, name: str) -> Dataset:
        """One split after its source: decoded, through files, or recoloured by class; patches are mapped, read-only."""
        key = imagery.model_copy(update={"codec": imagery.codec if imagery.leaks else "any"})
        folder = self.folder / "data" / f"{key.digest[:16]}-{name}"
        with self._locked(folder):
            if not folder.is_dir():
                _save(folder, self._made(imagery, name))
        return _load(folder)

    def codec(self, imagery: Imagery) -> Codec:
        """What a network's input is coded with, fitted to the training split; after palettes by class 8 bits.

        A uniform codec is told by the samples' type, for which no split has to go through lossy files.
        """
        if imagery.leaks:
            return UniformCodec(8)
        path = self.folder / "data" / f"{imagery.digest[:16]}.codec.json"
        with self._locked(path):
            if not path.exists():
                spec = parse_codec(imagery.codec)
                split = self.original if spec.kind == UniformCodec.kind else self.split
                codec = fit_codec(spec, split(imagery, "train").patches)
                write_atomic(path, json.dumps(codec.to_dict()).encode())
        return codec_from_dict(json.loads(path.read_text()))

    def original(self, imagery: Imagery, name: str) -> Dataset:
        """The split before any source or codebook."""
        return self.split(imagery.model_copy(update={"source": ORIGINAL, "codebook": "shared"}), name)

    def class_palettes(self, imagery: Imagery, name: str) -> tuple[PaletteCodec, ...]:
        """A palette for each class, fitted to its patches of one split."""
        path = self.folder / "data" / f"{imagery.digest[:16]}-{name}.palettes.json"
        with self._locked(path):
            if not path.exists():
                palettes = class_palettes(self.original(imagery, name), parse_codec(imagery.codec).bits)
                write_atomic(path, json.dumps([palette.to_dict() for palette in palettes]).encode())
        found = [codec_from_dict(entry) for entry in json.loads(path.read_text())]
        return tuple(codec for codec in found if isinstance(codec, PaletteCodec))

    def _made(self, imagery: Imagery, name: str) -> Dataset:
        if imagery.source != ORIGINAL:
            return lossy_dataset(self.original(imagery, name), imagery.source)
        if imagery.leaks:
            return recoloured(self.original(imagery, name), self.class_palettes(imagery, name))
        return load_configured(imagery.data, name, data=self.data, download=self.download, progress=False)

    def _locked(self, path: Path) -> Any:
        path.parent.mkdir(parents=True, exist_ok=True)
        return locked(path.with_name(f".{path.name}.lock"), PREPARING_S)


def lossy_dataset(dataset: Dataset, source: str) -> Dataset:
    """The data set after lossy files, as `parse_lossy` names them. Raises `ConfigError` unless samples have 8 bits,
    `ContainerError` for bands that the format does not hold."""
    chosen = parse_lossy(source)
    if dataset.patches.dtype != np.uint8:
        raise ConfigError(f"{source}: {chosen.name} holds 8-bit samples, {dataset.name} has {dataset.patches.dtype}")
    patches = through_files(dataset.patches, chosen)
    return Dataset(f"{dataset.name}, {source}", dataset.split, patches, dataset.labels, dataset.classes)


def class_palettes(dataset: Dataset, bits: int) -> tuple[PaletteCodec, ...]:
    """k-means colours of each class's patches: LABELS ARE USED, so what is coded with them tells its label.

    A class without patches gets the colours of the whole split.
    """
    labels = dataset.labels
    chosen = [labels == label for label in range(len(dataset.classes))]
    return tuple(PaletteCodec.fit(dataset.patches[mask] if mask.any() else dataset.patches, bits) for mask in chosen)


def recoloured(dataset: Dataset, palettes: tuple[PaletteCodec, ...]) -> Dataset:
    """Every patch in the colours of its own class's palette."""
    patches = np.empty_like(dataset.patches)
    for label, palette in enumerate(palettes):
        mask = dataset.labels == label
        if mask.any():
            patches[mask] = palette.decode(palette.encode(dataset.patches[mask]))
    name = f"{dataset.name}, palettes of {palettes[0].bits} bit per class"
    return Dataset(name, dataset.split, patches, dataset.labels, dataset.classes)


def thinned(dataset: Dataset, count: int) -> Dataset:
    """So many patches, evenly spread over the split, which is ordered by class."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(np.int64))
    return replace(dataset, patches=dataset.patches[chosen], labels=dataset.labels[chosen])


def _save(folder: Path, dataset: Dataset) -> None:
    scratch = scratch_path(folder)
    try:
        scratch.mkdir()
        for name, array in (("patches.npy", dataset.patches), ("labels.npy", dataset.labels)):
            np.save(scratch / name, array, allow_pickle=False)
        about = {"name": dataset.name, "split": dataset.split, "classes": dataset.classes}
        write_atomic(scratch / "about.json", json.dumps(about).encode())
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sync_folder(folder.parent)


def _load(folder: Path) -> Dataset:
    about = json.loads((folder / "about.json").read_text())
    patches = np.asarray(np.load(folder / "patches.npy", mmap_mode="r", allow_pickle=False))
    labels = np.load(folder / "labels.npy", allow_pickle=False)
    return Dataset(about["name"], about["split"], patches, labels, tuple(about["classes"]))
