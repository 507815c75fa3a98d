"""From FINN's graph with its generated code to a `Design` and a flat folder of sources."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from bitswath.builds.design import Stage, Stream
from bitswath.errors import BuildError
from bitswath.hw.planning.plan import Plan
from bitswath.hw.units import Folding, Wire
from bitswath.hw.worker.graph import CONVERTER, converted

__all__ = ["collect"]

_AXI_LITE = ("AWVALID", "AWADDR", "WVALID", "WDATA", "WSTRB", "BREADY", "ARVALID", "ARADDR", "RREADY")
_PROTECTION = ("AWPROT", "ARPROT")


def collect(
    model: ModelWrapper, plan: Plan, foldings: Mapping[str, Folding], part: str, target: Path
) -> tuple[tuple[Stage, ...], tuple[Stream, ...]]:
    """Copy every source and memory file to `target`, flat, and describe stages and streams."""
    collector = _Collector(model, plan, foldings, part, target)
    for node in model.graph.node:
        collector.add(node)
    return tuple(collector.stages), tuple(collector.streams.values())


class _Collector:
    def __init__(
        self, model: ModelWrapper, plan: Plan, foldings: Mapping[str, Folding], part: str, target: Path
    ) -> None:
        self.model, self.part, self.target = model, part, target
        self.units = {unit.name: unit for unit in plan.units}
        self.foldings = foldings
        self.wires: dict[str, Wire] = {}
        for name, wire in plan.wires.items():
            self.wires[name] = self.wires[converted(name)] = wire
        self.stages: list[Stage] = []
        self.streams: dict[str, Stream] = {}
        self.producers = {name: node.name for node in model.graph.node for name in node.output}
        self.consumers = {name: node.name for node in model.graph.node for name in node.input}

    def add(self, node: Any) -> None:
        op = getCustomOp(node)
        unit = self.units.get(node.name)
        wires = [name for name in node.input if name in self.wires]
        inputs = {f"in{index}_V": name for index, name in enumerate(wires)}
        outputs = {f"out{index}_V": name for index, name in enumerate(node.output)}
        for index, name in enumerate(wires):
            self._stream(name, op.get_folded_input_shape(index), op.get_instream_width_padded(index))
        for index, name in enumerate(node.output):
            self._stream(name, op.get_folded_output_shape(index), op.get_outstream_width_padded(index))
        module = op.get_verilog_top_module_name()
        sources = [self._source(Path(path), node.name) for path in op.get_rtl_file_list(abspath=True)]
        generated = Path(op.get_nodeattr("code_gen_dir_ipgen"))
        self._memories(generated, node.name)
        if (generated / f"{module}_memstream_wrapper.v").exists():
            inputs["in1_V"] = self._weights(op, node, module, generated)
        self.stages.append(
            Stage(
                name=node.name,
                kind=node.op_type,
                layer=unit.layer if unit else self.wires[node.input[0]].name,
                module=module,
                inputs=inputs,
                outputs=outputs,
                ties=_ties(self.target / sources_of(module, sources), {*inputs, *outputs}),
                folding=dict(self.foldings[node.name]) if unit else {},
                cycles=max(int(op.get_exp_cycles()), 1) if node.op_type != CONVERTER else None,
                finn_estimate=_estimate(op, self.part),
                sources=tuple(_ordered(sources)),
            )
        )

    def _stream(self, name: str, folded: tuple[int, ...], padded: int) -> None:
        wire = self.wires[name]
        beats = 1
        for extent in folded[:-1]:
            beats *= int(extent)
        stream = Stream(
            name=name,
            source=self.producers.get(name),
            sink=self.consumers.get(name),
            bits=wire.numbers.bits,
            signed=wire.numbers.signed,
            elements=int(folded[-1]),
            beats=beats,
            tensor=wire.tensor,
        )
        if stream.width != padded or self.streams.setdefault(name, stream) != stream:
            raise BuildError(f"stream {name!r}: FINN gives it {padded} bits a beat, {stream.width} were planned")

    def _weights(self, op: Any, node: Any, module: str, generated: Path) -> str:
        """The memory that streams a unit's weights, as a stage of its own."""
        wrapper = generated / f"{module}_memstream_wrapper.v"
        name = f"{node.name}_weights"
        sources = [self._source(wrapper, node.name, _with_finn_ports)]
        sources += [self._source(Path(path), node.name) for path in op.get_weight_files() if Path(path) != wrapper]
        numbers = DataType[op.get_nodeattr("weightDataType")]
        padded = op.get_instream_width_padded(1)
        elements = op.get_instream_width(1) // numbers.bitwidth()
        self.streams[name] = Stream(
            name=name,
            source=name,
            sink=node.name,
            bits=numbers.bitwidth(),
            signed=numbers.signed(),
            elements=elements,
            beats=None,
        )
        if self.streams[name].width != padded:
            raise BuildError(f"stream {name!r}: FINN gives it {padded} bits a beat, {self.streams[name].width} fit")
        self.stages.append(
            Stage(
                name=name,
                kind="memstream",
                layer=self.units[node.name].layer,
                module=f"{module}_memstream_wrapper",
                inputs={},
                outputs={"out0_V": name},
                ties=_ties(self.target / wrapper.name, {"out0_V"}),
                sources=tuple(_ordered(sources)),
            )
        )
        return name

    def _source(self, path: Path, node: str, change: Callable[[str], str] = str) -> str:
        text = change(_relative(path.read_text(), node))
        target = self.target / path.name
        if target.exists() and target.read_text() != text:
            raise BuildError(f"{path.name}: two stages bring different files of this name")
        target.write_text(text)
        return path.name

    def _memories(self, generated: Path, node: str) -> None:
        for path in (*generated.glob("*.dat"), *generated.glob("*.hex")):
            shutil.copyfile(path, self.target / _memory_name(path.name, node))


