"""What FINN's drivers of every age tell of an accelerator; none of them is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bitswath.backends.board.finn.driver import End, find_driver
from bitswath.backends.board.overlay import Frames
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.errors import BundleError
from tests.host.backends.board.finn.layouts import AXI_DMA, LAYOUTS, put, settings

INPUT = End("idma0", "UINT4", (1, 4, 5, 3), (1, 4, 5, 1, 3), (1, 4, 5, 1, 2), (4, False))
OUTPUT = End("odma0", "INT6", (1, 10), (1, 5, 2), (1, 5, 2), (6, True))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_tells_the_same_accelerator(tmp_path: Path, name: str) -> None:
    write, clock_hz = LAYOUTS[name]
    write(tmp_path)
    overlay = load_overlay(tmp_path)
    assert overlay.input == Frames("idma0", bits=4, signed=False, values=60, group=3, frame_bytes=40)
    assert overlay.output == Frames("odma0", bits=6, signed=True, values=10, group=2, frame_bytes=10)
    assert overlay.clock_hz == clock_hz and overlay.bitfile.read_bytes() == b"bits" and not overlay.doubts
    driver = find_driver(tmp_path)
    assert driver is not None and driver.inputs == (INPUT,) and driver.outputs == (OUTPUT,)
    assert driver.platform == "zynq-iodma" and driver.weights == ""


@pytest.mark.parametrize("name", AXI_DMA)
def test_the_first_layouts_have_a_dma_that_is_not_finns(tmp_path: Path, name: str) -> None:
    put(tmp_path / "resizer.bit", "bits")
    put(tmp_path / "driver.py", AXI_DMA[name])
    driver = find_driver(tmp_path)
    assert driver is not None and driver.inputs == (INPUT,) and driver.kind == "axi_dma"
    with pytest.raises(BundleError, match=r"expected FINN's own DMA engines, got an AXI DMA.* before 0\.4"):
        load_overlay(tmp_path)


def test_several_ends_are_told_and_not_driven(tmp_path: Path) -> None:
    source = """
