"""What is made of a folder of FINN's as a whole: clocks, what does not fit together, what cannot be driven and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bitswath.backends.board.finn.build import FinnBuild, find_build
from bitswath.backends.board.overlay import Overlay
from bitswath.backends.board.overlay_folder import load_build, load_overlay
from bitswath.errors import BundleError
from bitswath.network.network import INPUT, Add, Network, TensorSpec
from tests.host.backends.board.finn.layouts import TIMING, bit, hwh, put, settings
from tests.paths import DATA

BUILDS = DATA / "finn_builds"


def built(folder: Path, handoff: str | None = None, **changes: Any) -> Path:
    put(folder / "driver" / "settings.json", settings(**changes))
    put(folder / "bitfile" / "finn-accel.bit", bit())
    put(folder / "bitfile" / "finn-accel.hwh", hwh() if handoff is None else handoff)
    return folder


def build_in(folder: Path) -> FinnBuild:
    found = find_build(folder)
    assert found is not None
    return found


def test_the_clock_is_the_routed_one(tmp_path: Path) -> None:
    """As the .hwh has it for the engines, or less where the driver asks for less."""
    assert load_overlay(built(tmp_path / "a")).clock_hz == 200e6
    assert load_overlay(built(tmp_path / "b", hwh(clock_hz=199_998_001))).clock_hz == 199_998_001
    overlay = load_overlay(built(tmp_path / "c", hwh(clock_hz=150e6)))
    assert overlay.clock_hz == 150e6
    assert overlay.doubts == ("the driver asks for 200 MHz, the .hwh was made for 150 MHz",)
    assert load_overlay(built(tmp_path / "d", hwh(clock_hz=250e6))).clock_hz == 200e6
    assert load_overlay(built(tmp_path / "e", hwh(clock_hz=150e6), fclk_mhz=None)).doubts == ()


def test_late_builds_say_which_clock_is_in_time(tmp_path: Path) -> None:
    folder = built(tmp_path)
    report = put(folder / "report" / "post_route_timing.rpt", "")
    for slack, hold, early, timely_hz, doubts in (
        ("0.1", "0.1", 0, None, ()),
        ("-2.002", "0.1", 0, 142.8e6, ()),
        (
            "-2.002",
            "-0.1",
            1,
            None,
            ("timing was not met at 9 endpoints, at any clock: results may be wrong; build it again",),
        ),
    ):
        put(report, TIMING.format(slack=slack, late=8 if slack < "0" else 0, hold=hold, early=early, met=""))
        overlay = load_overlay(folder)
        assert (
            overlay.timely_hz == (None if timely_hz is None else pytest.approx(timely_hz)) and overlay.doubts == doubts
        )


def test_words_of_another_width_are_of_another_build(tmp_path: Path) -> None:
    """Refused where they would lie otherwise in memory; values of whole bytes lie the same."""
    with pytest.raises(BundleError, match=r"3 values of 4 bits fill 2 bytes at idma0, the \.hwh has words of 4 there"):
        load_overlay(built(tmp_path / "a", hwh(engines={"idma0": 4, "odma0": 2})))
    whole = {"idt": ["UINT8"], "ishape_packed": [[1, 4, 5, 1, 3]]}
    assert load_overlay(built(tmp_path / "b", hwh(engines={"idma0": 3, "odma0": 2}), **whole)).doubts == ()
    overlay = load_overlay(built(tmp_path / "c", hwh(engines={"idma0": 1, "odma0": 2}), **whole))
    assert overlay.input.frame_bytes == 60
    assert overlay.doubts == (
        "idma0 moves words of 8 bits in the .hwh, the driver's frames are made of words of 24: "
        "they are hardly of one build",
    )


def test_files_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    for handoff, message in (
        (hwh(part=("xczu3eg", "sbva484")), "for part 7z020clg400, the .hwh for xczu3egsbva484-1"),
        (hwh(vivado="2018.2"), "Vivado 2022.2 made it, and 2018.2 the .hwh"),
        (hwh(made="Tue Nov  3 08:00:00 2026"), "it was made 2026-08-01, before the .hwh of 2026-11-03"),
        (hwh(engines={"idma0": 2}), "the .hwh has no engine odma0, which the driver names"),
    ):
        (doubt,) = build_in(built(tmp_path, handoff)).doubts
        assert message in doubt
    assert build_in(built(tmp_path, hwh(made="Sat Aug  1 23:00:00 2026"))).doubts == ()  # within a day: time zones


def test_the_order_of_a_frames_values(tmp_path: Path) -> None:
    """FINN's shape against the bundle's (H, W, C)."""

    def network(*shape: int) -> Network:
        return Network(TensorSpec(shape, 0, 15), (Add("sum", (INPUT, INPUT), (1, 1)),))

    def overlay(*shape: int) -> Overlay:
        changes = {"ishape_normal": [[1, *shape]], "ishape_folded": [[1, 20, 3]], "ishape_packed": [[1, 20, 2]]}
        found = load_overlay(built(tmp_path, **changes))
        return replace(found, output=replace(found.output, values=60))

    for shape, ours in (((4, 5, 3), (4, 5, 3)), ((60,), (60,)), ((60,), (4, 15, 1)), ((1, 4, 15), (4, 15, 1))):
        overlay(*shape).check_fits("", network(*ours), 4)
        assert not list(overlay(*shape).input_doubts(network(*ours)))
    with pytest.raises(BundleError, match=r"frames of \(3, 4, 5\), bands first, the bundle's are of \(4, 5, 3\)"):
        overlay(3, 4, 5).check_fits("", network(4, 5, 3), 4)
    overlay(60).check_fits("", network(4, 5, 3), 4)
    (doubt,) = overlay(60).input_doubts(network(4, 5, 3))
    assert "if its network was flattened bands first" in doubt


def test_codes_that_leave_half_of_the_datatype_unused_are_told(tmp_path: Path) -> None:
    """As those of the model's own input quantizer, which FINN may have built into the accelerator."""
    overlay = load_overlay(built(tmp_path))
    for hi, told in ((15, False), (9, False), (8, False), (7, True), (3, True)):
        network = Network(TensorSpec((4, 5, 3), 0, hi), (Add("sum", (INPUT, INPUT), (1, 1)),))
        assert [doubt.partition(";")[0] for doubt in overlay.input_doubts(network)] == (
            [f"it takes values up to 15, the bundle's codes end at {hi}"] * told
        )


