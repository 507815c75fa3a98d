"""The stand-in's commands of the IP packager; packager.py has what a component is and what is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.vivado import packager
from tests.vivado.catalog import Refused
from tests.vivado.words import one_of, options_of

__all__ = ["Packaging"]


class Packaging:
    """`core`: the component at hand; the rest is the session's."""

    core: packager.Component | None
    setup: Any
    current: Any

    @property
    def component(self) -> packager.Component:
        if self.core is None:
            raise Refused("no IP is being packaged")
        return self.core

    def tcl_ipx__package_project(self, *words: str) -> None:
        values = ("-root_dir", "-vendor", "-library", "-taxonomy", "-set_current")
        options, _ = options_of(words, flags=("-import_files",), values=values)
        top = self.current.properties.get("top", "")
        sources = [path for path in self.current.files if path.stem == top]
        if len(sources) != 1 or (options["-vendor"], options["-library"]) != ("bitswath", "kernel"):
            raise Refused(f"no one top {top!r} in the files")
        files = [str(path) for path in self.current.files]
        packager.elaborate(files, top)
        self.core = packager.Component(top, options["-root_dir"], files, packager.ports_of(sources[0]))
        if self.setup.infers:
            for name in ("ap_clk", "ap_rst_n", "s_axi_control", "m_axi_gmem"):
                kind = {"ap_clk": "signal:clock", "ap_rst_n": "signal:reset"}.get(name, "interface:aximm")
                if any(port == name or port.startswith(f"{name}_") for port in self.core.ports):
                    self.core.infer(name, f"xilinx.com:{kind}_rtl:1.0")
            if "s_axi_control" in self.core.buses:
                self.core.map = {"name": "s_axi_control", "block": "reg0", "registers": {}}

    def tcl_ipx__current_core(self) -> str:
        return f"core:{self.component.name}"

    def tcl_ipx__get_ports(self, *words: str) -> list[str]:
        _, (name,) = self._of(words, "core")
        return [name] if name in self.component.ports else []

    def tcl_ipx__get_bus_interfaces(self, *words: str) -> str:
        options, (name,) = self._of(words, "core")
        return self._found(name in self.component.buses, f"bus:{name}", options)

    def tcl_ipx__infer_bus_interface(self, name: str, kind: str, core: str) -> None:
        one_of(core, self.tcl_ipx__current_core())
        if name in self.component.buses:
            raise Refused(f"there is an interface {name} already")
        self.component.infer(name, kind)

    def tcl_ipx__get_bus_parameters(self, *words: str) -> str:
        options, (name,) = self._of(words, "bus")
        bus = options["-of_objects"].removeprefix("bus:")
        return self._found(name in self.component.buses[bus]["parameters"], f"bus_parameter:{bus}/{name}", options)

    def tcl_ipx__add_bus_parameter(self, name: str, bus: str) -> str:
        known = ("MAX_BURST_LENGTH", "SUPPORTS_NARROW_BURST", "NUM_READ_OUTSTANDING", "NUM_WRITE_OUTSTANDING")
        return f"bus_parameter:{bus.removeprefix('bus:')}/{one_of(name, *known, 'SENSITIVITY', 'FREQ_HZ')}"

    def tcl_ipx__associate_bus_interfaces(self, *words: str) -> None:
        options, _ = options_of(words, values=("-busif", "-clock", "-reset"))
        buses = self.component.buses
        clock = one_of(options["-clock"], *(name for name, bus in buses.items() if bus["kind"] == "clock_rtl"))
        if "-busif" in options:
            buses[one_of(options["-busif"], *buses)]["clock"] = clock
        else:
            resets = (name for name, bus in buses.items() if bus["kind"] == "reset_rtl")
            self.component.resets[clock] = one_of(options["-reset"], *resets)

    def tcl_ipx__get_memory_maps(self, *words: str) -> str:
        options, (name,) = self._of(words, "core")
        there = self.component.map is not None and self.component.map["name"] == name
        return self._found(there, f"map:{name}", options)

    def tcl_ipx__add_memory_map(self, name: str, core: str) -> str:
        one_of(core, self.tcl_ipx__current_core())
        self.component.map = {"name": name, "block": None, "registers": {}}
        return f"map:{name}"

    def tcl_ipx__get_address_blocks(self, *words: str) -> str:
        options, (name,) = self._of(words, "map")
        assert self.component.map is not None
        return self._found(self.component.map["block"] == name, f"block:{name}", options)

    def tcl_ipx__add_address_block(self, name: str, target: str) -> str:
        assert self.component.map is not None
        one_of(target, f"map:{self.component.map['name']}")
        self.component.map["block"] = name
        return f"block:{name}"

    def tcl_ipx__add_register(self, name: str, block: str) -> str:
        assert self.component.map is not None
        one_of(block, f"block:{self.component.map['block']}")
        self.component.map["registers"][name] = {}
        return f"register:{name}"

    def tcl_ipx__get_registers(self, *words: str) -> str:
        options, (name,) = self._of(words, "block")
        assert self.component.map is not None
        return self._found(name in self.component.map["registers"], f"register:{name}", options)

    def tcl_ipx__add_register_parameter(self, name: str, register: str) -> str:
        return f"register_parameter:{register.removeprefix('register:')}/{one_of(name, 'ASSOCIATED_BUSIF')}"

    def tcl_ipx__create_xgui_files(self, core: str) -> None:
        one_of(core, self.tcl_ipx__current_core())

    tcl_ipx__update_checksums = tcl_ipx__create_xgui_files

    def tcl_ipx__check_integrity(self, core: str) -> None:
        one_of(core, self.tcl_ipx__current_core())
        self.component.check()

    def tcl_ipx__save_core(self, core: str) -> None:
        one_of(core, self.tcl_ipx__current_core())
        packager.save(self.component)

    def tcl_package_xo(self, *words: str) -> None:
        values = ("-xo_path", "-kernel_name", "-ip_directory", "-ctrl_protocol")
        options, _ = options_of(words, flags=("-force",), values=values)
        component = packager.load(Path(options["-ip_directory"]))
        packager.package_xo(component, Path(options["-xo_path"]), options["-kernel_name"], options["-ctrl_protocol"])

    def _of(self, words: tuple[str, ...], kind: str) -> tuple[dict[str, str], list[str]]:
        options, rest = options_of(words, flags=("-quiet",), values=("-of_objects",))
        if options.get("-of_objects", "").partition(":")[0] != kind:
            raise Refused(f"expected -of_objects a {kind}, got {options.get('-of_objects')!r}")
        return options, rest

    @staticmethod
    def _found(there: bool, handle: str, options: dict[str, str]) -> str:
        if not there and "-quiet" not in options:
            raise Refused(f"no {handle}")
        return handle if there else ""

    def _set_of_core(self, kind: str, path: str, name: str, value: str) -> None:
        core, parts = self.component, path.split("/")
        if kind == "core":
            known = (
                "name",
                "version",
                "sdx_kernel",
                "sdx_kernel_type",
                "supported_families",
                "auto_family_support_level",
            )
            one_of(name, *known)
            core.kernel |= name == "sdx_kernel" and value == "true"
            if name in ("name", "version"):
                setattr(core, name, value)
        elif kind == "bus":
            if core.map is None:
                raise Refused("no memory map")
            core.buses[parts[0]]["map"] = one_of(value, core.map["name"])
            one_of(name, "slave_memory_map_ref")
        elif kind == "bus_parameter":
            core.buses[parts[0]]["parameters"][parts[1]] = value
            one_of(name, "value")
        elif kind == "block":
            assert core.map is not None
            core.map[one_of(name, "usage", "range", "width")] = value
        elif kind == "register":
            assert core.map is not None
            key = {"address_offset": "offset", "size": "size"}[one_of(name, "address_offset", "size")]
            core.map["registers"][parts[0]][key] = int(value, 0)
        else:
            assert core.map is not None
            core.map["registers"][parts[0]]["owner"] = value
