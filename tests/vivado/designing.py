"""The stand-in's commands for block designs, runs and reports; blocks.py has what is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bitswath.builds.report import Counts
from tests.vivado import packager, reports
from tests.vivado.blocks import BlockDesign
from tests.vivado.catalog import Definition, Refused
from tests.vivado.handoff import handoff
from tests.vivado.words import one_of, options_of

__all__ = ["Designing"]


class Designing:
    """`design`: the block design at hand, `catalog`: the IPs there are, `routed`: a routed design is open, `activity`:
    what was read of it; the rest is the session's."""

    design: BlockDesign | None
    catalog: dict[str, Definition]
    routed: bool
    activity: Path | None
    setup: Any
    current: Any

    @property
    def blocks(self) -> BlockDesign:
        if self.design is None:
            raise Refused("no block design is open")
        return self.design

    def _words(self, text: str) -> list[str]:
        raise NotImplementedError

    def tcl_get_ipdefs(self, *words: str) -> list[str]:
        options, _ = options_of(words, flags=("-quiet", "-all"), values=("-filter",))
        wanted = dict(part.split(" == ") for part in options["-filter"].split(" && "))
        fields = ("VENDOR", "LIBRARY", "NAME", "VERSION")
        for name in wanted:
            one_of(name, *fields)
        return [vlnv for vlnv in self.catalog if wanted.items() <= dict(zip(fields, vlnv.split(":"))).items()]

    def tcl_create_bd_design(self, name: str) -> None:
        self.design = BlockDesign(name)

    def tcl_create_bd_cell(self, *words: str) -> str:
        options, (name,) = options_of(words, values=("-type", "-vlnv"))
        one_of(options["-type"], "ip")
        self.blocks.add(name, self.catalog[one_of(options["-vlnv"], *self.catalog)])
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
        return one_of(name, *self.blocks.spaces())

    def tcl_get_bd_addr_segs(self, name: str) -> str:
        return one_of(name, *self.blocks.slaves())

    def tcl_apply_bd_automation(self, *words: str) -> None:
        options, (cell,) = options_of(words, values=("-rule", "-config"))
        kind = self.blocks.cell(cell).definition.name
        one_of(options["-rule"], f"xilinx.com:bd_rule:{kind}")
        pairs = self._words(options["-config"])
        known = ["apply_board_preset", *(["make_external", "Master", "Slave"] if kind == "processing_system7" else [])]
        config = {one_of(name, *known): value for name, value in zip(pairs[::2], pairs[1::2])}
        if set(config) != set(known):
            raise Refused(f"expected {known} of the processor's rule, got {sorted(config)}")
        if config["apply_board_preset"] == "1" and "board_part" not in self.current.properties:
            raise Refused("no board whose preset could be applied")

    def tcl_connect_bd_net(self, *paths: str) -> None:
        self.blocks.connect(*paths)

    def tcl_connect_bd_intf_net(self, first: str, second: str) -> None:
        self.blocks.join(first, second)

    def tcl_assign_bd_address(self, *words: str) -> None:
        options, segments = options_of(words, values=("-target_address_space", "-offset", "-range"))
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
        options, _ = options_of(words, flags=("-top",), values=("-files",))
        if not self.blocks.valid:
            raise Refused("the block design was not validated")
        one_of(options["-files"], f"file:{self.blocks.name}.bd")
        path = self.current.folder / f"{self.blocks.name}_wrapper.v"
        path.write_text("")
        return str(path.absolute())

    def tcl_generate_target(self, what: str, target: str) -> None:
        one_of(what, "all", "synthesis")
        one_of(target, f"file:{self.blocks.name}.bd")
        folder = self.current.folder / f"{self.current.name}.gen/sources_1/bd/{self.blocks.name}/hw_handoff"
        folder.mkdir(parents=True)
        board = self.current.properties.get("board_part", "")
        text = handoff(self.blocks, self.current.part, board, self.setup.version)
        (folder / f"{self.blocks.name}.hwh").write_text(text)

    # ---- runs

    def tcl_get_runs(self, name: str) -> str:
        self.current.runs.setdefault(one_of(name, "synth_1", "impl_1"), {"PROGRESS": "0%", "STATUS": "Not started"})
        return f"run:{name}"

    def tcl_launch_runs(self, *words: str) -> None:
        options, (name,) = options_of(words, values=("-jobs", "-to_step"))
        self.tcl_get_runs(name)
        if name == "impl_1":
            if self.current.runs.get("synth_1", {}).get("PROGRESS") != "100%":
                raise Refused("impl_1 needs synth_1")
            one_of(options.get("-to_step", ""), "write_bitstream")
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
        one_of(name, *self.current.runs)

    def tcl_open_run(self, name: str) -> None:
        one_of(name, "impl_1")
        self.routed = True

    def tcl_synth_design(self, *words: str) -> None:
        options, _ = options_of(words, values=("-top", "-part", "-mode"))
        one_of(options["-mode"], "out_of_context")
        packager.elaborate([str(path) for path in self.current.files], options["-top"])
        self.current.properties["synthesized"] = options["-top"]

    def tcl_get_ports(self, name: str) -> str:
        return one_of(name, "ap_clk")

    def tcl_create_clock(self, *words: str) -> None:
        options, _ = options_of(words, values=("-name", "-period"))
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
        options, _ = options_of(words, flags=("-quiet", "-hierarchical"), values=("-filter",))
        one_of(options["-filter"], "REF_NAME == accelerator || ORIG_REF_NAME == accelerator")
        if self.design is None:
            return ["netlist:core"]
        cells = [name for name in self.blocks.cells if name.startswith("dataflow")]
        return [f"netlist:{self.blocks.name}_i/{name}/inst/core" for name in cells]

    def tcl_read_saif(self, *words: str) -> None:
        options, (path,) = options_of(words, values=("-strip_path",))
        text = Path(path).read_text()
        if text.count("(") != text.count(")") or f"(INSTANCE {options['-strip_path']}" not in text:
            raise Refused(f"{path}: is no SAIF file with an instance {options['-strip_path']}")
        self.activity = Path(path)

    def _report(self, words: tuple[str, ...], text: str, **options: Any) -> None:
        found, _ = options_of(words, values=("-file", *options.get("values", ())), flags=options.get("flags", ()))
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