@pytest.mark.parametrize(
    ("datatype", "lo", "hi", "fits"),
    [
        *(("UINT4", 0, 15, True), ("UINT4", -1, 1, False), ("INT5", 0, 15, True), ("INT5", -16, 15, True)),
        *(("INT4", 0, 15, False), ("BIPOLAR", -1, 1, True), ("BINARY", 0, 1, True), ("BINARY", -1, 1, False)),
    ],
)
def test_the_bundles_codes_must_be_values_of_the_datatype(
    tmp_path: Path, datatype: str, lo: int, hi: int, fits: bool
) -> None:
    size = 1 if datatype.startswith("BI") else 2
    handoff = hwh(engines={"idma0": size, "odma0": 2})
    overlay = load_overlay(built(tmp_path, handoff, idt=[datatype], ishape_packed=[[1, 4, 5, 1, size]]))
    overlay = replace(overlay, output=replace(overlay.output, values=60))
    network = Network(TensorSpec((4, 5, 3), lo, hi), (Add("sum", (INPUT, INPUT), (1, 1)),))
    if fits:
        overlay.check_fits("", network, 1)
        assert not list(overlay.input_doubts(network))
    else:
        with pytest.raises(BundleError, match=rf"takes values of .*, the bundle's codes are {lo}\.\.{hi}"):
            overlay.check_fits("", network, 1)


@pytest.mark.parametrize(
    ("end", "bytes_a_value", "message"),
    [
        ("i", 4, "accelerator takes floats and quantizes them, and no scale is told .* build it again with an integer"),
        ("i", 1, r"the host is left to quantize, and no scale .* \(such as UINT8\) into settings\.json"),
        ("o", 4, "accelerator scales its results, .* the last scale and bias .* left out"),
        ("o", 3, r"its frames have 24 bits a value, so that the host is left .* \(such as UINT24\)"),
    ],
)
def test_float_ends_say_what_is_missing_and_what_to_do(
    tmp_path: Path, end: str, bytes_a_value: int, message: str
) -> None:
    shape = [1, 4, 5, 1, 3 * bytes_a_value] if end == "i" else [1, 5, 2 * bytes_a_value]
    folder = built(tmp_path, **{f"{end}dt": ["DataType['FLOAT32']"], f"{end}shape_packed": [shape]})
    with pytest.raises(BundleError, match=rf"got FLOAT32 at {end}dma0; .*{message}.* use FINN's own driver") as raised:
        load_overlay(folder)
    assert "\n" not in str(raised.value)
    build = build_in(folder)
    assert (build.driver.inputs if end == "i" else build.driver.outputs)[0].datatype == "FLOAT32"


def test_what_the_advice_makes_of_a_float_end_works(tmp_path: Path) -> None:
    packed = [[1, 4, 5, 1, 3]]
    with pytest.raises(BundleError, match="such as UINT8"):
        load_overlay(built(tmp_path, idt=["FLOAT32"], ishape_packed=packed))
    assert load_overlay(built(tmp_path, idt=["UINT8"], ishape_packed=packed)).input.bits == 8


def test_a_bit_file_may_be_given_itself(tmp_path: Path) -> None:
    folder = built(tmp_path)
    put(folder / "bitfile" / "copy.bit", bit())
    put(folder / "bitfile" / "copy.hwh", hwh(clock_hz=75e6))
    for name, clock_hz in (("finn-accel", 200e6), ("copy", 75e6)):
        overlay = load_overlay(folder / "bitfile" / f"{name}.bit")
        assert overlay.bitfile.stem == name and overlay.clock_hz == clock_hz
    assert load_overlay(folder).bitfile.stem == "finn-accel"