def _estimate(op: Any, part: str) -> dict[str, float]:
    """FINN counts RAMB18."""
    return {
        "lut": float(op.lut_estimation(part)),
        "bram36": float(op.bram_estimation(part)) / 2,
        "uram": float(op.uram_estimation(part)),
        "dsp": float(op.dsp_estimation(part)),
    }


def _memory_name(name: str, node: str) -> str:
    return f"{node}_memblock.dat" if name == "memblock.dat" else name


def _relative(text: str, node: str) -> str:
    """Memory files by name alone: whoever reads them runs in their folder."""
    return re.sub(r'"\.?/(?:[^"\n]*/)?([^"/\n]+)"', lambda found: f'"{_memory_name(found[1], node)}"', text)


def _with_finn_ports(text: str) -> str:
    """FINN's memory names its stream otherwise than its operators do."""
    for signal in ("data", "valid", "ready"):
        text = re.sub(rf"(?<!\.)\bm_axis_0_t{signal}\b", f"out0_V_T{signal.upper()}", text)
    return text


def sources_of(module: str, sources: list[str]) -> str:
    """The file that declares a stage's module."""
    return next(name for name in sources if name.startswith(module) and name.endswith(".v") and "_impl" not in name)


def _ties(path: Path, used: set[str]) -> dict[str, int]:
    """Inputs of a module beside clock, reset and its streams, all at 0."""
    return {port: 0 for port in _inputs(path.read_text()) if not any(port.startswith(f"{name}_T") for name in used)}


def _inputs(verilog: str) -> Iterator[str]:
    header = verilog[: verilog.index(");", verilog.index(")("))] if ")(" in verilog else verilog
    for found in re.finditer(r"^\s*input\b[^;,\n]*?(\w+)\s*(?:,|//|$)", header, re.MULTILINE):
        if found[1] not in ("ap_clk", "ap_rst_n"):
            yield found[1]


def _ordered(sources: list[str]) -> list[str]:
    """Packages first."""
    return sorted(dict.fromkeys(sources), key=lambda name: not name.endswith("_pkg.sv"))
