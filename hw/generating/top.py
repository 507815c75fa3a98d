"""The accelerator's top module: a design's stages, joined by its streams.

Both simulation and synthesis take the same text. For simulation it also has, under BITSWATH_PROBES, the
handshakes of every stream as bit vectors in the order of `design.streams`: ``probe_valid``, ``probe_ready`` at
the end where the source gives its beats, ``probe_sink_valid``, ``probe_sink_ready`` at the end where the sink
takes them; and under BITSWATH_TAPS a `stream_tap` on every stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bitswath.builds.design import Design, Stage, Stream
from bitswath.errors import BuildError

__all__ = ["top_module"]

_INDENT = "    "
_PROBES = ("valid", "ready", "sink_valid", "sink_ready")


def top_module(design: Design) -> str:
    """SystemVerilog of module `design.top`.

    Ports: `clk`, `rst_n`, packed words in on `s_axis_*`, out on `m_axis_*`. Raises `BuildError` if a stream
    has an open end that is not the accelerator's, or the packed words are not as wide as their streams.
    """
    _check_ends(design)
    numbered = list(enumerate(design.streams))
    blocks = [
        _header(design),
        *(_wires(stream) for stream in design.streams),
        _RESET,
        _link(design),
        *(_queue(index, stream) for index, stream in numbered if stream.depth),
        *(_instance(stage, design) for stage in design.stages),
        _ifdef("BITSWATH_PROBES", _probes(design.streams)),
        _ifdef("BITSWATH_TAPS", "".join(map(_tap, design.streams))),
        "endmodule\n",
    ]
    return "\n".join(blocks)


_RESET = """\
`ifdef BITSWATH_FAST
  logic reset_n;  // in a register: simulators evaluate at every change of a port what depends on it
  always_ff @(posedge clk) reset_n <= rst_n;
`else
  wire reset_n = rst_n;
