"""``bitswath build`` of a bundle whose frames are compressed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.rtl.backend import RtlBackend
from bitswath.builds.report import REPORT_PAGE
from bitswath.bundle.bundle import Bundle
from bitswath.errors import BuildError, VerificationError
from bitswath.hw.building import build as building
from bitswath.hw.building.bitstream import make_bitstream
from bitswath.hw.building.build import Options, _random_frames, build
from bitswath.hw.generating.compile import compile_design, save_design
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.folding import find_folding
from bitswath.hw.planning.plan import plan
from bitswath.hw.units import decoding_of
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


def test_the_vendor_is_given_the_status_beside_the_network(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for Vivado fails: FINN's project script is there, with both streams of the decoder."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("vivado", "vitis_hls"):
        (tools / name).write_text("#!/bin/sh\nexit 3\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    board, folder = find_board("Pynq-Z2"), tmp_path / "sized"
    hardware = plan(bundle.network, 8, board.link_width, decoding_of(bundle))
    foldings = find_folding(hardware, board, margin=0.1, cycles=3000).foldings
    design = compile_design(bundle, board, 100e6, foldings, folder)
    deep = [
        stream.model_copy(update={"depth": 5} if stream.source and stream.sink and stream.beats else {})
        for stream in design.streams
    ]
    save_design(design.model_copy(update={"streams": tuple(deep)}), folder)
    with pytest.raises(BuildError, match="step 'create stitched ip' failed"):
        make_bitstream(bundle, board, 100e6, foldings, folder)
    (script,) = (tmp_path / "bitstream" / "finn").glob("vivado_stitch_proj_*/make_project.tcl")
    text = script.read_text()
    assert all(stage.module in text for stage in design.stages)
    joined = dict(re.findall(r"connect_bd_intf_net \[get_bd_intf_pins (\S+)\] \[get_bd_intf_pins (\S+)\]", text))
    queue, _ = joined["TransformDecode_rtl_0/out1_V"].split("/")
    assert queue.startswith("StreamingFIFO_rtl") and joined[f"{queue}/out0_V"] == "PackStatus_rtl_0/in1_V"
    assert "decode_link.sv" in text and "transform_decode.sv" in text and "_symbols.hex" in text


@pytest.mark.parametrize(("budget", "most"), [(BUDGET, 224), (None, 600)])
def test_frames_of_the_check_are_unlike_and_none_is_longer_than_the_build_takes(
    tmp_path: Path, budget: int | None, most: int
) -> None:
    bundle = bundle_of(dense((20, 36, 3)), tmp_path, budget)
    lengths = bundle.codec.frame_lengths(_random_frames(bundle, most))
    assert len(lengths) == building.CHECKED_FRAMES and lengths.max() <= most
    assert len(set(lengths.tolist())) > 1
