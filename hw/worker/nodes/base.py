"""What FINN wants of an operator that is one kernel of hw/rtl."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from qonnx.core.datatype import BaseDataType, DataType

from bitswath.errors import BuildError
from bitswath.hw.rtl import KERNELS

__all__ = ["Beats", "KernelNode", "Literal", "StreamNode", "kernel_sources", "word"]

Parameters = Mapping[str, "int | str | Literal"]


class Literal(str):
    """A Verilog expression, where a plain string stands for a string literal."""

    __slots__ = ()


def kernel_sources(kernel: str) -> list[Path]:
    """The files of a kernel and of the modules in it; one module a file."""
    found = {KERNELS[f"{kernel}.sv"]}
    while True:
        text = "\n".join(path.read_text() for path in found)
        more = {path for path in KERNELS.values() if re.search(rf"^\s*{path.stem} (#\(|\w+ \()", text, re.MULTILINE)}
        if more <= found:
            return sorted(found)
        found |= more


def word(values: Iterable[int], bits: int) -> int:
    """Integers side by side, two's complement, the first in the low bits."""
    mask = (1 << bits) - 1
    return sum((int(value) & mask) << (i * bits) for i, value in enumerate(values))


class KernelNode(RTLBackend):
    """An operator whose module is a wrapper, with FINN's ports, around one kernel.

    Its functional model is that of the FINN class it is mixed with. Subclasses give `kernel`, `parameters`,
    and where needed `check`, `connections`, `memories`.
    """

    def get_nodeattr_types(self) -> dict[str, Any]:
        return {"memory_files": ("strings", False, []), **super().get_nodeattr_types()}

    @property
    def kernel(self) -> str:
        """Name of the kernel's module and file."""
        raise NotImplementedError

    def parameters(self) -> Parameters:
        """The kernel's parameters."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises `BuildError` where attributes do not fit each other or the kernel."""

    def connections(self) -> dict[str, list[str]]:
        """The streams on each port of the kernel, lane 0 first."""
        return {"s_axis": ["in0_V"], "m_axis": ["out0_V"]}

    def memories(self, model: Any) -> dict[str, str]:
        """Contents of the memory files that parameters name."""
        return {}

    def stream_ports(self) -> dict[str, list[tuple[str, int]]]:
        """Inputs (s_axis) and outputs (m_axis) of the module, with the bits of TDATA."""
        names = self.get_verilog_top_module_intf_names()
        return {side: names[side] for side in ("s_axis", "m_axis")}

    def number(self, attribute: str) -> int:
        return int(self.get_nodeattr(attribute))

    def numbers(self, attribute: str) -> list[int]:
        return [int(value) for value in self.get_nodeattr(attribute)]

    def datatype(self, attribute: str) -> BaseDataType:
        return DataType[self.get_nodeattr(attribute)]

    def require(self, condition: bool, expected: str) -> None:
        if not condition:
            raise BuildError(f"node {self.onnx_node.name!r} ({self.onnx_node.op_type}): expected {expected}")

    def require_integers(self, *types: BaseDataType) -> None:
        for kind in types:
            whole = kind.is_integer() and not kind.is_fixed_point() and kind.name not in ("BIPOLAR", "TERNARY")
            self.require(whole, f"INT or UINT, not {kind.name}")

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        if self.get_nodeattr("exec_mode") == "rtlsim":
            super().execute_node(context, graph)
        else:
            super(RTLBackend, self).execute_node(context, graph)

    def get_number_output_values(self) -> Any:
        counts = {f"out{i}": math.prod(self.get_folded_output_shape(i)[:-1]) for i in range(len(self.onnx_node.output))}
        return counts if len(counts) > 1 else counts["out0"]

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        self.check()
        top, folder = self.get_verilog_top_module_name(), Path(self.get_nodeattr("code_gen_dir_ipgen"))
        self.set_nodeattr("gen_top_module", top)
        (folder / f"{top}.v").write_text(self.wrapper())
        files = self.memories(model)
        for name, text in files.items():
            (folder / name).write_text(text)
        if files:  # ONNX has no empty lists
            self.set_nodeattr("memory_files", list(files))
        self.set_nodeattr("ipgen_path", str(folder))
        self.set_nodeattr("ip_path", str(folder))

    def wrapper(self) -> str:
        """Verilog of the node's module; block designs take no SystemVerilog."""
        directions = {"s_axis": ("input", "input", "output"), "m_axis": ("output", "output", "input")}
        streams = self.stream_ports()
        ports = [
            f"  {direction} {f'[{width - 1}:0] ' if signal == 'TDATA' else ''}{name}_{signal}"
            for side, names in streams.items()
            for name, width in names
            for signal, direction in zip(("TDATA", "TVALID", "TREADY"), directions[side])
        ]
        widths = dict([*streams["s_axis"], *streams["m_axis"]])
        given = [f"    .{name}({_literal(value)})" for name, value in self.parameters().items()]
        wires = [wire for port, names in self.connections().items() for wire in _connected(port, names, widths)]
        return _WRAPPER.format(
            kernel=self.kernel,
            top=self.get_verilog_top_module_name(),
            buses=":".join(widths),
            ports=",\n".join(ports),
            parameters=",\n".join(given),
            wires=",\n".join(wires),
        )

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        files = [*kernel_sources(self.kernel), self._folder / f"{self.get_nodeattr('gen_top_module')}.v"]
        return [str(path) if abspath else path.name for path in files]

    def get_memory_files(self) -> list[str]:
        """Paths of the memory files that the sources name without a folder."""
        return [str(self._folder / name) for name in self.get_nodeattr("memory_files")]

    @property
    def _folder(self) -> Path:
        return Path(self.get_nodeattr("code_gen_dir_ipgen"))

    def code_generation_ipi(self) -> list[str]:
        memories = self.get_memory_files()
        commands = [f"add_files -norecurse {path}" for path in [*self.get_rtl_file_list(abspath=True), *memories]]
        commands += [f"set_property FILE_TYPE {{Memory File}} [get_files {path}]" for path in memories]
        return [
            *commands,
            f"create_bd_cell -type module -reference {self.get_nodeattr('gen_top_module')} {self.onnx_node.name}",
        ]


