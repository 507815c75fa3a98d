"""Millions of damaged frames through the decoder in RTL, as Verilator simulates it, compared with the tests' model.

python scripts/fuzz_frames.py [--software] [--frames 1000000] [--seed 0] [--jobs 1] [--json FILE]

Of each ten frames two are whole. The others have flipped bits, are cut, have more behind them, or a wrong length,
version or check; or their payload is wrong and the check right. Each batch has other entropy tables and stalls in
another way. Pixels, flags and the number of frames are the model's, or it ends with the batch's seed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from benchmark import Facts, machine, versions

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.host.codecs.transform.damage import fuzz_software
from tests.rtl.frames_bench import Form, built, check
from tests.rtl.simulate import SCENARIOS
from tests.transform_model import Codec, damaged, encode, on_link, random_codec, random_levels, with_random_tables

__all__ = ["fuzz"]

FORMS = (
    Form(bands=1, height=16, width=16, word_bits=32, max_bytes=512),
    Form(bands=2, height=10, width=18, simd=2, word_bits=64, max_bytes=1024, queue=32),
)
BATCH = 4000
POOL = 250
WHOLE = 0.2


def fuzz(frames: int, seed: int, jobs: int = 1) -> Facts:
    """Send so many; what came. Raises `AssertionError` with the seed of the batch that is not as expected."""
    started = time.monotonic()
    for form in FORMS:
        built(form, random_codec(np.random.default_rng(form.bands), form.bands))
    sizes = [min(BATCH, frames - start) for start in range(0, frames, BATCH)]
    total = Counter[str]()
    with ProcessPoolExecutor(jobs) as pool:
        for counts in pool.map(_batch, sizes, range(seed, seed + len(sizes))):
            total += counts
            print(f"\r{total['sent']:,} frames", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {**total, "seconds": round(time.monotonic() - started, 1), "seed": seed}


def fuzz_native(frames: int, seed: int) -> Facts:
    """Give so many to the native decoder; by damage how many there were, and how many passed as sound ones."""
    started = time.monotonic()
    tally = fuzz_software(frames, seed)
    given, passed = tally.unchecked
    each = {name: f"{count:,}, of which {tally.passed[name]:,} passed" for name, count in sorted(tally.given.items())}
    checked = {"with the check they had": given, "of these passed": passed, "2^-16 of them": round(given / 65536, 1)}
    return {**each, **checked, "seconds": round(time.monotonic() - started, 1), "seed": seed}


def _batch(size: int, seed: int) -> Counter[str]:
    random = np.random.default_rng(seed)
    form = FORMS[seed % len(FORMS)]
    codec = with_random_tables(random, random_codec(np.random.default_rng(form.bands), form.bands))
    frames = [frame for frame, _ in zip(_frames(form, codec, random), range(POOL))]
    whole = random.random(size) < WHOLE
    sent = [
        on_link([frames[i]], form.word) if good else damaged(random, codec, frames[i], form.word)
        for i, good in zip(random.integers(0, POOL, size), whole)
    ]
    found = check(form, codec, b"".join(sent), SCENARIOS[1 + seed % (len(SCENARIOS) - 1)], seed)
    flags = found.damaged
    return Counter(
        sent=size,
        damaged_before=size - int(whole.sum()),
        came=len(flags),
        flagged=int(flags.sum()),
        pixels=found.pixels[..., 0].size,
    )


def _frames(form: Form, codec: Codec, random: np.random.Generator) -> Iterator[bytes]:
    while True:
        levels = random_levels(random, form.rows, form.columns, form.bands)
        if len(frame := encode(codec, levels, int(random.integers(64)))) <= form.max_bytes:
            yield frame


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--software", action="store_true", help="the native decoder instead of the one in RTL")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    run = fuzz_native if chosen.software else partial(fuzz, jobs=chosen.jobs)
    facts = run(chosen.frames, chosen.seed)
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):20} {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps({**facts, "machine": machine(), "versions": versions()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
