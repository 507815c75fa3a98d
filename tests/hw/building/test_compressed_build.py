"""``bitswath build`` of a bundle whose frames are compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.rtl.backend import RtlBackend
from bitswath.builds.report import REPORT_PAGE
from bitswath.bundle.bundle import Bundle
from bitswath.errors import VerificationError
from bitswath.hw.building import build as building
from bitswath.hw.building.build import Options, build
from bitswath.hw.planning.boards import find_board
from tests.compressed_cases import BUDGET, bundle_of, dense
from tests.designs import CACHE

OPTIONS = Options(target_fps=20_000, counts="estimates")
SHAPE = (16, 16, 2)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_of(dense(SHAPE), tmp_path)


def test_it_is_checked_on_frames_of_its_codec_and_reported_with_the_longest(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, folder = build(bundle, find_board("Pynq-Z2"), OPTIONS)
    assert report.checked_frames == building.CHECKED_FRAMES
    assert report.input.compressed and report.input.frame_bytes == -(-BUDGET // 8) * 8
    assert any(note.startswith("Frames are compressed") for note in report.notes)
    assert f"up to {report.input.frame_bytes} B" in (folder / REPORT_PAGE).read_text()
    decode = next(stage for stage in report.stages if stage.kind == "TransformDecode_rtl")
    assert decode.cycles == np.prod(SHAPE) and decode.estimated is not None and decode.estimated.lut > 1000
    assert report.frames_per_s >= 20_000

    right = RtlBackend.collect
    monkeypatch.setattr(RtlBackend, "collect", lambda self, *given: right(self, *given) + 1)
    with pytest.raises(VerificationError, match="RTL and emulator differ in 12 of 12 integers"):
        build(bundle, find_board("Pynq-Z2"), OPTIONS)
    kept = np.load(folder.with_name("Pynq-Z2.failed") / "checked.npy")
    codes = bundle.codec.unpack(kept, SHAPE)
    assert codes.shape == (building.CHECKED_FRAMES, *SHAPE)
