"""The lossy bench: bytes at equal PSNR, both coders' speeds, and what it says of them."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Any

import bench_lossy
import numpy as np
import pytest
from bench_lossy import PEERS, Bench, at_psnr, sizes, speeds
from bench_run import Options
from benchmark import CPU_CLOCK
from lossy_report import TRANSFORM, report
from numpy.typing import NDArray
from PIL import Image

CHOSEN = Options(1, CPU_CLOCK, ("sizes", "speeds"), None, None)
LADDER = [
    {"quality": 1, "bytes": 100.0, "payload_bytes": 90.0, "psnr_db": 32.0},
    {"quality": 2, "bytes": 400.0, "payload_bytes": 390.0, "psnr_db": 36.0},
]


def land(seed: int, count: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, 32)[:, None]
    across, down = rng.uniform(-80, 80, (2, count, 1, 1, 3))
    clean = 120 + across * x + down * x[:, None] + 12 * np.sin(20 * x + across)
    return (clean + rng.normal(0, 3, clean.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def bench() -> Bench:
    few = {name: replace(peer, qualities=peer.qualities[1:3]) for name, peer in PEERS.items() if "4" not in name}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_lossy, "PEERS", few)
        patch.setattr(bench_lossy, "QUALITIES", (20, 36))
        made = Bench(CHOSEN, land(1, 24), land(2, 6))
        assert set(made.ladders) == {*few, TRANSFORM}
    return made


def test_bytes_are_interpolated_by_logarithms_within_what_was_measured() -> None:
    assert at_psnr(LADDER, 34, "bytes") == pytest.approx(200)
    assert at_psnr(LADDER[::-1], 34, "payload_bytes") == pytest.approx(math.sqrt(90 * 390))
    assert at_psnr(LADDER, 36, "bytes") == pytest.approx(400)
    assert at_psnr(LADDER, 31.9, "bytes") is None is at_psnr(LADDER, 36.1, "bytes")


def test_a_step_is_what_the_library_writes_and_pillow_reads(bench: Bench) -> None:
    step = bench.ladders["libjpeg-turbo"][0]
    files, errors = [], []
    for patch in bench.patches:
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "JPEG", quality=step["quality"], subsampling="4:2:0")
        files.append(file.tell())
        with Image.open(file) as image:
            errors.append((np.asarray(image).astype(float) - patch) ** 2)
    assert step["bytes"] == pytest.approx(np.mean(files), abs=1)
    assert step["psnr_db"] == pytest.approx(10 * math.log10(255**2 / np.mean(errors)), abs=0.1)
    assert step["payload_bytes"] < step["bytes"] - 600


def test_every_coder_has_sizes_and_more_decibels_cost_bytes(bench: Bench) -> None:
    found = sizes(bench)["coders"]
    for of in found.values():
        low, high = sorted(of["ladder"], key=lambda step: float(step["psnr_db"]))
        assert low["bytes"] < high["bytes"] and low["payload_bytes"] <= low["bytes"]
    own = bench.ladders[TRANSFORM][0]
    frames = bench.codecs[20].encode_packed(bench.patches)
    assert own["bytes"] == np.mean([int(frame[0]) | int(frame[1]) << 8 for frame in frames])


def test_speeds_are_of_every_coder_at_a_quality_that_it_has(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_lossy, "PEERS", {name: PEERS[name] for name in bench.ladders if name != TRANSFORM})
    found = speeds(bench)["coders"]
    assert set(found) == set(bench.ladders)
    for name, of in found.items():
        assert of["encode_mb_per_s"] > 0 and of["decode_patches_per_s"] > 0
        assert of["timed_quality"] in {step["quality"] for step in bench.ladders[name]}


def facts() -> dict[str, Any]:
    def at(whole: float | None, own: float | None) -> dict[str, Any]:
        return {str(decibels): {"bytes": whole, "payload_bytes": own} for decibels in (33, 35, 37)}

    return {
        "coders": {
            "libwebp": {"at_db": at(320.0, 300.0)},
            "libavif": {"at_db": at(500.0, 225.0), "encode_mb_per_s": 1.5, "decode_patches_per_s": 4000.0},
            TRANSFORM: {"at_db": at(250.0, 250.0), "encode_mb_per_s": 120.0, "decode_patches_per_s": 39_000.0},
        }
    }


def test_the_report_names_the_library_of_fewest_bytes_and_the_bars() -> None:
    found = report(facts())
    assert [row[1:2] + row[-1:] for row in found.tables[0].rows] == [
        ("120 MB/s", "reached"), ("39,000 patches/s", "missed")
    ]  # fmt: skip
    assert found.tables[1].rows[1][1:] == ("500 (225)", "500 (225)", "500 (225)", "1.5", "4,000")
    assert found.tables[1].rows[2][1] == "250"
    assert found.sentences[0] == (
        "At 33 dB the codec needs 250 bytes, 11 % more than libavif without what its files share (225),"
        " the library that needs fewest."
    )
    same = {"coders": {name: {"at_db": {"35": {"payload_bytes": 200.0}}} for name in ("libwebp", TRANSFORM)}}
    assert report(same).sentences[0].startswith("At 35 dB the codec needs 200 bytes, as many as libwebp")


def test_what_was_not_measured_is_left_out() -> None:
    assert report({}).tables[1].rows == () and report({}).sentences == ()
    alone = {"coders": {"libwebp": {"at_db": {"33": {"bytes": None, "payload_bytes": None}}}}}
    assert report(alone).tables[1].rows == (("libwebp", "–", "–", "–", "–", "–"),)
