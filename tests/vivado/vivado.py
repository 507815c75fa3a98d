"""A strict stand-in for Vivado: the commands that our scripts use, over a real Tcl interpreter.

Every command checks its options and what it is given; any other command is unknown to Tcl. It makes what Vivado makes:
packaged IPs, a validated block design with its hand-off file, reports in Vivado's form, a placeholder for a bit file.
"""

from __future__ import annotations

import json
import os
import sys
import tkinter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitswath.builds.report import Counts
from tests.vivado import packager, reports
from tests.vivado.blocks import BlockDesign
from tests.vivado.catalog import BOARDS, PARTS, Definition, Refused, definitions
from tests.vivado.handoff import handoff

__all__ = ["Setup", "StandIn", "run_script"]


@dataclass
class Setup:
    """What this Vivado is like. `boards`: whose files it has; `slack`: of what it routes; `fails`: a run that fails."""

    version: str = "2023.2"
    parts: tuple[str, ...] = PARTS
    boards: tuple[str, ...] = BOARDS
    slack: float = 0.214
    fails: str = ""
    infers: bool = True
    """Whether packaging finds interfaces by itself."""

    @staticmethod
    def of_environment() -> Setup:
        return Setup(**json.loads(os.environ.get("STAND_IN", "{}")))


@dataclass
class _Project:
    name: str
    folder: Path
    part: str
    files: list[Path] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    runs: dict[str, dict[str, str]] = field(default_factory=dict)