def test_bit_files_of_several_boards_beside_one_driver(tmp_path: Path) -> None:
    folder = built(tmp_path)
    (folder / "bitfile").rename(folder / "pynq-z1")
    put(folder / "zcu104" / "finn-accel.bit", bit())
    put(folder / "zcu104" / "finn-accel.hwh", hwh(clock_hz=123e6))
    for path in (folder / "zcu104", folder / "zcu104" / "finn-accel.bit"):
        overlay = load_overlay(path)
        assert overlay.bitfile == folder / "zcu104" / "finn-accel.bit" and overlay.clock_hz == 123e6
    assert load_overlay(folder / "pynq-z1").bitfile.parent == folder / "pynq-z1"
    with pytest.raises(BundleError, match=r"expected a \.bit or \.xclbin file"):
        load_overlay(folder)


def test_a_folder_without_bit_file_is_described_all_the_same(tmp_path: Path) -> None:
    folder = built(tmp_path, hwh(clock_hz=200e6))
    (folder / "bitfile" / "finn-accel.bit").unlink()
    build = load_build(folder)
    assert build is not None and build.pair is None and build.blocks is not None and build.clock_hz == 200e6
    assert build.problem.startswith(f"{folder / 'bitfile'}: expected a .bit or .xclbin file")
    assert [end.values for end in build.driver.inputs] == [60]


@pytest.mark.parametrize("platform", ["zynq-iodma", "alveo"])
def test_files_for_boards_and_cards_go_by_the_device_then_by_the_driver(tmp_path: Path, platform: str) -> None:
    folder = built(tmp_path, platform=platform)
    put(folder / "bitfile" / "finn-accel.xclbin", "xclbin2")
    assert load_overlay(folder).is_alveo == (platform == "alveo")
    assert load_overlay(folder, suffix=".bit").bitfile.suffix == ".bit"
    assert load_overlay(folder, suffix=".xclbin").bitfile.suffix == ".xclbin"


@pytest.mark.skipif(not BUILDS.is_dir(), reason=f"{BUILDS} is not there")
@pytest.mark.parametrize("name", ["labs_custom_0", "labs_custom_3", "labs_tfc_w1a1_auto"])
def test_ends_are_those_of_the_graph_that_finn_built(name: str) -> None:
    from qonnx.core.modelwrapper import ModelWrapper

    graph = ModelWrapper(str(BUILDS / name / "intermediate_models" / "step_hw_codegen.onnx"))
    driver = build_in(BUILDS / name).driver
    for (end,), (tensor,) in ((driver.inputs, graph.graph.input), (driver.outputs, graph.graph.output)):
        assert list(end.normal) == graph.get_tensor_shape(tensor.name)
        assert end.datatype == graph.get_tensor_datatype(tensor.name).name


@pytest.mark.skipif(not BUILDS.is_dir(), reason=f"{BUILDS} is not there")
@pytest.mark.parametrize(
    ("name", "shape", "group", "clock_hz", "timely_hz"),
    [
        ("labs_custom_0", (1, 28, 28), 14, 100e6, 83.3e6),
        ("labs_custom_3", (784,), 112, 100e6, None),
        ("labs_tfc_w1a1_auto", (1, 28, 28), 1, 100e6, None),
        ("sam_fpga_deploy_cnvw2a2", (784,), 49, 200e6, None),
    ],
)
@pytest.mark.parametrize("place", [".", "driver", "bitfile"])
def test_builds_of_other_people(
    tmp_path: Path, name: str, shape: tuple[int, ...], group: int, clock_hz: float, timely_hz: float | None, place: str
) -> None:
    """Placeholders stand for the bit files: one beside each .hwh."""
    for file in (path for path in (BUILDS / name).rglob("*") if path.is_file() and path.suffix != ".onnx"):
        put(tmp_path / file.relative_to(BUILDS / name), file.read_bytes())
    for handoff in list((tmp_path / "bitfile").glob("*.hwh")):
        put(handoff.with_suffix(".bit"), f"placeholder {handoff.name}")
    overlay = load_overlay(tmp_path / place)
    given, taken = overlay.input, overlay.output
    assert (given.engine, given.bits, given.signed, given.values, given.group) == ("idma0", 8, False, 784, group)
    assert (taken.engine, taken.bits, taken.signed, taken.values, taken.frame_bytes) == ("odma0", 8, False, 1, 1)
    assert (overlay.clock_hz, overlay.timely_hz) == (clock_hz, timely_hz)
    assert overlay.bitfile == tmp_path / "bitfile" / "finn-accel.bit"
    build = build_in(tmp_path)
    assert build.driver.inputs[0].normal == (1, *shape)
    assert build.blocks is not None and build.blocks.part == "7z020clg400-1"
    assert build.blocks.engines["idma0"].address == 0x4000_0000 and build.blocks.engines["odma0"].port_bits == 32
    mixed = name.startswith("sam")  # the driver of one network beside the hand-offs of another
    assert [re.sub(r"\d+", "N", doubt)[:40] for doubt in overlay.doubts] == [
        "idmaN moves words of N bits in the .hwh,"
    ] * mixed
