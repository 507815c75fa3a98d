"""``bitswath build`` of a bundle whose frames are compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.backends.rtl.backend import RtlBackend
from bitswath.builds.report import REPORT_PAGE
from bitswath.bundle.bundle import Bundle
from bitswath.errors import VerificationError
from bitswath.hw.building import build as building
from bitswath.hw.building.bitstream import make_bitstream
from bitswath.hw.building.build import Options, build
from bitswath.hw.building.design import _random_frames
from bitswath.hw.generating.compile import compile_design
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.folding import find_folding
from bitswath.hw.planning.plan import plan
from bitswath.hw.units import decoding_of
from tests.compressed_cases import BUDGET, bundle_of, dense
from tests.designs import CACHE
from tests.vivado.tools import install

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
    values = 3 * building.CHECKED_FRAMES
    with pytest.raises(VerificationError, match=f"RTL and emulator differ in {values} of {values} integers"):
        build(bundle, find_board("Pynq-Z2"), OPTIONS)
    kept = np.load(folder.with_name("Pynq-Z2.failed") / "checked.npy")
    codes = bundle.codec.unpack(kept, SHAPE)
    assert codes.shape == (building.CHECKED_FRAMES, *SHAPE)


def test_a_bitstream_has_the_decoder_and_its_tables(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for Vivado packages and elaborates it; its engine counts words."""
    pytest.importorskip("tkinter", reason="the stand-in for Vivado runs scripts in tkinter's Tcl")
    install(monkeypatch, tmp_path / "tools", "vivado")
    board, folder = find_board("Pynq-Z2"), tmp_path / "sized"
    hardware = plan(bundle.network, 8, board.link_width, decoding_of(bundle))
    foldings = find_folding(hardware, board, margin=0.1, cycles=3000).foldings
    compile_design(bundle, board, 100e6, foldings, folder)
    made = make_bitstream(board, folder)
    overlay = load_overlay(made.folder, folder)
    assert overlay.input.compressed and overlay.input.step_bytes == board.link_width // 8
    settings = (made.folder.parent / "run" / "settings.tcl").read_text()
    assert "decode_link.sv" in settings and "transform_decode.sv" in settings and "stream_tap.sv" not in settings
    (symbols,) = (made.folder.parent / "run" / "sources").glob("*_symbols.hex")
    named = str(symbols).removesuffix("symbols.hex")
    assert any(f'"{named}"' in path.read_text() for path in symbols.parent.glob("*.*v")), "wherever Vivado runs"


@pytest.mark.parametrize(("budget", "most"), [(BUDGET, 224), (None, 600)])
def test_frames_of_the_check_are_unlike_and_none_is_longer_than_the_build_takes(
    tmp_path: Path, budget: int | None, most: int
) -> None:
    bundle = bundle_of(dense((20, 36, 3)), tmp_path, budget)
    lengths = bundle.codec.frame_lengths(_random_frames(bundle, most))
    assert len(lengths) == building.CHECKED_FRAMES and lengths.max() <= most
    assert len(set(lengths.tolist())) > 1
