"""Runs `bitswath classify` on the test split for every bundle of the zoo and compares with manifest and card.

    python scripts/check_zoo.py --data DATA [NAME ...]

Exits with 1 if the command counts otherwise than the manifest says, or the card is not what the bundle gives.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bitswath.bundle.bundle import Bundle
from bitswath.bundle.cards import card
from bitswath.bundle.manifest import SplitAccuracy
from bitswath.bundle.zoo import PREFIX, located, zoo_names
from bitswath.bundle.zoo_entry import CARD, percent, read_entry
from bitswath.codecs.archive import ArchiveWriter
from bitswath.errors import BackendError, BitswathError, DatasetError, ImageError
from bitswath.imagery.images import open_images
from bitswath.models.data.catalogue import CATALOGUE
from bitswath.models.data.datasets import data_folder, load_configured
from bitswath.models.nets.config import DataConfig

__all__ = ["check", "differences"]

SPLIT = "test"
LONGEST_S = 1800


def check(bundle: str, data: Path | None, scratch: Path) -> list[str]:
    """What is not as the manifest says, a line each; `bundle` as on the command line.

    Raises `DatasetError` where the data are not there.
    """
    path = located(bundle)
    entry = read_entry(path)
    figures = classify(bundle, source_of(entry.bundle, data, scratch), scratch / "figures.json")
    text = path.with_suffix(CARD).read_text() if path.with_suffix(CARD).is_file() else ""
    found = differences(entry.bundle.manifest.accuracy.get(SPLIT), figures, text)
    return found + (["its card is not what make_zoo writes"] if text != card(entry) else [])


def differences(said: SplitAccuracy | None, figures: dict[str, Any], text: str) -> list[str]:
    """What `bitswath classify` counted against a manifest's split and a card's row of it."""
    if said is None:
        return [f"its manifest has no accuracy on {SPLIT}"]
    found = [
        f"{key}: manifest {expected}, classify {figures[key]}"
        for key, expected in (("correct", said.correct), ("patches", said.patches), ("accuracy", said.accuracy))
        if figures[key] != expected
    ]
    now = SplitAccuracy.of(figures["correct"], figures["patches"])
    row = f"| {SPLIT} | {percent(now)} | {now.correct:,} of {now.patches:,} |"
    return found + ([] if row in text.splitlines() else [f"its card has no row {row}"])


def classify(bundle: str, arguments: list[str], figures: Path) -> dict[str, Any]:
    """The figures that the command writes. Raises `BackendError` with what it says if it fails."""
    command = [sys.executable, "-m", "bitswath", "classify", bundle, *arguments, "--json", str(figures)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        raise BackendError(f"'{' '.join(command)}' took longer than {LONGEST_S} s") from None
    if done.returncode:
        raise BackendError(f"'{' '.join(command)}' failed: {' '.join(done.stderr.split())}")
    return dict(json.loads(figures.read_text()))


def source_of(bundle: Bundle, data: Path | None, scratch: Path) -> list[str]:
    """The command's arguments that name the test split: the published set itself where it comes in splits and is
    used whole, else an archive of it."""
    settings = DataConfig.model_validate((bundle.manifest.provenance.source.training or {}).get("data", {}))
    if settings == DataConfig(name=settings.name, seed=settings.seed) and settings.name in CATALOGUE:
        for path in _published(settings.name, data):
            if _has_splits(path):
                return [str(path), "--split", SPLIT]
    samples = load_configured(settings, SPLIT, data=data)
    path = scratch / "test.bsa"
    height, width, bands = samples.patches.shape[1:]
    with ArchiveWriter(path, bundle.codec, (height, width, bands), samples.classes) as writer:
        names = [str(index) for index in range(len(samples))]
        writer.append(bundle.codec.encode_packed(samples.patches), samples.labels, names)
    return [str(path)]


def _published(name: str, data: Path | None) -> list[Path]:
    folder = data_folder(data)
    names = CATALOGUE[name].names
    try:
        return [path for path in sorted(folder.iterdir()) if path.stem.lower() in names]
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot be read ({error.strerror}); say where the data are with --data"
        ) from error


def _has_splits(path: Path) -> bool:
    try:
        open_images(path, split=SPLIT)
    except ImageError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="which; all by default")
    parser.add_argument("--data", type=Path, help="where data sets are; else BITSWATH_DATA")
    given = parser.parse_args()
    wrong = 0
    for name in given.names or zoo_names():
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            try:
                found = check(f"{PREFIX}{name}", given.data, Path(scratch))
            except BitswathError as error:
                found = [str(error)]
        wrong += bool(found)
        print(f"{name}: {'; '.join(found) or 'as its manifest and card say'} ({time.perf_counter() - started:.1f} s)")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
