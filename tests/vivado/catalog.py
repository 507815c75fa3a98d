"""What the stand-in for Vivado knows of its IPs: parameters, pins, interfaces, address segments, and of its versions.

From the product guides PG021, PG059, PG082, PG099, PG164, PG201, PG247, and block designs that Vivado wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["BOARDS", "PARTS", "VERSIONS", "Cell", "Definition", "Interface", "Pin", "Refused", "definitions"]

VERSIONS = ("2022.2", "2023.1", "2023.2", "2024.1", "2024.2", "2025.1", "2025.2")
PARTS = (
    *("xc7z020clg400-1", "xczu3eg-sfvc784-2-e", "xck26-sfvc784-2LV-c", "xczu7ev-ffvc1156-2-e"),
    *("xcu250-figd2104-2L-e", "xcu55c-fsvh2892-2L-e"),
)
BOARDS = (
    *("tul.com.tw:pynq-z2:part0:1.0", "realdigital.org:aup-zu3-8gb:part0:1.0"),
    *("xilinx.com:kv260_som:part0:1.3", "xilinx.com:kv260_som:part0:1.4", "xilinx.com:zcu104:part0:1.1"),
)


class Refused(Exception):  # noqa: N818  it is no error of the stand-in
    """What Vivado would answer with an error."""


@dataclass(frozen=True)
class Pin:
    """`kind`: what it carries; `optional`: it may stay open."""

    direction: Literal["I", "O"]
    width: int = 1
    kind: Literal["clk", "rst", "intr", "data"] = "data"
    optional: bool = False


@dataclass(frozen=True)
class Interface:
    """`width`: bits of its data, None for any; `clock`: the pin that it runs on; `first`, `last`: addresses that its
    masters' side can reach, None for all."""

    mode: Literal["master", "slave"]
    kind: Literal["aximm", "axis"]
    clock: str
    width: int | None = None
    address_bits: int = 64
    window: tuple[int, int] | None = None
    optional: bool = False


