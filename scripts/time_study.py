"""Measures again how fast a study's codecs encode and the emulator runs its networks, on a machine that does no more.

    python scripts/time_study.py FOLDER [--rounds 7] [--data DATA]

A study measures these speeds beside its other cells. This takes one core, network after network and round after round,
so that what changes on the machine changes all of them; medians go into the study's rows, and joules net of idle where
a meter sees the host. Networks get random patches, codecs (with --data) the patches that the study gave them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

from rich.progress import track

from bitswath.basics.machine import machine
from bitswath.bench.subject import Subject, load_inputs, opened
from bitswath.bench.suite import Settings, measure_all
from bitswath.codecs.kinds import codec_from_dict
from bitswath.models.study.plan.cells import ImageryCell
from bitswath.models.study.work.measures import codec_speeds, thinned
from bitswath.models.study.work.patches import Shelf
from bitswath.models.study.work.store import Row, Store

PATCHES = 500


def bundles(store: Store) -> dict[str, tuple[Row, Path]]:
    """The networks whose bundles are in the study's folder, by digest."""
    found = {}
    for row in store.rows():
        place = (row.measures or {}).get("bundle") if row.state == "done" else None
        if place and (store.folder / place).is_dir():
            found[row.digest] = row, store.folder / place
    return found


def time_codecs(store: Store, data: Path) -> None:
    """Encoding and decoding of every imagery cell that is done, with the codec that it fitted."""
    shelf = Shelf(store.folder, str(data.absolute()))
    for row in track([row for row in store.rows() if row.state == "done"], "codecs", transient=True):
        if isinstance(row.cell, ImageryCell) and row.measures:
            patches = thinned(shelf.split(row.cell.imagery, "val"), row.cell.patches).patches
            speeds = codec_speeds(codec_from_dict(row.measures["codec"]), patches)
            store.amend(row.digest, {**speeds, "timed_on": machine()["processor"]})
            print(f"{speeds['encode_patches_per_s']:10,.0f} patches/s encoded  {row.cell.label}")


def rates(subjects: dict[str, Subject], rounds: int) -> dict[str, float]:
    """Patches a second from memory to labels, the median over the rounds, by the subjects' keys."""
    found: dict[str, list[float]] = {key: [] for key in subjects}
    for turn in track(range(rounds), "rounds", transient=True):
        for key, subject in subjects.items():
            patches = load_inputs(subject.bundle, PATCHES, seed=turn).patches
            started = time.perf_counter()
            subject.accelerator.classify(patches)
            found[key].append(PATCHES / (time.perf_counter() - started))
    return {key: statistics.median(values) for key, values in found.items()}


def energies(subjects: dict[str, Subject], settings: Settings) -> dict[str, float]:
    """Joules a patch, net of idle, by the subjects' keys; where they cannot be measured, a line says why, once."""
    found: dict[str, float] = {}
    absent: dict[str, None] = {}
    for key, subject in track(subjects.items(), "energy", transient=True):
        facts = measure_all(["energy"], subject, load_inputs(subject.bundle, PATCHES), settings)
        if facts["energy"] is None:
            absent[f"no energy: {facts['absent']['energy']}"] = None
        else:
            found[key] = facts["energy"]["net_j"]["mean"]
    for reason in absent:
        print(reason)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a study")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", type=Path, help="where data sets are: codecs are timed, too")
    given = parser.parse_args()
    store = Store(given.folder)
    if given.data:
        time_codecs(store, given.data)
    built = bundles(store)
    with ExitStack() as opening:
        subjects = {
            digest: opening.enter_context(opened(path, "emulator", threads=1)) for digest, (_, path) in built.items()
        }
        measured = rates(subjects, given.rounds)
        for digest, rate in measured.items():
            store.amend(digest, {"emulator_patches_per_s": rate, "timed_on": machine()["processor"]})
            print(f"{rate:10,.0f} patches/s  {built[digest][0].cell.label}")
        for digest, joules in energies(subjects, Settings()).items():
            store.amend(digest, {"emulator_j": joules})
            print(f"{1e3 * joules:10.3g} mJ a patch  {built[digest][0].cell.label}")


if __name__ == "__main__":
    main()