`endif
"""


def _check_ends(design: Design) -> None:
    for stream in design.streams:
        if stream.source is None and stream.name != design.input.stream:
            raise BuildError(f"stream {stream.name!r}: no stage gives it, and it is not the accelerator's input")
        if stream.sink is None and stream.name != design.output.stream:
            raise BuildError(f"stream {stream.name!r}: no stage takes it, and it is not the accelerator's output")
    streams = {stream.name: stream for stream in design.streams}
    for link in (design.input, design.output):
        width = streams[link.stream].width
        if width != link.width:
            raise BuildError(f"stream {link.stream!r}: expected the link's {link.width} bits, it has {width}")


def _header(design: Design) -> str:
    count = len(design.streams)
    ports = [
        "input  logic clk",
        "input  logic rst_n",
        f"input  logic [{design.input.width - 1}:0] s_axis_tdata",
        "input  logic s_axis_tvalid",
        "output logic s_axis_tready",
        f"output logic [{design.output.width - 1}:0] m_axis_tdata",
        "output logic m_axis_tvalid",
        "input  logic m_axis_tready",
    ]
    probes = "".join(f"{_INDENT}, output logic [{count - 1}:0] probe_{kind}\n" for kind in _PROBES)
    listed = f",\n{_INDENT}".join(ports)
    return (
        f"// {design.name} for {design.board}. Generated from design.json: change that, not this.\n"
        f"module {design.top} (\n{_INDENT}{listed}\n" + _ifdef("BITSWATH_PROBES", probes) + ");\n"
    )


def _wires(stream: Stream) -> str:
    ends = ("source", "sink") if stream.depth else ("source",)
    lines = [
        f"  wire [{stream.width - 1}:0] {end}_{stream.name}_tdata;"
        f" wire {end}_{stream.name}_tvalid, {end}_{stream.name}_tready;\n"
        for end in ends
    ]
    return "".join(lines).rstrip("\n")


def _end(stream: Stream, end: str) -> str:
    """Prefix of a stream's wires where its source or its sink is; without a queue they are the same wires."""
    return f"{end if stream.depth else 'source'}_{stream.name}"


def _link(design: Design) -> str:
    """Joins the ports to the open ends of the first and the last stream."""
    streams = {stream.name: stream for stream in design.streams}
    given = _end(streams[design.input.stream], "source")
    taken = _end(streams[design.output.stream], "sink")
    pairs = [(f"{given}_{kind}", f"s_axis_{kind}") for kind in ("tdata", "tvalid")]
    pairs += [("s_axis_tready", f"{given}_tready"), (f"{taken}_tready", "m_axis_tready")]
    pairs += [(f"m_axis_{kind}", f"{taken}_{kind}") for kind in ("tdata", "tvalid")]
    return "".join(f"  assign {left} = {right};\n" for left, right in pairs)


def _queue(index: int, stream: Stream) -> str:
    parameters = {"WIDTH": stream.width, "DEPTH": stream.depth, "RAM_STYLE": stream.ram_style, "INDEX": index}
    ports = [("clk", "clk"), ("rst_n", "reset_n")]
    for port, end in (("s_axis", "source"), ("m_axis", "sink")):
        ports += [(f"{port}_{kind}", f"{end}_{stream.name}_{kind}") for kind in ("tdata", "tvalid", "tready")]
    return _instantiation("stream_fifo", f"queue_{stream.name}", parameters, ports)


def _instance(stage: Stage, design: Design) -> str:
    streams = {stream.name: stream for stream in design.streams}
    ports = [("ap_clk", "clk"), ("ap_rst_n", "reset_n")]
    for connections, end in ((stage.inputs, "sink"), (stage.outputs, "source")):
        for prefix, name in connections.items():
            wires = _end(streams[name], end)
            ports += [(f"{prefix}_{kind}", f"{wires}_{kind.lower()}") for kind in ("TDATA", "TVALID", "TREADY")]
    ports += [(port, _sized(value)) for port, value in stage.ties.items()]
    return _instantiation(stage.module, f"stage_{stage.name}", stage.parameters, ports)


def _tap(stream: Stream) -> str:
    wires = f"source_{stream.name}"
    ports = [("clk", "clk"), ("rst_n", "reset_n")]
    ports += [(kind, f"{wires}_{kind}") for kind in ("tdata", "tvalid", "tready")]
    return _instantiation("stream_tap", f"tap_{stream.name}", {"WIDTH": stream.width, "NAME": stream.name}, ports)


def _instantiation(
    module: str, name: str, parameters: Mapping[str, int | str], ports: Iterable[tuple[str, str]]
) -> str:
    given = ", ".join(f".{key}({_literal(value)})" for key, value in parameters.items())
    listed = ",\n".join(f"{_INDENT}  .{port}({wire})" for port, wire in ports)
    return f"  {module}{f' #({given})' if given else ''} {name} (\n{listed}\n  );\n"


def _probes(streams: tuple[Stream, ...]) -> str:
    """At the falling edge, so that they are put together once a cycle, when all has settled."""
    lines = ["  always_ff @(negedge clk) begin\n"]
    for kind in _PROBES:
        end, _, wire = kind.rpartition("_")
        names = [f"{_end(stream, end or 'source')}_t{wire}" for stream in reversed(streams)]
        lines.append(f"    probe_{kind} <= {{{', '.join(names)}}};\n")
    return "".join(lines) + "  end\n"


def _ifdef(name: str, text: str) -> str:
    return f"`ifdef {name}\n{text}`endif\n"


def _literal(value: int | str) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value) if -(1 << 31) <= value < 1 << 31 else _sized(value)


def _sized(value: int) -> str:
    """A constant of its own width; a port that is wider fills it up."""
    if value < 0:
        return f"-{value.bit_length() + 1}'sd{-value}"
    return f"{max(value.bit_length(), 1)}'d{value}"