class StandIn:
    """One session."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.tcl = tkinter.Tcl()
        self.project: _Project | None = None
        self.catalog: dict[str, Definition] = dict(definitions(setup.version))
        self.params = {"board.repoPaths": ""}
        self.design: BlockDesign | None = None
        self.core: packager.Component | None = None
        self.routed = False
        self.refusal: Refused | None = None
        self.activity: Path | None = None
        for name in dir(self):
            if name.startswith("tcl_"):
                self._register(name.removeprefix("tcl_").replace("__", "::"), getattr(self, name))

    def _register(self, name: str, command: Callable[..., Any]) -> None:
        if "::" in name:
            self.tcl.eval(f"namespace eval {name.rpartition('::')[0]} {{}}")

        def called(*arguments: str) -> str:
            try:
                result = command(*arguments)
            except (Refused, TypeError, KeyError, ValueError, AssertionError) as error:
                self.refusal = error if isinstance(error, Refused) else Refused(f"{name}: {error!r}")
                raise  # Tcl is told that it failed, not why
            return "" if result is None else _listed(result)

        self.tcl.createcommand(name, called)

    def _words(self, text: str) -> list[str]:
        return [str(word) for word in self.tcl.splitlist(text)]

    @property
    def current(self) -> _Project:
        if self.project is None:
            raise Refused("no project is open")
        return self.project

    @property
    def blocks(self) -> BlockDesign:
        if self.design is None:
            raise Refused("no block design is open")
        return self.design

    @property
    def component(self) -> packager.Component:
        if self.core is None:
            raise Refused("no IP is being packaged")
        return self.core

    # ---- projects

    def tcl_version(self, option: str) -> str:
        _known(option, "-short")
        return self.setup.version

    def tcl_get_parts(self, *words: str) -> list[str]:
        _, (pattern,) = _options(words, flags=("-quiet",))
        return [part for part in self.setup.parts if part == pattern]

    def tcl_get_board_parts(self, *words: str) -> list[str]:
        _, (pattern,) = _options(words, flags=("-quiet", "-latest_file_version"))
        found = [board for board in self.setup.boards if board.startswith(pattern.removesuffix("*"))]
        return found[-1:]

    def tcl_get_param(self, name: str) -> str:
        return self.params[_known(name, *self.params)]

    def tcl_set_param(self, name: str, value: str) -> None:
        self.params[_known(name, *self.params)] = value

    def tcl_create_project(self, *words: str) -> str:
        options, places = _options(words, flags=("-force", "-in_memory"), values=("-part",))
        if options["-part"] not in self.setup.parts:
            raise Refused(f"no part {options['-part']}")
        name, folder = places if places else ("memory", ".")
        if self.project is not None:
            raise Refused(f"project {self.project.name} is open")
        self.project = _Project(name, Path(folder), options["-part"])
        if places:
            Path(folder).mkdir(parents=True, exist_ok=True)
        return name

    def tcl_open_project(self, path: str) -> None:
        if not Path(path).is_file():
            raise Refused(f"no project {path}")
        self.project = _Project(Path(path).stem, Path(path).parent, json.loads(Path(path).read_text())["part"])

    def tcl_close_project(self) -> None:
        self.current.name  # noqa: B018
        self.project = self.design = self.core = None

    def tcl_current_project(self) -> str:
        return f"project:{self.current.name}"

    def tcl_current_fileset(self) -> str:
        return f"fileset:{self.current.name}"

    def tcl_add_files(self, *words: str) -> None:
        _, (listed,) = _options(words, flags=("-norecurse",))
        for path in map(Path, self._words(listed)):
            if not path.is_file():
                raise Refused(f"no file {path}")
            self.current.files.append(path)

    def tcl_update_compile_order(self, *words: str) -> None:
        options, _ = _options(words, values=("-fileset",))
        _known(options["-fileset"], "sources_1")

    def tcl_update_ip_catalog(self) -> None:
        for path in self._words(self.current.properties.get("ip_repo_paths", "")):
            for folder in sorted(Path(path).iterdir()):
                if folder.is_dir():
                    definition = packager.definition_of(packager.load(folder))
                    self.catalog[definition.vlnv] = definition

    def tcl_get_files(self, name: str) -> str:
        return f"file:{_known(name, f'{self.blocks.name}.bd')}"

    # ---- properties

    def tcl_set_property(self, *words: str) -> None:
        if words[0] == "-dict":
            pairs = self._words(words[1])
            for name, value in zip(pairs[::2], pairs[1::2]):
                self._set(name, value, words[2])
        else:
            name, value, target = words
            self._set(name, value, target)

    def _set(self, name: str, value: str, target: str) -> None:
        kind, _, rest = target.partition(":")
        if name.startswith("CONFIG."):
            return self.blocks.configure(target, name.removeprefix("CONFIG."), value)
        if kind == "project":
            self.current.properties[_known(name, "board_part", "ip_repo_paths")] = value
            if name == "board_part" and value not in self.setup.boards:
                raise Refused(f"no board {value}")
        elif kind == "fileset":
            self.current.properties[_known(name, "top")] = value
        elif kind == "file":
            _known(value, "None", "Hierarchical", "Singular")
            _known(name, "synth_checkpoint_mode")
        elif kind == "run":
            _known(value, "Performance_ExplorePostRoutePhysOpt", "Performance_Explore")
            self.current.runs[rest][_known(name, "strategy")] = value
        elif kind in ("core", "bus", "bus_parameter", "map", "block", "register", "register_parameter"):
            self._set_of_core(kind, rest, name, value)
        else:
            raise Refused(f"no object {target!r} to set {name} of")
        return None

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
            _known(name, *known)
            core.kernel |= name == "sdx_kernel" and value == "true"
            if name in ("name", "version"):
                setattr(core, name, value)
        elif kind == "bus":
            if core.map is None:
                raise Refused("no memory map")
            core.buses[parts[0]]["map"] = _known(value, core.map["name"])
            _known(name, "slave_memory_map_ref")
        elif kind == "bus_parameter":
            core.buses[parts[0]]["parameters"][parts[1]] = value
            _known(name, "value")
        elif kind == "block":
            assert core.map is not None
            core.map[_known(name, "usage", "range", "width")] = value
        elif kind == "register":
            assert core.map is not None
            key = {"address_offset": "offset", "size": "size"}[_known(name, "address_offset", "size")]
            core.map["registers"][parts[0]][key] = int(value, 0)
        else:
            assert core.map is not None
            core.map["registers"][parts[0]]["owner"] = value

    def tcl_get_property(self, name: str, target: str) -> Any:
        if name == "VLNV":
            return [_known(one, *self.catalog) for one in self._words(target)]
        if name in ("PROGRESS", "STATUS"):
            return self.current.runs[target.removeprefix("run:")][name]
        if name == "CONFIG.FREQ_HZ":
            return f"{self.blocks.clock_hz(target):.0f}"
        if name == "NAME" and target.startswith("netlist:"):
            return target.removeprefix("netlist:")
        raise Refused(f"no property {name} of {target}")

    # ---- packaging

    def tcl_ipx__package_project(self, *words: str) -> None:
        values = ("-root_dir", "-vendor", "-library", "-taxonomy", "-set_current")
        options, _ = _options(words, flags=("-import_files",), values=values)
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
        _known(core, self.tcl_ipx__current_core())
        if name in self.component.buses:
            raise Refused(f"there is an interface {name} already")
        self.component.infer(name, kind)

    def tcl_ipx__get_bus_parameters(self, *words: str) -> str:
        options, (name,) = self._of(words, "bus")
        bus = options["-of_objects"].removeprefix("bus:")
        return self._found(name in self.component.buses[bus]["parameters"], f"bus_parameter:{bus}/{name}", options)

    def tcl_ipx__add_bus_parameter(self, name: str, bus: str) -> str:
        known = ("MAX_BURST_LENGTH", "SUPPORTS_NARROW_BURST", "NUM_READ_OUTSTANDING", "NUM_WRITE_OUTSTANDING")
        return f"bus_parameter:{bus.removeprefix('bus:')}/{_known(name, *known, 'SENSITIVITY', 'FREQ_HZ')}"

    def tcl_ipx__associate_bus_interfaces(self, *words: str) -> None:
        options, _ = _options(words, values=("-busif", "-clock", "-reset"))
        buses = self.component.buses
        clock = _known(options["-clock"], *(name for name, bus in buses.items() if bus["kind"] == "clock_rtl"))
        if "-busif" in options:
            buses[_known(options["-busif"], *buses)]["clock"] = clock
        else:
            resets = (name for name, bus in buses.items() if bus["kind"] == "reset_rtl")
            self.component.resets[clock] = _known(options["-reset"], *resets)

    def tcl_ipx__get_memory_maps(self, *words: str) -> str:
        options, (name,) = self._of(words, "core")
        there = self.component.map is not None and self.component.map["name"] == name
        return self._found(there, f"map:{name}", options)

    def tcl_ipx__add_memory_map(self, name: str, core: str) -> str:
        _known(core, self.tcl_ipx__current_core())
        self.component.map = {"name": name, "block": None, "registers": {}}
        return f"map:{name}"

    def tcl_ipx__get_address_blocks(self, *words: str) -> str:
        options, (name,) = self._of(words, "map")
        assert self.component.map is not None
        return self._found(self.component.map["block"] == name, f"block:{name}", options)

    def tcl_ipx__add_address_block(self, name: str, target: str) -> str:
        assert self.component.map is not None
        _known(target, f"map:{self.component.map['name']}")
        self.component.map["block"] = name
        return f"block:{name}"

    def tcl_ipx__add_register(self, name: str, block: str) -> str:
        assert self.component.map is not None
        _known(block, f"block:{self.component.map['block']}")
        self.component.map["registers"][name] = {}
        return f"register:{name}"

    def tcl_ipx__get_registers(self, *words: str) -> str:
        options, (name,) = self._of(words, "block")
        assert self.component.map is not None
        return self._found(name in self.component.map["registers"], f"register:{name}", options)

    def tcl_ipx__add_register_parameter(self, name: str, register: str) -> str:
        return f"register_parameter:{register.removeprefix('register:')}/{_known(name, 'ASSOCIATED_BUSIF')}"

    def tcl_ipx__create_xgui_files(self, core: str) -> None:
        _known(core, self.tcl_ipx__current_core())

    tcl_ipx__update_checksums = tcl_ipx__create_xgui_files

    def tcl_ipx__check_integrity(self, core: str) -> None:
        _known(core, self.tcl_ipx__current_core())
        self.component.check()

    def tcl_ipx__save_core(self, core: str) -> None:
        _known(core, self.tcl_ipx__current_core())
        packager.save(self.component)

    def tcl_package_xo(self, *words: str) -> None:
        values = ("-xo_path", "-kernel_name", "-ip_directory", "-ctrl_protocol")
        options, _ = _options(words, flags=("-force",), values=values)
        component = packager.load(Path(options["-ip_directory"]))
        packager.package_xo(component, Path(options["-xo_path"]), options["-kernel_name"], options["-ctrl_protocol"])

    def _of(self, words: tuple[str, ...], kind: str) -> tuple[dict[str, str], list[str]]:
        options, rest = _options(words, flags=("-quiet",), values=("-of_objects",))
        if options.get("-of_objects", "").partition(":")[0] != kind:
            raise Refused(f"expected -of_objects a {kind}, got {options.get('-of_objects')!r}")
        return options, rest

    @staticmethod
    def _found(there: bool, handle: str, options: dict[str, str]) -> str:
        if not there and "-quiet" not in options:
            raise Refused(f"no {handle}")
        return handle if there else ""

    # ---- block design: blocks.py has what is checked

    def tcl_get_ipdefs(self, *words: str) -> list[str]:
        options, _ = _options(words, flags=("-quiet", "-all"), values=("-filter",))
        wanted = dict(part.split(" == ") for part in options["-filter"].split(" && "))
        fields = ("VENDOR", "LIBRARY", "NAME", "VERSION")
        for name in wanted:
            _known(name, *fields)
        found = [vlnv for vlnv in self.catalog if wanted.items() <= dict(zip(fields, vlnv.split(":"))).items()]
        return [vlnv for vlnv in found if ":inline_hdl:" not in vlnv]

    def tcl_create_bd_design(self, name: str) -> None:
        self.design = BlockDesign(name)

    def tcl_create_bd_cell(self, *words: str) -> str:
        options, (name,) = _options(words, values=("-type", "-vlnv"))
        inline = ":inline_hdl:" in options["-vlnv"]
        _known(options["-type"], "inline_hdl" if inline else "ip")
        self.blocks.add(name, self.catalog[_known(options["-vlnv"], *self.catalog)])
        return name

    def tcl_get_bd_cells(self, name: str) -> str:
        return self.blocks.cell(name).name

    def tcl_get_bd_pins(self, path: str) -> str:
        self.blocks.pin(path)
        return path

    def tcl_get_bd_intf_pins(self, path: str) -> str:
        self.blocks.interface(path)
        return path

    def tcl_get_bd_addr_spaces(self, name: str) -> str:
        return _known(name, *self.blocks.spaces())

    def tcl_get_bd_addr_segs(self, name: str) -> str:
        return _known(name, *self.blocks.slaves())

    def tcl_apply_bd_automation(self, *words: str) -> None:
        options, (cell,) = _options(words, values=("-rule", "-config"))
        kind = self.blocks.cell(cell).definition.name
        _known(options["-rule"], f"xilinx.com:bd_rule:{kind}")
        pairs = self._words(options["-config"])
        known = ["apply_board_preset", *(["make_external", "Master", "Slave"] if kind == "processing_system7" else [])]
        config = {_known(name, *known): value for name, value in zip(pairs[::2], pairs[1::2])}
        if set(config) != set(known):
            raise Refused(f"expected {known} of the processor's rule, got {sorted(config)}")
        if config["apply_board_preset"] == "1" and "board_part" not in self.current.properties:
            raise Refused("no board whose preset could be applied")

    def tcl_connect_bd_net(self, *paths: str) -> None:
        self.blocks.connect(*paths)

    def tcl_connect_bd_intf_net(self, first: str, second: str) -> None:
        self.blocks.join(first, second)

    def tcl_assign_bd_address(self, *words: str) -> None:
        options, segments = _options(words, values=("-target_address_space", "-offset", "-range"))
        if not segments:
            return self.blocks.assign_rest()
        size = options["-range"]
        scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1], 1)
        number = int(size.rstrip("KMG"), 0) * scale
        return self.blocks.assign(options["-target_address_space"], segments[0], int(options["-offset"], 0), number)

    def tcl_validate_bd_design(self) -> None:
        self.blocks.validate()

    def tcl_save_bd_design(self) -> None:
        self.blocks.name  # noqa: B018

    def tcl_make_wrapper(self, *words: str) -> str:
        options, _ = _options(words, flags=("-top",), values=("-files",))
        if not self.blocks.valid:
            raise Refused("the block design was not validated")
        _known(options["-files"], f"file:{self.blocks.name}.bd")
        path = self.current.folder / f"{self.blocks.name}_wrapper.v"
        path.write_text("")
        return str(path.absolute())

    def tcl_generate_target(self, what: str, target: str) -> None:
        _known(what, "all", "synthesis")
        _known(target, f"file:{self.blocks.name}.bd")
        folder = self.current.folder / f"{self.current.name}.gen/sources_1/bd/{self.blocks.name}/hw_handoff"
        folder.mkdir(parents=True)
        board = self.current.properties.get("board_part", "")
        text = handoff(self.blocks, self.current.part, board, self.setup.version)
        (folder / f"{self.blocks.name}.hwh").write_text(text)

    # ---- runs

    def tcl_get_runs(self, name: str) -> str:
        self.current.runs.setdefault(_known(name, "synth_1", "impl_1"), {"PROGRESS": "0%", "STATUS": "Not started"})
        return f"run:{name}"

    def tcl_launch_runs(self, *words: str) -> None:
        options, (name,) = _options(words, values=("-jobs", "-to_step"))
        self.tcl_get_runs(name)
        if name == "impl_1":
            if self.current.runs.get("synth_1", {}).get("PROGRESS") != "100%":
                raise Refused("impl_1 needs synth_1")
            _known(options.get("-to_step", ""), "write_bitstream")
        if self.current.properties.get("top") != f"{self.blocks.name}_wrapper":
            raise Refused("the wrapper is not the top")
        good = self.setup.fails != name
        status = "write_bitstream Complete!" if good else "route_design ERROR"
        self.current.runs[name] |= {"PROGRESS": "100%" if good else "62%", "STATUS": status}
        if good and name == "impl_1":
            folder = self.current.folder / f"{self.current.name}.runs/impl_1"
            folder.mkdir(parents=True)
            (folder / f"{self.blocks.name}_wrapper.bit").write_bytes(b"stand-in bitstream " + self.blocks.name.encode())

    def tcl_wait_on_run(self, name: str) -> None:
        _known(name, *self.current.runs)

    def tcl_open_run(self, name: str) -> None:
        _known(name, "impl_1")
        self.routed = True

    def tcl_synth_design(self, *words: str) -> None:
        options, _ = _options(words, values=("-top", "-part", "-mode"))
        _known(options["-mode"], "out_of_context")
        packager.elaborate([str(path) for path in self.current.files], options["-top"])
        self.current.properties["synthesized"] = options["-top"]

    def tcl_get_ports(self, name: str) -> str:
        return _known(name, "ap_clk")

    def tcl_create_clock(self, *words: str) -> None:
        options, _ = _options(words, values=("-name", "-period"))
        self.current.properties["period"] = options["-period"]

    def tcl_opt_design(self) -> None:
        if "period" not in self.current.properties or "synthesized" not in self.current.properties:
            raise Refused("nothing synthesized, or no clock")

    tcl_place_design = tcl_phys_opt_design = tcl_opt_design

    def tcl_route_design(self) -> None:
        self.tcl_opt_design()
        self.routed = True

    # ---- reports

    def tcl_get_cells(self, *words: str) -> list[str]:
        options, _ = _options(words, flags=("-quiet", "-hierarchical"), values=("-filter",))
        _known(options["-filter"], "REF_NAME == accelerator || ORIG_REF_NAME == accelerator")
        if self.design is None:
            return ["netlist:core"]
        cells = [name for name in self.blocks.cells if name.startswith("dataflow")]
        return [f"netlist:{self.blocks.name}_i/{name}/inst/core" for name in cells]

    def tcl_read_saif(self, *words: str) -> None:
        options, (path,) = _options(words, values=("-strip_path",))
        text = Path(path).read_text()
        if text.count("(") != text.count(")") or f"(INSTANCE {options['-strip_path']}" not in text:
            raise Refused(f"{path}: is no SAIF file with an instance {options['-strip_path']}")
        self.activity = Path(path)

    def _report(self, words: tuple[str, ...], text: str, **options: Any) -> None:
        found, _ = _options(words, values=("-file", *options.get("values", ())), flags=options.get("flags", ()))
        if not self.routed:
            raise Refused("no routed design is open")
        Path(found["-file"]).write_text(text)

    def tcl_report_utilization(self, *words: str) -> None:
        family = "7series" if self.current.part.startswith("xc7") else "ultrascale+"
        counts = Counts(lut=26338, lutram=3368, ff=44974, bram36=80.5, dsp=12)
        text = reports.utilization(counts, family, version=self.setup.version)
        self._report(words, text, flags=("-hierarchical",))

    def tcl_report_timing_summary(self, *words: str) -> None:
        slack = self.setup.slack
        text = reports.timing(slack, 0.031, 10.0, failing=8 if slack < 0 else 0, version=self.setup.version)
        self._report(words, text, values=("-max_paths",))

    def tcl_report_power(self, *words: str) -> None:
        confidence = "High" if self.activity else "Low"
        self._report(words, reports.power(1.715, 1.572, confidence, version=self.setup.version))


def _listed(result: Any) -> str:
    if isinstance(result, (list, tuple)):
        return " ".join(f"{{{word}}}" for word in result)
    return str(result)


def _known(value: str, *known: str) -> str:
    if value not in known:
        raise Refused(f"expected one of {', '.join(map(str, known)) or 'nothing'}, got {value!r}")
    return value


def _options(
    words: tuple[str, ...], flags: tuple[str, ...] = (), values: tuple[str, ...] = ()
) -> tuple[dict[str, str], list[str]]:
    """Options by name, and what is none. Raises `Refused` for an option that the command has not."""
    options: dict[str, str] = {}
    rest, left = [], list(map(str, words))
    while left:
        word = left.pop(0)
        if word in values:
            options[word] = left.pop(0)
        elif word in flags:
            options[word] = ""
        elif word.startswith("-"):
            raise Refused(f"unknown option {word}")
        else:
            rest.append(word)
    return options, rest


def run_script(script: Path, setup: Setup) -> StandIn:
    """Source a script in a new session, in the current folder. Raises `Refused`, `tkinter.TclError`."""
    session = StandIn(setup)
    try:
        session.tcl.eval(f"source {{{script}}}")
    except tkinter.TclError:
        if session.refusal is not None:
            raise session.refusal from None
        raise
    return session


def main(arguments: list[str]) -> int:
    """As ``vivado`` is called."""
    setup = Setup.of_environment()
    if arguments == ["-version"]:
        print(f"vivado v{setup.version} (64-bit)\nTool Version Limit: 2026.06")
        return 0
    options, _ = _options(tuple(arguments), flags=("-nojournal", "-nolog", "-notrace"), values=("-mode", "-source"))
    _known(options["-mode"], "batch")
    try:
        run_script(Path(options["-source"]), setup)
    except (Refused, tkinter.TclError) as error:
        print(f"ERROR: [StandIn 1-1] {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