@dataclass(frozen=True)
class Beats:
    """A stream of a tensor's elements, some of its last axis a beat."""

    shape: tuple[int, ...]
    datatype: BaseDataType
    elements: int

    @property
    def folded(self) -> tuple[int, ...]:
        return (*self.shape[:-1], self.shape[-1] // self.elements, self.elements)

    @property
    def width(self) -> int:
        return self.elements * int(self.datatype.bitwidth())

    @property
    def count(self) -> int:
        """Beats of a frame."""
        return math.prod(self.shape) // self.elements


class StreamNode(KernelNode):
    """An operator that FINN has no class for; all FINN asks follows from its `sources` and `sinks`."""

    def sources(self) -> Sequence[Beats]:
        raise NotImplementedError

    def sinks(self) -> Sequence[Beats]:
        raise NotImplementedError

    def check(self) -> None:
        for beats in (*self.sources(), *self.sinks()):
            self.require_integers(beats.datatype)
            fits = beats.elements > 0 and beats.shape[-1] % beats.elements == 0
            self.require(fits, f"elements a beat that divide {beats.shape[-1]}, not {beats.elements}")

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self.sources()[ind].shape

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self.sinks()[ind].shape

    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self.sources()[ind].folded

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self.sinks()[ind].folded

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return self.sources()[ind].datatype

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return self.sinks()[ind].datatype

    def get_instream_width(self, ind: int = 0) -> int:
        sources = self.sources()  # further inputs of the node are tables
        return sources[ind].width if ind < len(sources) else 0

    def get_outstream_width(self, ind: int = 0) -> int:
        return self.sinks()[ind].width

    def get_exp_cycles(self) -> int:
        return max(beats.count for beats in (*self.sources(), *self.sinks()))

    def infer_node_datatype(self, model: Any) -> None:
        for name, beats in zip(self.onnx_node.output, self.sinks()):
            model.set_tensor_datatype(name, beats.datatype)


_WRAPPER = """\
// {kernel} with the ports of a FINN operator.
module {top} (
  (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {buses}, ASSOCIATED_RESET ap_rst_n" *)
  (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)
  input ap_clk,
  (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
  input ap_rst_n,
{ports}
);

  {kernel} #(
{parameters}
  ) kernel (
    .clk(ap_clk),
    .rst_n(ap_rst_n),
{wires}
  );

endmodule
"""


def _literal(value: int | str) -> str:
    if isinstance(value, str):
        return value if isinstance(value, Literal) else f'"{value}"'
    return str(int(value))


def _connected(port: str, streams: Sequence[str], widths: Mapping[str, int]) -> list[str]:
    """A kernel's port joined to streams, its lanes; lanes are as wide as the widest stream."""
    lane = max(widths[name] for name in streams)
    wires = {signal: [f"{name}_{signal}" for name in streams] for signal in ("TDATA", "TVALID", "TREADY")}
    if port.startswith("s_"):
        fills = [lane - widths[name] for name in streams]
        wires["TDATA"] = [f"{{{n}'b0, {wire}}}" if n else wire for n, wire in zip(fills, wires["TDATA"])]
    joined = {
        signal: lanes[0] if len(lanes) == 1 else "{" + ", ".join(reversed(lanes)) + "}"
        for signal, lanes in wires.items()
    }
    return [f"    .{port}_{signal.lower()}({wire})" for signal, wire in joined.items()]
