"""Folders as FINN and FINN+ left them through the years, all of one accelerator: 60 values of 4 bits in groups of
three, ten signed ones of 6 bits in groups of two."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["LAYOUTS", "TIMING", "bit", "hwh", "put", "settings"]

_SHAPES = {
    "ishape_normal": (1, 4, 5, 3),
    "oshape_normal": (1, 10),
    "ishape_folded": (1, 4, 5, 1, 3),
    "oshape_folded": (1, 5, 2),
    "ishape_packed": (1, 4, 5, 1, 2),
    "oshape_packed": (1, 5, 2),
}
_MAIN = """
if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument('--platform', help='Target platform', default="zynq-iodma")
    parser.add_argument('--bitfile', help='name of bitfile', default="resizer.bit")
    accel = FINNExampleOverlay(bitfile_name=bitfile, platform=platform, io_shape_dict=io_shape_dict{more})
"""
TIMING = """| Design       : top_wrapper

------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints  \
THS Total Endpoints     WPWS(ns)     TPWS(ns)  TPWS Failing Endpoints  TPWS Total Endpoints
    -------      -------  ---------------------  -------------------      -------      -------  ---------------------  \
-------------------     --------     --------  ----------------------  --------------------
     {slack}      -14.322            {late}                 109761        {hold}        0.000             {early}      \
             109761        3.750        0.000                       0                 52934


Timing constraints are {met}.

------------------------------------------------------------------------------------------------
| Clock Summary
| -------------
------------------------------------------------------------------------------------------------

Clock       Waveform(ns)       Period(ns)      Frequency(MHz)
-----       ------------       ----------      --------------
clk_fpga_0  {{0.000 2.500}}      5.000           200.000
"""


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def settings(**changes: Any) -> str:
    """FINN+ 1.4 and later; `changes` of io_shape_dict where it has such a key, else beside it."""
    shapes: dict[str, Any] = {name: [list(shape)] for name, shape in _SHAPES.items()}
    shapes |= {"idt": ["DataType['UINT4']"], "odt": ["DataType['INT6']"], "idma_names": ["idma0"]}
    shapes |= {"odma_names": ["odma0"], "num_inputs": 1, "num_outputs": 1, "number_of_external_weights": 0}
    told = {"driver_type": "FINNDMAOverlay", "platform": "zynq-iodma", "fclk_mhz": 200.0, "io_shape_dict": shapes}
    for name, value in changes.items():
        (shapes if name in shapes else told)[name] = value
    return json.dumps({"driver_information": told, "experiment_information": {}})


def _script() -> str:
    """FINN 0.2: a script with an AXI DMA."""
    lines = ["dma = ol.axi_dma_0", "idt = DataType.UINT4", "odt = DataType.INT6"]
    return "\n".join([*lines, *(f"{name} = {shape}" for name, shape in _SHAPES.items())])


def _call() -> str:
    """What people write themselves around FINN's base class."""
    pairs = ", ".join(f"{name}={shape}" for name, shape in _SHAPES.items())
    types = "idt=DataType['UINT4'], odt=DataType['INT6']"
    return f"platform = 'zynq-iodma'\nrun(io_shape_dict=dict({types}, {pairs}, other=f()), fclk_mhz=125)\n"


def _class(dma: str, fclk: str = "") -> str:
    """FINN 0.3 and 0.4: attributes of a class, N frames at once."""
    lines = [f"        self.{name} = {str(shape).replace('(1,', '(N,')}" for name, shape in _SHAPES.items()]
    head = 'class FINNAccelDriver():\n    def __init__(self, N, bitfile, platform="zynq-iodma"):\n        self.N = N\n'
    types = f"        self.idt = DataType.UINT4\n        self.odt = DataType.INT6\n{fclk}"
    return head + types + "\n".join(lines) + f"\n        self.dma = self.ol.{dma}\n"


def _dictionary(several: bool, types: str, more: str = "", entries: str = "") -> str:
    """FINN 0.5 and later."""
    kinds = (types.format("UINT4"), types.format("INT6"))
    values = {"idt": kinds[0], "odt": kinds[1], **{name: str(shape) for name, shape in _SHAPES.items()}}
    pairs = ",\n".join(f'    "{name}" : ' + (f"[{value}]" if several else value) for name, value in values.items())
    return (
        "import argparse\nfrom driver_base import FINNExampleOverlay\nraise SystemExit('this must not be run')\n"
        f"# the accelerator's ends\nio_shape_dict = {{\n    # NHWC\n{pairs},\n{entries}}}\n" + _MAIN.format(more=more)
    )


_DMAS = "\"input_dma_name\" : ['idma0'],\n\"output_dma_name\" : ['odma0'],\n"
_COUNTS = '"number_of_external_weights": 0,\n"num_inputs" : 1,\n"num_outputs" : 1,\n'


def _beside(driver: str, name: str = "driver.py") -> Callable[[Path], None]:
    """``driver/`` beside ``bitfile/``."""

    def write(folder: Path) -> None:
        put(folder / "driver" / name, driver)
        put(folder / "bitfile" / "finn-accel.bit", "bits")
        put(folder / "bitfile" / "finn-accel.hwh", hwh())

    return write