@dataclass
class Cell:
    """An instance; its pins and interfaces follow from its parameters."""

    name: str
    definition: Definition
    parameters: dict[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        return self.parameters.get(name, str(self.definition.parameters[name][0]))

    @property
    def pins(self) -> dict[str, Pin]:
        return self.definition.pins(self)

    @property
    def interfaces(self) -> dict[str, Interface]:
        return self.definition.interfaces(self)


Allowed = Callable[[str], bool] | tuple[str, ...]


@dataclass(frozen=True)
class Definition:
    """`segments`: by slave interface, name and size (None: any) of its address segments."""

    vlnv: str
    parameters: Mapping[str, tuple[object, Allowed]]
    pins: Callable[[Cell], dict[str, Pin]]
    interfaces: Callable[[Cell], dict[str, Interface]]
    segments: Callable[[Cell], dict[str, dict[str, tuple[int | None, int | None]]]] = lambda cell: {}

    @property
    def name(self) -> str:
        return self.vlnv.split(":")[2]


def number(low: float, high: float) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            return low <= float(value) <= high
        except ValueError:
            return False

    return check


_BIT = ("0", "1")
CLOCK, RESET = Pin("I", kind="clk"), Pin("I", kind="rst")


def _smartconnect_buses(cell: Cell) -> dict[str, Interface]:
    slaves = {f"S{i:02}_AXI": Interface("slave", "aximm", "aclk") for i in range(int(cell.value("NUM_SI")))}
    masters = {f"M{i:02}_AXI": Interface("master", "aximm", "aclk") for i in range(int(cell.value("NUM_MI")))}
    return slaves | masters


SMARTCONNECT = Definition(
    "xilinx.com:ip:smartconnect:1.0",
    {"NUM_SI": (1, number(1, 16)), "NUM_MI": (1, number(1, 16)), "NUM_CLKS": (1, number(1, 9))},
    lambda cell: {"aclk": CLOCK, "aresetn": RESET},
    _smartconnect_buses,
)
RESETS = Definition(
    "xilinx.com:ip:proc_sys_reset:5.0",
    {"C_EXT_RST_WIDTH": (4, number(1, 16))},
    lambda cell: {
        "slowest_sync_clk": CLOCK,
        "ext_reset_in": RESET,
        "aux_reset_in": Pin("I", kind="rst", optional=True),
        "mb_debug_sys_rst": Pin("I", kind="rst", optional=True),
        "dcm_locked": Pin("I", optional=True),
        "mb_reset": Pin("O", kind="rst"),
        **{f"{name}": Pin("O", kind="rst") for name in ("bus_struct_reset", "peripheral_reset")},
        **{f"{name}": Pin("O", kind="rst") for name in ("interconnect_aresetn", "peripheral_aresetn")},
    },
    lambda cell: {},
)
CONTROLLER = Definition(
    "xilinx.com:ip:axi_intc:4.1",
    {"C_IRQ_CONNECTION": (0, _BIT), "C_ASYNC_INTR": ("0xFFFFFFFF", number(0, 0)), "C_HAS_FAST": (0, _BIT)},
    lambda cell: {
        "s_axi_aclk": CLOCK,
        "s_axi_aresetn": RESET,
        "intr": Pin("I", 32, "intr"),  # as wide as what comes, up to 32
        **({"irq": Pin("O", kind="intr")} if cell.value("C_IRQ_CONNECTION") == "1" else {}),
    },
    lambda cell: {"s_axi": Interface("slave", "aximm", "s_axi_aclk", 32, 9)},
    lambda cell: {"s_axi": {"S_AXI/Reg": (None, None)}},
)


def _ps7_pins(cell: Cell) -> dict[str, Pin]:
    pins = {}
    if cell.value("PCW_EN_CLK0_PORT") == "1":
        pins["FCLK_CLK0"] = Pin("O", kind="clk")
    if cell.value("PCW_EN_RST0_PORT") == "1":
        pins["FCLK_RESET0_N"] = Pin("O", kind="rst")
    if cell.value("PCW_USE_FABRIC_INTERRUPT") == cell.value("PCW_IRQ_F2P_INTR") == "1":
        pins["IRQ_F2P"] = Pin("I", kind="intr")
    return pins | {interface.clock: CLOCK for interface in _ps7_buses(cell).values()}


def _ps7_buses(cell: Cell) -> dict[str, Interface]:
    buses = {}
    for i, window in enumerate(((0x4000_0000, 0x7FFF_FFFF), (0x8000_0000, 0xBFFF_FFFF))):
        if cell.value(f"PCW_USE_M_AXI_GP{i}") == "1":
            buses[f"M_AXI_GP{i}"] = Interface("master", "aximm", f"M_AXI_GP{i}_ACLK", 32, 32, window)
    if cell.value("PCW_USE_S_AXI_HP0") == "1":
        width = int(cell.value("PCW_S_AXI_HP0_DATA_WIDTH"))
        buses["S_AXI_HP0"] = Interface("slave", "aximm", "S_AXI_HP0_ACLK", width, 32)
    return buses


PS7 = Definition(
    "xilinx.com:ip:processing_system7:5.5",
    {
        "PCW_CRYSTAL_PERIPHERAL_FREQMHZ": (33.333333, number(30, 60)),
        "PCW_FPGA0_PERIPHERAL_FREQMHZ": (50, number(0.1, 250)),
        "PCW_EN_CLK0_PORT": (0, _BIT),
        "PCW_EN_RST0_PORT": (0, _BIT),
        "PCW_USE_M_AXI_GP0": (0, _BIT),
        "PCW_USE_M_AXI_GP1": (0, _BIT),
        "PCW_USE_S_AXI_HP0": (0, _BIT),
        "PCW_S_AXI_HP0_DATA_WIDTH": (64, ("32", "64")),
        "PCW_USE_FABRIC_INTERRUPT": (0, _BIT),
        "PCW_IRQ_F2P_INTR": (0, _BIT),
    },
    _ps7_pins,
    _ps7_buses,
    lambda cell: {"S_AXI_HP0": {"S_AXI_HP0/HP0_DDR_LOWOCM": (0, 0x2000_0000)}},
)


def _psu_pins(cell: Cell) -> dict[str, Pin]:
    pins = {"pl_resetn0": Pin("O", kind="rst")}
    if cell.value("PSU__FPGA_PL0_ENABLE") == "1":
        pins["pl_clk0"] = Pin("O", kind="clk")
    if cell.value("PSU__USE__IRQ0") == "1":
        pins["pl_ps_irq0"] = Pin("I", kind="intr")
    return pins | {interface.clock: CLOCK for interface in _psu_buses(cell).values()}


def _psu_buses(cell: Cell) -> dict[str, Interface]:
    masters = (
        ("M_AXI_HPM0_FPD", "maxihpm0_fpd_aclk", (0xA000_0000, 0xAFFF_FFFF)),
        ("M_AXI_HPM1_FPD", "maxihpm1_fpd_aclk", (0xB000_0000, 0xBFFF_FFFF)),
        ("M_AXI_HPM0_LPD", "maxihpm0_lpd_aclk", (0x8000_0000, 0x9FFF_FFFF)),
    )
    buses = {
        name: Interface("master", "aximm", clock, int(cell.value(f"PSU__MAXIGP{i}__DATA_WIDTH")), 40, window)
        for i, (name, clock, window) in enumerate(masters)
        if cell.value(f"PSU__USE__M_AXI_GP{i}") == "1"
    }
    if cell.value("PSU__USE__S_AXI_GP2") == "1":
        width = int(cell.value("PSU__SAXIGP2__DATA_WIDTH"))
        buses["S_AXI_HP0_FPD"] = Interface("slave", "aximm", "saxihp0_fpd_aclk", width, 49)
    return buses


def psu(version: str) -> Definition:
    """Its presets leave two masters on, as those of some boards do."""
    return Definition(
        f"xilinx.com:ip:zynq_ultra_ps_e:{version}",
        {
            "PSU__FPGA_PL0_ENABLE": (1, _BIT),
            "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": (100, number(1, 400)),
            "PSU__OVERRIDE__BASIC_CLOCK": (0, _BIT),
            **{f"PSU__USE__M_AXI_GP{i}": (int(i != 1), _BIT) for i in range(3)},
            **{f"PSU__MAXIGP{i}__DATA_WIDTH": (128 if i < 2 else 32, ("32", "64", "128")) for i in range(3)},
            "PSU__USE__S_AXI_GP2": (0, _BIT),
            "PSU__SAXIGP2__DATA_WIDTH": (128, ("32", "64", "128")),
            "PSU__USE__IRQ0": (0, _BIT),
        },
        _psu_pins,
        _psu_buses,
        lambda cell: {
            "S_AXI_HP0_FPD": {
                "SAXIGP2/HP0_DDR_LOW": (0, 0x8000_0000),
                "SAXIGP2/HP0_DDR_HIGH": (0x8_0000_0000, 0x8_0000_0000),
                "SAXIGP2/HP0_QSPI": (0xC000_0000, 0x2000_0000),
            }
        },
    )


def definitions(version: str) -> dict[str, Definition]:
    """By VLNV, in the versions of that Vivado."""
    listed = [SMARTCONNECT, RESETS, CONTROLLER, PS7, psu("3.4" if version < "2023.1" else "3.5")]
    return {one.vlnv: one for one in listed}
