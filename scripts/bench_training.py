"""How long a training step takes, in processes of one thread side by side and in one process with all of them.

    python scripts/bench_training.py models/zoo/eurosat-u8-w4a4.yaml [--jobs 1,2] [--steps 20] [--json FILE]

Each row: so many processes at once, each with its share of the threads, each training the configuration's network on
random codes with a teacher's random logits. Input, evaluation and checkpoints are not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import machine, versions

WARM_STEPS = 3
LONGEST_S = 1800


def steps_s(config: Path, threads: int, steps: int) -> list[float]:
    """Seconds of each step, those without compilation, in this process."""
    from bitswath.codecs.kinds import parse_codec
    from bitswath.models.nets.architectures import InputSpec, build_model
    from bitswath.models.nets.config import load_config
    from bitswath.models.nets.quantizers import keras, tf
    from bitswath.models.training.train import make_step

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    settings = load_config(config)
    schedule, bits = settings.schedule, parse_codec(settings.codec).bits
    model = build_model(settings.architecture, InputSpec((64, 64, 3), bits), 10, settings.widths, schedule.precision)
    rate = keras.optimizers.schedules.CosineDecay(schedule.learning_rate, 1000)
    step = make_step(model, keras.optimizers.legacy.Adam(rate), settings)
    rng = np.random.default_rng(0)
    codes = tf.constant(rng.integers(0, 2**bits, (schedule.batch, 64, 64, 3), np.uint8))
    labels, taught = rng.integers(0, 10, schedule.batch), rng.normal(0, 1, (schedule.batch, 10)).astype(np.float32)
    found = []
    for _ in range(WARM_STEPS + steps):
        started = time.perf_counter()
        step(codes, tf.constant(labels), tf.constant(taught)).numpy()
        found.append(time.perf_counter() - started)
    return found[WARM_STEPS:]


def side_by_side(config: Path, jobs: int, steps: int) -> dict[str, Any]:
    """Median step of so many processes at once, and what they train together."""
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    command = [sys.executable, __file__, str(config), "--steps", str(steps), "--worker", str(threads)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(jobs)]
    told = [json.loads(process.communicate(timeout=LONGEST_S)[0].splitlines()[-1]) for process in running]
    step = statistics.median(seconds for process in told for seconds in process["seconds"])
    return {"jobs": jobs, "threads": threads, "step_s": step, "patches_per_s": jobs * told[0]["batch"] / step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="of `bitswath train`")
    parser.add_argument("--jobs", default="1,2", help="how many processes at once, several with commas")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        from bitswath.models.nets.config import load_config

        batch = load_config(given.config).schedule.batch
        print(json.dumps({"seconds": steps_s(given.config, given.worker, given.steps), "batch": batch}))
        return
    rows = [side_by_side(given.config, int(jobs), given.steps) for jobs in given.jobs.split(",")]
    print("jobs  threads each  ms a step  patches/s in all")
    for row in rows:
        print(f"{row['jobs']:4}  {row['threads']:12}  {1e3 * row['step_s']:9.0f}  {row['patches_per_s']:16.0f}")
    if given.json:
        facts = {**machine(), "versions": versions("numpy", "tensorflow"), "config": given.config.name, "rows": rows}
        given.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