def _flat(driver: str) -> Callable[[Path], None]:
    """All in one folder, as FINN 0.4 copied it to a board."""

    def write(folder: Path) -> None:
        put(folder / "driver.py", driver)
        put(folder / "resizer.bit", "bits")
        put(folder / "resizer.hwh", hwh())

    return write


def _both(folder: Path) -> None:
    """FINN+ 1.1 to 1.3: settings.json has no shapes, or no more than a clock."""
    _beside(_dictionary(True, "DataType['{}']", entries=_DMAS + _COUNTS))(folder)
    put(folder / "driver" / "settings.json", json.dumps({"fclk_mhz": 150.0}))


def _generic(folder: Path) -> None:
    """FINN+ 1.4: a driver.py for all, which reads settings.json."""
    _beside(settings(), "settings.json")(folder)
    put(folder / "driver" / "driver.py", "self.io_shape_dict = io_shape_dict\nDriver(**settings, fclk_mhz=fclk_mhz)\n")


LAYOUTS: dict[str, tuple[Callable[[Path], None], float | None]] = {
    "finn 0.4": (_flat(_class("idma0", "        self.fclk_mhz = 100.0\n")), 100e6),
    "finn 0.5": (_flat(_dictionary(False, "DataType.{}")), None),
    "finn 0.6": (_beside(_dictionary(False, "DataType['{}']", entries="\"input_dma_name\" : 'idma0',\n")), None),
    "finn 0.8": (_beside(_dictionary(True, "DataType['{}']", entries=_DMAS + _COUNTS)), None),
    "finn dev": (
        _beside(
            _dictionary(True, 'DataType["{}"]', entries=_DMAS + _COUNTS + '"external_weights_input_shapes": {},\n')
        ),
        None,
    ),
    "clock in the call": (_beside(_dictionary(True, "DataType['{}']", more=", fclk_mhz=150.0", entries=_DMAS)), 150e6),
    "by hand": (_flat(_call()), 125e6),
    "finn-plus 1.2": (_both, 150e6),
    "finn-plus 1.4": (_generic, 200e6),
}
"""By name: what writes the folder, and the clock that the driver tells."""
AXI_DMA: dict[str, str] = {"finn 0.2": _script(), "finn 0.3": _class("axi_dma_0")}


def hwh(
    *,
    engines: dict[str, int] | None = None,
    made: str = "Sat Aug  1 20:20:57 2026",
    clock_hz: float | None = None,
    part: tuple[str, str] = ("7z020", "clg400"),
    vivado: str = "2022.2",
) -> str:
    """A handoff file as far as it is read; `engines`: bytes of a word of each one's stream."""
    modules = ""
    for i, (name, width) in enumerate(({"idma0": 2, "odma0": 2} if engines is None else engines).items()):
        said = {"TDATA_NUM_BYTES": width, **({"FREQ_HZ": int(clock_hz)} if clock_hz else {})}
        listed = "".join(f'<PARAMETER NAME="{key}" VALUE="{value}"/>' for key, value in said.items())
        modules += (
            f'<MODULE INSTANCE="{name}" MODTYPE="StreamingDataflowPartition_{i}"><BUSINTERFACES>'
            '<BUSINTERFACE NAME="m_axi_gmem0" TYPE="MASTER" DATAWIDTH="64" VLNV="xilinx.com:interface:aximm:1.0"/>'
            f'<BUSINTERFACE NAME="axis" TYPE="INITIATOR" VLNV="xilinx.com:interface:axis:1.0">{listed}</BUSINTERFACE>'
            f'</BUSINTERFACES></MODULE><MEMRANGE INSTANCE="{name}" MEMTYPE="REGISTER" BASEVALUE="0x4000{i}000"/>'
        )
    return (
        f'<EDKSYSTEM EDWVERSION="1.2" TIMESTAMP="{made}" VIVADOVERSION="{vivado}"><SYSTEMINFO ARCH="zynq" '
        f'BOARD="maker:board:1.0" DEVICE="{part[0]}" PACKAGE="{part[1]}" SPEEDGRADE="-1" NAME="top"/>'
        f"<MODULES>{modules}</MODULES></EDKSYSTEM>\n"
    )


def bit(version: str = "2022.2", part: str = "7z020clg400", date: str = "2026/08/01", time: str = "20:40:11") -> bytes:
    """The beginning of a .bit file, as its format is described by those who read it (for instance pynq)."""
    fields = (f"top_wrapper;UserID=0XFFFFFFFF;Version={version}", part, date, time)
    content = struct.pack(">H9sH", 9, bytes.fromhex("0ff00ff00ff00ff000"), 1)
    for key, text in zip(b"abcd", fields):
        content += struct.pack(">cH", bytes([key]), len(text) + 1) + text.encode() + b"\0"
    return content + struct.pack(">cI", b"e", 4) + b"\xff" * 4
