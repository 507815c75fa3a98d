"""What lies beside a bitstream: our own files, FINN+'s settings.json, FINN's driver.py, handoff files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.backends.base import Packing
from bitswath.backends.board.handoff import Handoff, Wizard, read_handoff
from bitswath.backends.board.overlay import EngineEntry, Frames, Overlay, OverlayFile, write_overlay_file
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.basics.files import sha256_of
from bitswath.builds.design import Design, Link, Stream
from bitswath.errors import BackendError, BundleError
from bitswath.network.network import INPUT, Add, Head, Network, TensorSpec
from bitswath.simulated.hwh import Family, Module, handoff

NETWORK = "ab" * 32
SETTINGS: dict[str, Any] = {
    "driver_type": "FINNDMAOverlay",
    "io_shape_dict": {
        "idt": ["DataType['UINT4']"],
        "idma_names": ["idma0"],
        "ishape_normal": [[1, 4, 5, 3]],
        "ishape_folded": [[1, 4, 5, 1, 3]],
        "ishape_packed": [[1, 4, 5, 1, 2]],
        "odt": ["DataType['INT6']"],
        "odma_names": ["odma0"],
        "oshape_normal": [[1, 10]],
        "oshape_folded": [[1, 5, 2]],
        "oshape_packed": [[1, 5, 2]],
        "num_inputs": 1,
        "num_outputs": 1,
        "number_of_external_weights": 0,
        "external_weights_input_shapes": {},
    },
    "external_weights": False,
    "runtime_weights": False,
    "platform": "zynq-iodma",
    "fclk_mhz": 200.0,
}
DRIVER = """
import argparse
from qonnx.core.datatype import DataType
from driver_base import FINNExampleOverlay

raise SystemExit("this file must not be run")

