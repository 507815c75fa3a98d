"""What of a design is mapped for itself: its stages, its queues, or all of it; each behind the same kind of ports."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bitswath.builds.design import Design, Stage, Stream
from bitswath.errors import BuildError

__all__ = ["Part", "parts_of", "read_source", "source_names", "whole_of"]

SOURCES = (".sv", ".v")
_QUEUE_SOURCES = ("stream_fifo.sv", "fifo.sv")
_SIGNALS = ("tdata", "tvalid", "tready")


@dataclass(frozen=True, eq=False)
class Part:
    """An instance of a module. `inputs`, `outputs`: widths of its streams by prefix; `module`: its name; `instance`:
    what a wrapper with ports ``clk``, ``rst_n`` and ``<prefix>_tdata``, ``_tvalid``, ``_tready`` has around it;
    `streams`: the design's stream at each prefix; `sources`: files that it is made of.
    """

    name: str
    module: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    instance: str
    sources: tuple[str, ...]
    streams: Mapping[str, str]

    @property
    def ports(self) -> tuple[str, ...]:
        """Of the wrapper, as they are declared."""
        found = ["input clk", "input rst_n"]
        for widths, forth, back in ((self.inputs, "input", "output"), (self.outputs, "output", "input")):
            for prefix, width in widths.items():
                found += [f"{forth} [{width - 1}:0] {prefix}_tdata", f"{forth} {prefix}_tvalid"]
                found.append(f"{back} {prefix}_tready")
        return tuple(found)

    def wrapper(self, module: str) -> str:
        """SystemVerilog of a module of this name around the instance."""
        return f"module {module} (\n  {', '.join(self.ports)}\n);\n{self.instance}endmodule\n"


def parts_of(design: Design, rtl: Path) -> list[Part]:
    """The stages of `design` and its queues, those named "queue STREAM". Raises `BuildError` if sources are missing."""
    stages = [_stage(stage, design, rtl) for stage in design.stages]
    return stages + [_queue(stream) for stream in design.streams if stream.depth]


def whole_of(design: Design, rtl: Path) -> Part:
    """The accelerator in one piece. Raises `BuildError` if its top is not there."""
    sources = source_names(rtl)
    if f"{design.top}.sv" not in sources:
        raise BuildError(f"{rtl}: expected {design.top}.sv, the design's top")
    inputs, outputs = {"s_axis": design.input.width}, {"m_axis": design.output.width}
    streams = {"s_axis": design.input.stream, "m_axis": design.output.stream}
    return Part(design.top, design.top, inputs, outputs, f"  {design.top} part (.*);\n", sources, streams)


def _stage(stage: Stage, design: Design, rtl: Path) -> Part:
    widths = {stream.name: stream.width for stream in design.streams}
    streams = {**stage.inputs, **stage.outputs}
    wires = [".ap_clk(clk)", ".ap_rst_n(rst_n)"]
    wires += [f".{prefix}_{signal.upper()}({prefix}_{signal})" for prefix in streams for signal in _SIGNALS]
    wires += [f".{port}({_constant(value)})" for port, value in stage.ties.items()]
    return Part(
        stage.name,
        stage.module,
        {prefix: widths[name] for prefix, name in stage.inputs.items()},
        {prefix: widths[name] for prefix, name in stage.outputs.items()},
        f"  {stage.module}{_given(stage.parameters)} part ({', '.join(wires)});\n",
        stage.sources or source_names(rtl),
        streams,
    )


def _queue(stream: Stream) -> Part:
    ends = {"s_axis": stream.width}, {"m_axis": stream.width}
    parameters = {"WIDTH": stream.width, "DEPTH": stream.depth, "RAM_STYLE": stream.ram_style}
    instance = f"  stream_fifo{_given(parameters)} part (.*);\n"
    streams = dict.fromkeys(("s_axis", "m_axis"), stream.name)
    return Part(f"queue {stream.name}", "stream_fifo", *ends, instance, _QUEUE_SOURCES, streams)


def _given(parameters: Mapping[str, int | str]) -> str:
    shown = (f".{k}({json.dumps(v) if isinstance(v, str) else _constant(v)})" for k, v in parameters.items())
    return f" #({', '.join(shown)})" if parameters else ""


def _constant(value: int) -> str:
    if -(1 << 31) <= value < 1 << 31:
        return str(value)
    return f"{'-' if value < 0 else ''}{abs(value).bit_length() + 1}'sd{abs(value)}"


def source_names(rtl: Path) -> tuple[str, ...]:
    """Every source of a build."""
    return tuple(sorted(path.name for path in rtl.iterdir() if path.suffix in SOURCES))


def read_source(path: Path) -> str:
    """Raises `BuildError` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(f"{path}: cannot be read ({error.strerror}); build the design again") from error


def memories_of(part: Part, rtl: Path) -> list[Path]:
    """Files of contents that the part's sources name, or begin the names of."""
    text = "".join([part.instance, *(read_source(rtl / name) for name in part.sources)])
    named = {found for found in re.findall(r'"([^"\n]+)"', text) if found}
    data = [path for path in sorted(rtl.iterdir()) if path.is_file() and path.suffix not in (*SOURCES, ".svh", ".vh")]
    return [path for path in data if any(path.name.startswith(name) for name in named)]
