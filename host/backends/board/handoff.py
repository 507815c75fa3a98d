"""The hardware handoff (.hwh) beside a bit file: what clocks the programmable logic gets, and what is in it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bitswath.errors import BundleError

__all__ = ["Blocks", "EngineBlock", "Handoff", "Wizard", "read_blocks", "read_handoff"]

_MAX_BYTES = 64 << 20
_PROCESSORS = {
    "processing_system7": "PCW_ACT_FPGA{}_PERIPHERAL_FREQMHZ",
    "zynq_ultra_ps_e": "PSU__CRL_APB__PL{}_REF_CTRL__ACT_FREQMHZ",
}


@dataclass(frozen=True)
class Wizard:
    """A clocking wizard without registers: it makes `output_hz` of `input_hz`, and only of that."""

    input_hz: float
    output_hz: float


@dataclass(frozen=True)
class Handoff:
    """`clocks_hz`: of the processing system's clocks, by index. `wizard`: between clock 0 and the accelerator in
    FINN+'s block designs; None where the accelerator runs at clock 0."""

    clocks_hz: dict[int, float] = field(default_factory=dict)
    wizard: Wizard | None = None


@dataclass(frozen=True)
class EngineBlock:
    """A block with registers and a stream, such as a DMA engine. `stream_bytes`: of one word of its stream,
    `port_bits`: of its memory port, `address`: of its registers, `clock_hz`: of its stream; each None if not said."""

    stream_bytes: int | None = None
    port_bits: int | None = None
    address: int | None = None
    clock_hz: float | None = None


@dataclass(frozen=True)
class Blocks:
    """A block design. `name`, `part`, `board`, `vivado`, `made`: as the file has them, "" if it does not;
    `engines`: every instance by name. Two that are equal but for `made` are of one design."""

    name: str
    part: str
    board: str
    vivado: str
    made: str
    engines: Mapping[str, EngineBlock]


def read_handoff(path: Path) -> Handoff:
    """Raises `BundleError` if the file is missing or damaged."""
    return _read(path, _handoff)


def read_blocks(path: Path) -> Blocks:
    """Raises `BundleError` if the file is missing or damaged."""
    return _read(path, _blocks)


_What = TypeVar("_What")


def _read(path: Path, what: Callable[[ElementTree.Element], _What]) -> _What:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); copy it beside the bit file") from error
    if len(content) > _MAX_BYTES or b"<!DOCTYPE" in content or b"\0" in content:
        raise BundleError(f"{path}: is no hardware handoff file")
    try:
        return what(ElementTree.fromstring(content))
    except (ElementTree.ParseError, LookupError, ValueError, OverflowError) as error:
        raise BundleError(f"{path}: is no hardware handoff file ({error}); copy it again") from None


def _handoff(root: ElementTree.Element) -> Handoff:
    modules = [(module, _parameters(module)) for module in root.iter("MODULE")]
    return Handoff(_clocks(modules), _wizard(modules))


def _blocks(root: ElementTree.Element) -> Blocks:
    about = next(root.iter("SYSTEMINFO"), ElementTree.Element("SYSTEMINFO"))
    registers = {one.get("INSTANCE"): one for one in root.iter("MEMRANGE") if one.get("MEMTYPE") == "REGISTER"}
    engines = {}
    for module in root.iter("MODULE"):
        name = module.get("INSTANCE", "")
        engines[name] = _block(module, registers.get(name))
    return Blocks(
        name=about.get("NAME", ""),
        part="".join(about.get(name, "") for name in ("DEVICE", "PACKAGE", "SPEEDGRADE")),
        board=about.get("BOARD", ""),
        vivado=root.get("VIVADOVERSION", ""),
        made=root.get("TIMESTAMP", ""),
        engines=engines,
    )


def _block(module: ElementTree.Element, registers: ElementTree.Element | None) -> EngineBlock:
    stream, port = ElementTree.Element("none"), None
    for bus in module.iterfind("./BUSINTERFACES/BUSINTERFACE"):
        kind = bus.get("VLNV", "")
        if ":axis:" in kind:
            stream = bus
        elif ":aximm:" in kind and bus.get("TYPE") == "MASTER":
            port = bus.get("DATAWIDTH")
    said = {one.get("NAME", ""): one.get("VALUE", "") for one in stream.iterfind("./PARAMETER")}
    address = None if registers is None else registers.get("BASEVALUE")
    return EngineBlock(
        stream_bytes=int(said["TDATA_NUM_BYTES"]) if said.get("TDATA_NUM_BYTES") else None,
        port_bits=int(port) if port else None,
        address=int(address, 0) if address else None,
        clock_hz=float(said["FREQ_HZ"]) if said.get("FREQ_HZ") else None,
    )


_Modules = list[tuple[ElementTree.Element, dict[str, str]]]


def _parameters(module: ElementTree.Element) -> dict[str, str]:
    return {one.get("NAME", ""): one.get("VALUE", "") for one in module.iterfind("./PARAMETERS/PARAMETER")}


def _clocks(modules: _Modules) -> dict[int, float]:
    for module, parameters in modules:
        name = _PROCESSORS.get(module.get("MODTYPE", ""))
        if name is not None:
            rates = {i: parameters.get(name.format(i)) for i in range(4)}
            return {i: float(rate) * 1e6 for i, rate in rates.items() if rate}
    return {}


def _wizard(modules: _Modules) -> Wizard | None:
    for module, parameters in modules:
        if module.get("INSTANCE") == "clk_wiz_0":
            made = parameters.get("CLKOUT1_OUT_FREQ") or parameters.get("CLKOUT1_REQUESTED_OUT_FREQ")
            if made:
                return Wizard(float(parameters.get("PRIM_IN_FREQ") or 100.0) * 1e6, float(made) * 1e6)
    return None
