"""Measures again how fast the emulator runs the networks of a study: one core, on a machine that does nothing else.

    python scripts/time_study.py FOLDER [--rounds 7]

A study measures it beside its other cells, this one network after network and round after round, so that what changes
on the machine changes all of them; the medians go into the study's rows. Patches are random: values do not matter.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.progress import track

from bitswath.accelerator import Accelerator
from bitswath.accelerator import open as open_accelerator
from bitswath.models.study.store import Store

PATCHES = 500


def rates(accelerators: dict[str, Accelerator], rounds: int) -> dict[str, float]:
    """Patches a second from memory to labels, the median over the rounds, by the accelerators' keys."""
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {key: [] for key in accelerators}
    for _ in track(range(rounds), "rounds", transient=True):
        for key, accelerator in accelerators.items():
            entry = accelerator.bundle.manifest.input
            patches = rng.integers(0, 256, (PATCHES, *entry.patch_shape)).astype(entry.patch_dtype)
            started = time.perf_counter()
            accelerator.classify(patches)
            found[key].append(PATCHES / (time.perf_counter() - started))
    return {key: statistics.median(values) for key, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of a study")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    store = Store(given.folder)
    built = {
        row.digest: row for row in store.rows() if row.state == "done" and row.measures and "bundle" in row.measures
    }
    with ExitStack() as opened:
        accelerators = {
            digest: opened.enter_context(
                open_accelerator(given.folder / (row.measures or {})["bundle"], "emulator", threads=1)
            )
            for digest, row in built.items()
            if (given.folder / (row.measures or {})["bundle"]).is_dir()
        }
        measured = rates(accelerators, given.rounds)
    for digest, rate in measured.items():
        store.amend(digest, {"emulator_patches_per_s": rate})
        print(f"{rate:10,.0f} patches/s  {built[digest].cell.label}")


if __name__ == "__main__":
    main()
