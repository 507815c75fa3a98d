"""The hardware handoff (.hwh) beside a bit file: what clocks the programmable logic gets."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from bitswath.errors import BundleError

__all__ = ["Handoff", "Wizard", "read_handoff"]

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


def read_handoff(path: Path) -> Handoff:
    """Raises `BundleError` if the file is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); copy it beside the bit file") from error
    if len(content) > _MAX_BYTES or b"<!DOCTYPE" in content:
        raise BundleError(f"{path}: is no hardware handoff file")
    try:
        root = ElementTree.fromstring(content)
        modules = [(module, _parameters(module)) for module in root.iter("MODULE")]
        return Handoff(_clocks(modules), _wizard(modules))
    except (ElementTree.ParseError, ValueError) as error:
        raise BundleError(f"{path}: is no hardware handoff file ({error}); copy it again") from None


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