io_shape_dict = {
    "idt" : [DataType['UINT8']],
    "odt" : [DataType['INT24'], DataType['INT16']],
    "ishape_normal" : [(1, 8, 8, 3)],
    "oshape_normal" : [(1, 2, 2, 6), (1, 4)],
    "ishape_folded" : [(1, 8, 8, 1, 3)],
    "oshape_folded" : [(1, 2, 2, 2, 3), (1, 4, 1)],
    "ishape_packed" : [(1, 8, 8, 1, 3)],
    "oshape_packed" : [(1, 2, 2, 2, 9), (1, 4, 2)],
    "input_dma_name" : ['idma1'],
    "output_dma_name" : ['odma0', 'odma1'],
    "number_of_external_weights": 0,
    "num_inputs" : 1,
    "num_outputs" : 2,
}
"""
    put(tmp_path / "driver.py", source)
    put(tmp_path / "resizer.bit", "bits")
    driver = find_driver(tmp_path)
    assert driver is not None and [end.engine for end in (*driver.inputs, *driver.outputs)] == [
        "idma1",
        "odma0",
        "odma1",
    ]
    assert [end.values for end in driver.outputs] == [24, 4] and driver.outputs[0].frame_bytes == 72
    with pytest.raises(BundleError, match=r"one input and one output, got 2 outputs \(odma0, odma1\)"):
        load_overlay(tmp_path)
    put(tmp_path / "driver.py", source.replace(", DataType['INT16']", ""))
    with pytest.raises(BundleError, match="oshape_normal: expected one entry, got 2"):
        find_driver(tmp_path)


@pytest.mark.parametrize(
    ("place", "found"),
    [(".", True), ("driver", True), ("bitfile", True), ("..", True), ("../..", True), ("report", False)],
)
def test_the_driver_is_found_from_where_people_point(tmp_path: Path, place: str, found: bool) -> None:
    folder = tmp_path / "output" / "my build"
    LAYOUTS["finn 0.8"][0](folder)
    (folder / "report").mkdir()
    (tmp_path / "output" / ".ipynb_checkpoints" / "driver").mkdir(parents=True)
    put(tmp_path / "output" / ".ipynb_checkpoints" / "driver" / "driver.py", "damaged(")
    assert (find_driver((folder / place).resolve()) is not None) == found


def test_settings_of_others_are_passed_over(tmp_path: Path) -> None:
    """A name that editors and applications use, too."""
    LAYOUTS["finn-plus 1.4"][0](tmp_path / "deploy")
    put(tmp_path / "settings.json", '{"editor.tabSize": 4}')
    driver = find_driver(tmp_path)
    assert driver is not None and driver.path == tmp_path / "deploy" / "driver" / "settings.json"
    (tmp_path / "deploy" / "driver" / "settings.json").unlink()
    (tmp_path / "deploy" / "driver" / "driver.py").unlink()
    with pytest.raises(BundleError, match=r"settings\.json: expected io_shape_dict in it, found none"):
        find_driver(tmp_path)


def test_a_script_of_another_name_will_do(tmp_path: Path) -> None:
    LAYOUTS["finn 0.8"][0](tmp_path)
    source = (tmp_path / "driver" / "driver.py").rename(tmp_path / "run_200MHz.py").read_text()
    put(tmp_path / "driver_base.py", "self.io_shape_dict = io_shape_dict\n")
    put(tmp_path / "python2.py", "print 'io_shape_dict'\n")
    put(tmp_path / "copy.py", source)
    driver = find_driver(tmp_path)
    assert driver is not None and driver.path.name == "copy.py" and driver.inputs == (INPUT,)
    assert load_overlay(tmp_path).bitfile.name == "finn-accel.bit"
    put(tmp_path / "copy.py", source.replace("UINT4", "INT4"))
    with pytest.raises(BundleError, match=r"copy\.py, run_200MHz\.py describe different accelerators"):
        find_driver(tmp_path)


def test_one_of_several_drivers_must_be_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        LAYOUTS["finn-plus 1.4"][0](tmp_path / name)
    with pytest.raises(BundleError, match="holds 2 drivers, in a/driver, b/driver; give the folder of one"):
        find_driver(tmp_path)


def test_different_dictionaries_in_one_driver_are_refused(tmp_path: Path) -> None:
    one = "_cnv_io_shape_dict = {'idt': DataType.UINT8}\n"
    put(tmp_path / "driver.py", one + one.replace("cnv", "tfc"))
    with pytest.raises(BundleError, match="no 'ishape_normal'"):  # equal ones are one
        find_driver(tmp_path)
    put(tmp_path / "driver.py", one + one.replace("UINT8", "UINT4"))
    with pytest.raises(BundleError, match="different dictionaries io_shape_dict in the lines 1, 2"):
        find_driver(tmp_path)


@pytest.mark.parametrize(
    ("changes", "weights"),
    [
        ({"number_of_external_weights": 2}, "in external memory"),
        ({"runtime_weights": True}, "written through registers"),
        ({"mlo_weight_config": {"weights": []}}, "of a loop"),
    ],
)
def test_weights_loaded_at_run_time_are_named(tmp_path: Path, changes: dict[str, Any], weights: str) -> None:
    put(tmp_path / "driver" / "settings.json", settings(**changes))
    driver = find_driver(tmp_path)
    assert driver is not None and weights in driver.weights


def test_an_empty_folder_of_weights_is_none(tmp_path: Path) -> None:
    LAYOUTS["finn 0.8"][0](tmp_path)
    (tmp_path / "driver" / "runtime_weights").mkdir()
    load_overlay(tmp_path)
    put(tmp_path / "driver" / "runtime_weights" / "0_0_MVAU.dat", "00")
    with pytest.raises(BundleError, match="weights that are written through registers to be loaded at run time"):
        load_overlay(tmp_path)


@pytest.mark.parametrize(("mhz", "clock_hz"), [(300.0, 300e6), (-1, None), (0, None), (None, None)])
def test_a_clock_that_is_none_leaves_it_open(tmp_path: Path, mhz: float | None, clock_hz: float | None) -> None:
    put(tmp_path / "driver" / "settings.json", settings(fclk_mhz=mhz))
    driver = find_driver(tmp_path)
    assert driver is not None and driver.clock_hz == clock_hz


def test_a_driver_of_an_instrumented_build_has_no_ends(tmp_path: Path) -> None:
    put(tmp_path / "driver" / "settings.json", '{"driver_information": {"driver_type": "FINNInstrumentationOverlay"}}')
    put(tmp_path / "finn-accel.bit", "bits")
    driver = find_driver(tmp_path)
    assert driver is not None and driver.inputs == ()
    with pytest.raises(BundleError, match="with DMA engines, got one for FINNInstrumentationOverlay"):
        load_overlay(tmp_path)


@pytest.mark.parametrize("place", ["driver/cpp", "driver", "."])
def test_the_cpp_drivers_settings_do_not_suffice(tmp_path: Path, place: str) -> None:
    put(tmp_path / place / "acceleratorconfig.json", '[{"xclbinPath": "x.xclbin", "idmas": [], "odmas": []}]')
    with pytest.raises(BundleError, match="is of FINN's C\\+\\+ driver"):
        find_driver(tmp_path)
    put(tmp_path / "driver" / "settings.json", settings())
    assert find_driver(tmp_path) is not None
