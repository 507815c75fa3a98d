"""Window generators patched to be fast do in every cycle what FINN's own do, and are as fast as said."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from bitswath.backends.netlist.mapping import map_parts, read_netlist
from bitswath.backends.netlist.parts import Part
from bitswath.backends.netlist.yosys import Module
from bitswath.errors import BuildError
from bitswath.hw.counting.timing import longest_path, slowness
from bitswath.hw.generating.patch import Patch
from bitswath.hw.generating.window_patches import WINDOW_PATCHES
from bitswath.hw.planning.boards import find_board
from tests.designs import CACHE
from tests.paths import ROOT
from tests.twins import WINDOW_PORTS, assert_twins, stream

FINN_RTLLIB = Path(str(distribution("finn-plus").locate_file("finn/finn-rtllib")))
COMMON = ("swg/swg_pkg.sv", "swg/swg_common.sv")
BITS = 4
STREAMS = ".in0_V_V_TDATA(in_tdata), .in0_V_V_TVALID(in_tvalid), .in0_V_V_TREADY(in_tready), "
STREAMS += ".out_V_V_TDATA(out_tdata), .out_V_V_TVALID(out_tvalid), .out_V_V_TREADY(out_tready)"


@dataclass(frozen=True)
class Window:
    """As FINN generates it. `parallel`: a whole window leaves in a beat."""

    kernel: tuple[int, int]
    channels: int
    size: tuple[int, int]
    simd: int
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    depthwise: bool = False
    parallel: bool = True
    ram: str = "auto"

    @property
    def attributes(self) -> dict[str, Any]:
        along = zip(self.size, self.kernel, self.strides, self.dilations)
        return {
            "ConvKernelDim": self.kernel, "IFMChannels": self.channels, "IFMDim": self.size, "SIMD": self.simd, "M": 1,
            "OFMDim": [(size - (kernel - 1) * step - 1) // stride + 1 for size, kernel, stride, step in along],
            "Stride": self.strides, "Dilation": self.dilations, "depthwise": int(self.depthwise),
            "parallel_window": int(self.parallel), "ram_style": self.ram,
            "inputDataType": f"UINT{BITS}", "outputDataType": f"UINT{BITS}",
        }  # fmt: skip

    @property
    def widths(self) -> tuple[int, int]:
        """Bits of a beat in and out."""
        taps = self.kernel[0] * self.kernel[1] if self.parallel else 1
        return BITS * self.simd, BITS * self.simd * taps


WINDOWS = {
    "dense": Window((3, 3), 3, (8, 9), 3),
    "dense_strided": Window((3, 3), 2, (9, 12), 2, strides=(2, 2)),
    "rows_left_over": Window((3, 3), 1, (10, 8), 1, strides=(2, 2), ram="distributed"),
    "channelwise": Window((3, 3), 6, (7, 6), 2, depthwise=True),
    "channelwise_strided": Window((3, 3), 4, (7, 9), 1, strides=(2, 2), depthwise=True, ram="block"),
    "channelwise_pool": Window((2, 2), 8, (8, 8), 2, strides=(2, 2), depthwise=True),
    "pool_of_all_channels": Window((2, 2), 4, (9, 7), 4, strides=(2, 2), depthwise=True),
    "dilated": Window((3, 3), 2, (9, 10), 2, dilations=(2, 2)),
    "flat": Window((1, 3), 4, (1, 17), 2, strides=(1, 2), depthwise=True),
    "one_window": Window((3, 3), 8, (3, 3), 2, depthwise=True),
    "pixels": Window((1, 1), 4, (8, 7), 2, strides=(2, 2)),
    "tall_strides": Window((2, 3), 3, (11, 9), 3, strides=(3, 1)),
    "addressed": Window((3, 3), 4, (7, 8), 2, parallel=False),
    "addressed_pool": Window((2, 2), 6, (8, 6), 3, strides=(2, 2), depthwise=True, parallel=False),
}  # fmt: skip
"""For cycles: small images, several of them between resets."""

LARGE = {
    "first": Window((3, 3), 3, (66, 66), 3, ram="distributed"),
    "pooled": Window((2, 2), 16, (64, 64), 4, strides=(2, 2), depthwise=True, ram="block"),
    "pool": Window((2, 2), 8, (64, 64), 1, strides=(2, 2), depthwise=True, parallel=False, ram="block"),
}
"""For paths: of the size that eurosat-u4-w4a4 has them, the first two parallel."""

Filled = Mapping[str, tuple[str, Mapping[str, str]]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Of each window its template and FINN's texts for it."""
    folder = tmp_path_factory.mktemp("windows")
    cases = {name: window.attributes for name, window in (WINDOWS | LARGE).items()}
    (folder / "cases.json").write_text(json.dumps(cases))
    command = [sys.executable, "-m", "tests.hw.window_worker", str(folder / "cases.json"), str(folder / "result.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found: Filled = json.loads((folder / "result.json").read_text())
    return found


def patched(file: str) -> str:
    text = (FINN_RTLLIB / file).read_text()
    for patch in WINDOW_PATCHES:
        text = patch.apply(text) if patch.file == file else text
    return text


def stock(file: str) -> str:
    return (FINN_RTLLIB / file).read_text()


def source(template: str, texts: Mapping[str, str], name: str) -> str:
    """A window generator, whose module is called `name`_impl."""
    for key, text in {"$TOP_MODULE_NAME$": name, **texts}.items():
        template = template.replace(key, text)
    return template


def test_patched_windows_do_what_finns_own_do_in_every_cycle(filled: Filled, tmp_path: Path) -> None:
    seed = secrets.randbelow(2**31 - 1) + 1
    print("seed", seed)
    ours, theirs = patched(COMMON[1]), stock(COMMON[1])
    sources = {"swg_pkg.sv": stock(COMMON[0]), "ours.sv": ours, "theirs.sv": with_suffix(theirs)}
    blocks = []
    for name, window in WINDOWS.items():
        file, texts = filled[name]
        sources[f"{name}.sv"] = source(patched(file), texts, name)
        sources[f"{name}_finn.sv"] = with_suffix(source(stock(file), texts, f"{name}_finn"))
        width, out_width = window.widths
        parameters = {"BIT_WIDTH": BITS, "SIMD": window.simd, "MMV_IN": 1, "MMV_OUT": out_width // width}
        names = (f"{name}_finn_impl", f"{name}_impl")
        blocks.append(stream(name, *names, parameters, WINDOW_PORTS, width=width, out_width=out_width))
    assert_twins(blocks, sources, tmp_path, seed, reset_every=1777)


def with_suffix(text: str) -> str:
    """What FINN's templates share, under names of its own."""
    return re.sub(r"\b(swg_(controller|\w+_buffer\w*))\b", r"\1_finn", text)


def netlist(name: str, filled: Filled, text: Callable[[str], str], family: str, folder: Path) -> Module:
    """Of a large window, with the sources that `text` gives."""
    folder.mkdir()
    file, texts = filled[name]
    for shared in COMMON:
        (folder / Path(shared).name).write_text(text(shared))
    (folder / f"{name}.sv").write_text(source(text(file), texts, name))
    width, out_width = LARGE[name].widths
    sizes = f"#(.BIT_WIDTH({BITS}), .SIMD({LARGE[name].simd}), .MMV_IN(1), .MMV_OUT({out_width // width}))"
    instance = f"  {name}_impl {sizes} {name} (.ap_clk(clk), .ap_rst_n(rst_n), {STREAMS});\n"
    sources = (*(Path(shared).name for shared in COMMON), f"{name}.sv")
    part = Part(name, name, {"in": width}, {"out": out_width}, instance, sources, {"in": "x", "out": "y"})
    mapped = map_parts([part], folder, family)
    assert not mapped.problems
    return read_netlist(mapped.files[name])


def luts(netlist: Module) -> int:
    return sum(str(cell["type"]).startswith("LUT") for cell in netlist["cells"].values())


@pytest.mark.parametrize(
    ("name", "board", "family", "before_mhz", "mhz"),
    [
        ("first", "KV260_SOM", "xcup", 200, 250),
        ("pooled", "KV260_SOM", "xcup", 200, 250),
        ("pool", "Pynq-Z2", "xc7", 125, 185),
    ],
)
def test_patched_windows_keep_up_with_faster_clocks(
    name: str, board: str, family: str, before_mhz: float, mhz: float, filled: Filled,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))
    grade = slowness(find_board(board).part)
    ours = netlist(name, filled, patched, family, tmp_path / "ours")
    theirs = netlist(name, filled, stock, family, tmp_path / "theirs")
    before, now = longest_path(theirs, grade), longest_path(ours, grade)
    print(f"{before.ns:.2f} ns and {luts(theirs)} LUTs, patched {now.ns:.2f} ns and {luts(ours)} LUTs")
    assert before.clock_hz < before_mhz * 1e6
    assert now.clock_hz > mhz * 1e6
    assert luts(ours) < luts(theirs)


@pytest.mark.parametrize("patch", WINDOW_PATCHES, ids=lambda patch: patch.name)
def test_a_template_that_is_not_the_expected_one_is_refused(patch: Patch) -> None:
    text = stock(patch.file)
    for other in WINDOW_PATCHES:
        if other.file == patch.file and other is not patch:
            text = other.apply(text)
    with pytest.raises(BuildError, match=f"patch '{patch.name}' replaces is not there"):
        patch.apply(patch.apply(text))
