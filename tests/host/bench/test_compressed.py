"""What is measured of a bundle whose frames are compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitswath as bs
from bitswath.bench.latency import STEPS, measure_latency
from bitswath.bench.subject import load_inputs, opened
from bitswath.bench.throughput import measure_throughput
from bitswath.bundle.bundle import Bundle
from tests.compressed_cases import BUDGET, bundle_of, dense


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_of(dense((16, 20, 2)), tmp_path)


def test_encoding_and_packing_are_one_step(bundle: Bundle) -> None:
    with opened(bundle, "emulator") as subject:
        found = measure_latency(subject, load_inputs(bundle, 4), queries=3, warmup=0, least_s=0.0)
    assert list(found.steps) == [step for step in STEPS if step != "decode"]
    assert list(found.alone) == ["encode", "compute", "unpack"] and min(found.alone.values()) > 0


def test_the_links_rate_is_of_the_bytes_that_frames_have(bundle: Bundle) -> None:
    with bs.open(bundle, threads=1) as accelerator:
        pool = bundle.codec.samples(np.random.default_rng(0), 512, (16, 20, 2))
        found = measure_throughput(accelerator, batches=(4,), rounds=1, round_s=0.01)
        frames = accelerator.encode(pool)
    mean = bundle.codec.frame_lengths(frames).mean()
    assert mean < BUDGET
    assert found.frame_bytes == pytest.approx(mean, rel=0.1)
    assert found.link_mb_per_s == pytest.approx(found.stream_per_s * found.frame_bytes / 1e6)
