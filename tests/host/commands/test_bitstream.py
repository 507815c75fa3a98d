"""``bitswath info`` of bitstreams that FINN left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bitswath.commands.info import command
from bitswath.errors import BundleError
from tests.host.backends.board.finn.layouts import LAYOUTS, TIMING, bit, hwh, put, settings
from tests.paths import DATA, ZOO

BUILDS = DATA / "finn_builds"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    put(folder / "driver" / "settings.json", settings(fclk_mhz=200))
    put(folder / "bitfile" / "finn-accel.bit", bit())
    put(folder / "bitfile" / "finn-accel.hwh", hwh(clock_hz=200e6))
    put(folder / "report" / "post_route_timing.rpt", TIMING.format(slack="-2.002", late=8, hold="0.1", early=0, met=""))
    put(folder / "report" / "post_synth_resources.json", '{"(top)": {"LUT": 26338, "BRAM_36K": 79, "BRAM_18K": 3}}')
    put(folder / "report" / "estimate_layer_resources.json", '{"total": {"LUT": 41297, "BRAM_18K": 167}}')
    put(folder / "report" / "estimate_network_performance.json", '{"estimated_throughput_fps": 1785714.28}')
    return folder


def said(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def test_a_folder_is_described(folder: Path) -> None:
    lines = said(str(folder)).output.splitlines()
    assert lines[:11] == [
        "driver: driver/settings.json (FINNDMAOverlay for zynq-iodma)",
        "bit file: bitfile/finn-accel.bit",
        "handoff: bitfile/finn-accel.hwh",
        "board: maker:board:1.0, part 7z020clg400-1, Vivado 2022.2",
        "input: 4 x 5 x 3 UINT4, folded 4 x 5 x 1 x 3, 40 bytes a frame",
        "idma0: DMA engine, memory to accelerator, stream of 16 bits, memory port of 64 bits, registers at 0x40000000",
        "output: 10 INT6, folded 5 x 2, 10 bytes a frame",
        "odma0: DMA engine, accelerator to memory, stream of 16 bits, memory port of 64 bits, registers at 0x40001000",
        "clock: 200 MHz",
        "can be driven: yes",
        "attention: timing was not met; open it with clock_hz=142.8e6 or less",
    ]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines[11:] if line.startswith("│")]
    assert rows == [
        ["timing", "not met", "", ""],
        ["late endpoints", "8", "", ""],
        ["worst slack, ns", "-2.002", "", ""],
        ["clock, MHz", "200", "", ""],
        ["LUT", "26,338", "", "41,297"],
        ["BRAM36", "80.5", "", "83.5"],
        ["frames/s", "", "", "1,785,714"],
    ]


def test_json_has_the_numbers(folder: Path) -> None:
    facts = json.loads(said("--json", str(folder)).output)
    (given,), (taken,) = facts["inputs"], facts["outputs"]
    assert (given["shape"], given["datatype"], given["bytes per frame"], given["engine"]) == (
        [4, 5, 3],
        "UINT4",
        40,
        "idma0",
    )
    assert (taken["stream bits"], taken["memory bits"], taken["registers"]) == (16, 64, 0x4000_1000)
    assert (facts["clock MHz"], facts["clock MHz in time"], facts["cannot be driven"]) == (200.0, 142.8, None)
    report = facts["report"]
    assert (report["timing met"], report["worst slack ns"]) == (False, -2.002)
    assert (report["counted"]["lut"], report["estimated"]["bram36"], report["frames/s estimated"]) == (
        26338,
        83.5,
        1785714.28,
    )


def test_archives_and_bit_files_are_described_too(folder: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "x"), "zip", folder)
    whole = said(str(folder)).output
    assert said(archive).output == whole
    assert said(str(folder / "bitfile" / "finn-accel.bit")).output.count("can be driven: yes") == 1


def test_what_cannot_be_driven_is_described_with_the_reason(folder: Path) -> None:
    put(folder / "driver" / "settings.json", settings(idt=["FLOAT32"], ishape_packed=[[1, 4, 5, 1, 12]]))
    output = said(str(folder)).output
    assert "input: 4 x 5 x 3 FLOAT32, folded 4 x 5 x 1 x 3, 240 bytes a frame\n" in output
    assert "can be driven: no: " in output and "no scale is told" in output
    (folder / "bitfile" / "finn-accel.bit").unlink()
    put(folder / "driver" / "settings.json", settings())
    assert "can be driven: no: " in said(str(folder)).output
    put(folder / "driver" / "settings.json", "{")
    with pytest.raises(BundleError, match=r"settings\.json: is no settings\.json"):
        said(str(folder))


def test_what_is_no_bitstream_is_told_as_before(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="expected a bundle folder, found nothing"):
        said(str(tmp_path / "none"))
    put(tmp_path / "y" / "readme.md", "hello")
    with pytest.raises(BundleError, match=r"y\.zip: holds no bit file"):
        said(shutil.make_archive(str(tmp_path / "y"), "zip", tmp_path / "y"))
    LAYOUTS["finn 0.8"][0](tmp_path / "x.bsw" / "hw" / "board" / "bitstream")
    shutil.copytree(ZOO / "synthetic-u4-w4a4.bsw", tmp_path / "x.bsw", dirs_exist_ok=True)
    assert said(str(tmp_path / "x.bsw")).output.startswith("name: synthetic-u4-w4a4\n")


@pytest.mark.skipif(not BUILDS.is_dir(), reason=f"{BUILDS} is not there")
@pytest.mark.parametrize("name", ["labs_custom_0", "labs_custom_3", "labs_tfc_w1a1_auto", "sam_fpga_deploy_cnvw2a2"])
def test_builds_of_other_people(name: str) -> None:
    """As they lie there, without bit files; what is compared stands in their files and in FINDINGS.md."""
    facts = json.loads(said("--json", str(BUILDS / name)).output)
    assert [end["engine"] for end in (*facts["inputs"], *facts["outputs"])] == ["idma0", "odma0"]
    assert facts["part"] == "7z020clg400-1" and "found none" in facts["cannot be driven"]
    report = facts["report"]
    if name == "sam_fpga_deploy_cnvw2a2":
        assert report is None and facts["clock MHz"] == 200
        return
    counted = json.loads((BUILDS / name / "report" / "post_synth_resources.json").read_text())["(top)"]
    assert report["counted"]["lut"] == counted["LUT"] == {"0": 26338, "3": 37469, "o": 8220}[name[-1]]
    assert report["counted"]["bram36"] == counted["BRAM_36K"] + counted["BRAM_18K"] / 2
    assert report["timing met"] == {"0": False, "3": None, "o": True}[name[-1]] and not report["problems"]
    assert facts["clock MHz in time"] == {"0": 83.3, "3": None, "o": None}[name[-1]]