io_shape_dict = {
    # FINN DataType for input and output tensors
    "idt" : [DataType['UINT4']],
    "odt" : [DataType["INT6"]],
    "ishape_normal" : [(1, 4, 5, 3)],
    "oshape_normal" : [(1, 10)],
    "ishape_folded" : [(1, 4, 5, 1, 3)],
    "oshape_folded" : [(1, 5, 2)],
    "ishape_packed" : [(1, 4, 5, 1, 2)],
    "oshape_packed" : [(1, 5, 2)],
    "input_dma_name" : ['idma0'],
    "output_dma_name" : ['odma0'],
    "number_of_external_weights": 0,
    "num_inputs" : 1,
    "num_outputs" : 1,
}
"""
FOLDED = (
    Frames("idma0", bits=4, signed=False, values=60, group=3, frame_bytes=40),
    Frames("odma0", bits=6, signed=True, values=10, group=2, frame_bytes=10),
)


def design(network: str = NETWORK, frame_words: int = 5) -> Design:
    ends = {"bits": 64, "elements": 1, "tensor": None}
    return Design(
        name="wire",
        network=network,
        board="none",
        part="none",
        clock_hz=125e6,
        input=Link(stream="words_in", width=64, words=frame_words, values=60, bits=4),
        output=Link(stream="words_out", width=64, words=2, values=10, bits=12, signed=True),
        stages=(),
        streams=(
            Stream(name="words_in", source=None, sink=None, beats=frame_words, **ends),
            Stream(name="words_out", source=None, sink=None, beats=2, **ends),
        ),
    )


def ours(folder: Path, **changes: Any) -> Path:
    """A folder as our build leaves it."""
    folder.mkdir()
    (folder / "x.bit").write_bytes(b"bits")
    (folder / "design.json").write_text(design().model_dump_json())
    entry: dict[str, Any] = {
        "bitfile": "x.bit",
        "sha256": sha256_of(folder / "x.bit"),
        "network": NETWORK,
        "shell": "bitswath",
        "idma": EngineEntry(name="idma0", address=0xA000_0000),
        "odma": EngineEntry(name="odma0", address=0xA001_0000),
        "clock_hz": 125e6,
    }
    write_overlay_file(folder, OverlayFile(**{**entry, **changes}))
    return folder


def finn_plus(folder: Path, **changes: Any) -> Path:
    """A deployment folder of FINN+; `changes` of io_shape_dict or, where it has none such, beside it."""
    settings = json.loads(json.dumps(SETTINGS))
    for name, value in changes.items():
        (settings if name in SETTINGS or name not in SETTINGS["io_shape_dict"] else settings["io_shape_dict"])[name] = (
            value
        )
    (folder / "driver").mkdir(parents=True)
    (folder / "bitfile").mkdir()
    (folder / "bitfile" / "finn-accel.bit").write_bytes(b"bits")
    (folder / "driver" / "settings.json").write_text(json.dumps({"driver_information": settings}))
    return folder


def finn(folder: Path, source: str = DRIVER) -> Path:
    """A deployment folder of FINN."""
    (folder / "driver").mkdir(parents=True)
    (folder / "bitfile").mkdir()
    (folder / "bitfile" / "finn-accel.bit").write_bytes(b"bits")
    (folder / "driver" / "driver.py").write_text(source)
    return folder


def test_our_folder_is_dense_and_says_all(tmp_path: Path) -> None:
    overlay = load_overlay(ours(tmp_path / "x"))
    assert overlay == Overlay(
        bitfile=tmp_path / "x" / "x.bit",
        shell="bitswath",
        input=Frames("idma0", 4, False, 60, None, 40, 64, 0xA000_0000),
        output=Frames("odma0", 12, True, 10, None, 16, 64, 0xA001_0000),
        clock_hz=125e6,
        network=NETWORK,
        sha256=sha256_of(tmp_path / "x" / "x.bit"),
    )
    assert overlay.input.packing == Packing(4) and overlay.input.payload_bytes == 30
    overlay.check_bitfile()


def test_the_design_may_lie_above_or_elsewhere(tmp_path: Path) -> None:
    folder = ours(tmp_path / "x")
    (tmp_path / "build").mkdir()
    (folder / "design.json").rename(tmp_path / "build" / "design.json")
    with pytest.raises(BundleError, match=r"expected the build's design\.json"):
        load_overlay(folder)
    assert load_overlay(folder, tmp_path / "build").output.values == 10
    (tmp_path / "build" / "design.json").rename(tmp_path / "design.json")
    assert load_overlay(folder).output.values == 10


def test_a_bit_file_that_changed_is_refused(tmp_path: Path) -> None:
    overlay = load_overlay(ours(tmp_path / "x"))
    overlay.bitfile.write_bytes(b"bit")
    with pytest.raises(BackendError, match="expected SHA-256"):
        overlay.check_bitfile()
    overlay.bitfile.unlink()
    with pytest.raises(BackendError, match="cannot be read"):
        overlay.check_bitfile()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"bitswath"', '"other"'), "shell"),
        (lambda text: text.replace("x.bit", "../x.bit"), "file beside it"),
        (lambda text: text.replace(NETWORK, "cd" * 32), "another network"),
        (lambda text: text[:-10], "JSON"),
    ],
)
def test_damaged_overlay_files_are_refused(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    path = ours(tmp_path / "x") / "overlay.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(BundleError, match=rf"overlay\.json.*{message}"):
        load_overlay(tmp_path / "x")


def test_a_folder_without_anything_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"expected overlay\.json.*settings\.json.*driver\.py"):
        load_overlay(tmp_path)
    with pytest.raises(BundleError, match="expected the folder of a bitstream"):
        load_overlay(tmp_path / "none")


@pytest.mark.parametrize("place", ["", "driver", "..."])
def test_finn_plus_settings_are_folded(tmp_path: Path, place: str) -> None:
    """From the deployment folder, its driver folder, and the output folder above."""
    folder = finn_plus(tmp_path / "deploy")
    overlay = load_overlay(tmp_path if place == "..." else folder / place)
    assert (overlay.input, overlay.output) == FOLDED
    assert overlay.shell == "finn" and overlay.network is None and overlay.clock_hz == 200e6
    assert overlay.bitfile == folder / "bitfile" / "finn-accel.bit"
    assert overlay.input.packing == Packing(4, group=3)


def test_finn_drivers_are_read_and_not_run(tmp_path: Path) -> None:
    overlay = load_overlay(finn(tmp_path / "x"))
    assert (overlay.input, overlay.output) == FOLDED and overlay.clock_hz is None


def test_drivers_of_older_finn_have_single_values(tmp_path: Path) -> None:
    source = DRIVER.replace("[DataType['UINT4']]", "DataType.UINT4").replace('[DataType["INT6"]]', "DataType.INT6")
    for old, new in (("[(", "("), (")]", ")"), ("['idma0']", "'idma0'")):
        source = source.replace(old, new)
    source += "\naccel = FINNExampleOverlay(bitfile_name=bitfile, io_shape_dict=io_shape_dict, fclk_mhz=150.0)\n"
    overlay = load_overlay(finn(tmp_path / "x", source))
    assert (overlay.input, overlay.output) == FOLDED and overlay.clock_hz == 150e6


@pytest.mark.parametrize(
    ("datatype", "bits", "signed"),
    [("BINARY", 1, False), ("BIPOLAR", 1, True), ("TERNARY", 2, True), ("INT2", 2, True), ("UINT8", 8, False)],
)
def test_finn_datatypes(tmp_path: Path, datatype: str, bits: int, signed: bool) -> None:
    size = (3 * bits + 7) // 8
    folder = finn_plus(tmp_path / "x", idt=[f"DataType['{datatype}']"], ishape_packed=[[1, 4, 5, 1, size]])
    given = load_overlay(folder).input
    assert (given.bits, given.signed, given.frame_bytes) == (bits, signed, 20 * size)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_inputs": 2}, "one input and one output"),
        ({"num_outputs": 2}, "one input and one output"),
        ({"runtime_weights": True}, "loaded at run time"),
        ({"external_weights": True}, "loaded at run time"),
        ({"number_of_external_weights": "1"}, "loaded at run time"),
        ({"mlo_weight_config": {"total_size_bytes": 1}}, "loaded at run time"),
        ({"driver_type": "FINNInstrumentationOverlay"}, "FINNInstrumentationOverlay"),
        ({"idt": ["DataType['FLOAT32']"]}, "FLOAT32"),
        ({"idt": ["DataType['FIXED<8,4>']"]}, "FIXED"),
        ({"idt": ["__import__('os')"]}, "expected integers"),
        ({"odt": ["DataType['INT']"]}, "INT"),
        ({"odt": ["DataType['INT40']"], "oshape_packed": [[1, 5, 10]]}, "at most 32 bits at odma0, got 40"),
        ({"oshape_packed": [[1, 5, 3]]}, "do not fit each other"),
        ({"ishape_folded": [[1, 4, 5, 1, 4]]}, "do not fit each other"),
        ({"ishape_normal": [[60]]}, "batch axis"),
        ({"idma_names": ["idma0", "idma1"]}, "expected one entry, got 2"),
        ({"io_shape_dict": None}, "settings"),
    ],
)
def test_what_this_driver_cannot_drive_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        load_overlay(finn_plus(tmp_path / "x", **changes))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[(1, 10)]", "[tuple(range(2))]", "line 13: expected literals"),
        ("io_shape_dict = {", "other = {", "expected an io_shape_dict"),
        ("io_shape_dict = {", "io_shape_dict = {{", "no Python source"),
        ('"odt" :', '"xdt" :', "no 'odt'"),
    ],
)
def test_drivers_that_cannot_be_read_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        load_overlay(finn(tmp_path / "x", DRIVER.replace(old, new)))


def test_settings_that_are_no_settings_are_refused(tmp_path: Path) -> None:
    folder = finn_plus(tmp_path / "x")
    for text in ("", "[]", '{"driver_information": {}}', "[" * 10000):
        (folder / "driver" / "settings.json").write_text(text)
        with pytest.raises(BundleError, match=r"settings\.json"):
            load_overlay(folder)


def test_a_bit_file_must_be_there_and_be_one(tmp_path: Path) -> None:
    folder = finn_plus(tmp_path / "x")
    (folder / "bitfile" / "other.bit").write_bytes(b"")
    with pytest.raises(BundleError, match=r"expected one bit file, got finn-accel\.bit, other\.bit"):
        load_overlay(folder)
    for path in (folder / "bitfile").iterdir():
        path.unlink()
    with pytest.raises(BundleError, match=r"expected a \.bit or \.xclbin file"):
        load_overlay(folder)


def test_an_xclbin_is_for_a_card(tmp_path: Path) -> None:
    folder = finn_plus(tmp_path / "x")
    (folder / "bitfile" / "finn-accel.bit").rename(folder / "bitfile" / "finn-accel.xclbin")
    assert load_overlay(folder).is_alveo


def in_finns_shell(folder: Path, words_in: int) -> Path:
    """A deployment folder of a build of ours."""
    shapes: dict[str, Any] = {"idt": ["DataType['UINT64']"], "odt": ["DataType['UINT64']"]}
    for end, words in (("i", words_in), ("o", 2)):
        for kind, shape in (("normal", [1, words]), ("folded", [1, words, 1]), ("packed", [1, words, 8])):
            shapes[f"{end}shape_{kind}"] = [shape]
    return finn_plus(folder, **shapes)


def test_our_build_in_finns_shell_is_dense(tmp_path: Path) -> None:
    """Its link's words are what FINN's engines move."""
    folder = in_finns_shell(tmp_path / "build" / "bitstream", 5)
    (tmp_path / "build" / "design.json").write_text(design().model_dump_json())
    overlay = load_overlay(folder)
    assert overlay.input == Frames("idma0", 4, False, 60, None, 40, 64)
    assert (overlay.shell, overlay.network, overlay.output.bits) == ("finn", NETWORK, 12)
    (tmp_path / "build" / "design.json").write_text(design(frame_words=6).model_dump_json())
    with pytest.raises(BundleError, match="moves 40 bytes a frame"):
        load_overlay(folder)


def test_of_compressed_frames_finns_engine_moves_words(tmp_path: Path) -> None:
    folder, made = in_finns_shell(tmp_path / "build" / "bitstream", 1), design()
    given, taken = (
        link.model_copy(update=update)
        for link, update in ((made.input, {"compressed": True}), (made.output, {"status": True}))
    )
    made = made.model_copy(update={"input": given, "output": taken})
    (tmp_path / "build" / "design.json").write_text(made.model_dump_json())
    overlay = load_overlay(folder)
    assert (overlay.input.frame_bytes, overlay.input.step_bytes, overlay.output.step_bytes) == (40, 8, 16)
    assert overlay.input.packing == Packing(4, compressed=True, word_bytes=8)
    assert overlay.output.status and not overlay.input.status


def network(shape: tuple[int, ...] = (60,)) -> Network:
    return Network(TensorSpec(shape, 0, 15), (Add("sum", (INPUT, INPUT), (1, 1)),), Head(np.ones(1), np.zeros(1)))


def test_another_network_or_other_sizes_do_not_fit(tmp_path: Path) -> None:
    fits = Overlay(tmp_path, "bitswath", FOLDED[0], Frames("odma0", 6, True, 60, 1, 60), network=NETWORK)
    fits.check_fits(NETWORK, network(), 4)
    with pytest.raises(BundleError, match=r"made for network abababababababab\.\.\., the bundle's is cdcd"):
        fits.check_fits("cd" * 32, network(), 4)
    for shape, bits in (((59,), 4), ((60,), 5)):
        with pytest.raises(BundleError, match="takes 60 values of 4 bits and gives 60"):
            fits.check_fits(NETWORK, network(shape), bits)


@pytest.mark.parametrize("bits", [1, 5, 12, 31, 32, 33, 40])
@pytest.mark.parametrize("signed", [False, True])
def test_dense_answers_are_twos_complement(bits: int, signed: bool) -> None:
    rng = np.random.default_rng(bits)
    low = -(1 << bits - 1) if signed else 0
    values = rng.integers(low, low + (1 << bits), (5, 7))
    size = -(-7 * bits // 64) * 8
    whole = [sum((int(value) % (1 << bits)) << bits * i for i, value in enumerate(row)) for row in values]
    rows = np.frombuffer(b"".join(number.to_bytes(size, "little") for number in whole), np.uint8).reshape(5, size)
    assert np.array_equal(Frames("odma0", bits, signed, 7, None, size, 64).read(rows), values)


@pytest.mark.parametrize("family", ["zynq", "zynqmp"])
def test_handoff_files_tell_the_clocks(tmp_path: Path, family: Family) -> None:
    path = tmp_path / "x.hwh"
    path.write_text(handoff(family, (Module("idma0", 0, 0x10000, 64),)))
    assert read_handoff(path) == Handoff(dict.fromkeys(range(4), 100e6))
    path.write_text(handoff(family, (Module("idma0", 0, 0x10000, 64),), wizard_mhz=187.5))
    assert read_handoff(path).wizard == Wizard(100e6, 187.5e6)


@pytest.mark.parametrize("content", ["", "<EDKSYSTEM>", "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"])
def test_handoff_files_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.hwh"
    path.write_text(content)
    with pytest.raises(BundleError, match="no hardware handoff file"):
        read_handoff(path)
    with pytest.raises(BundleError, match="cannot be read"):
        read_handoff(tmp_path / "none.hwh")
