"""The accelerator's top for the fastest simulators: stages and queues that have native models become one block.

The models (fabric/*.hpp) give the same beats in the same cycles as the modules, but are evaluated only where something
moves. What has no model stays as it is. Queues beside a model are the block's, so all that it gives are registers, and
a call at each clock edge is all there is to it.
"""

from __future__ import annotations

import re
from pathlib import Path

from bitswath.backends.rtl.natives import Native, natives, queue
from bitswath.builds.design import Design, Stream

__all__ = ["PARTS", "SOURCE", "fabric_top"]

SOURCE = Path(__file__).with_name("fabric") / "fabric.cpp"
PARTS = (*sorted(SOURCE.parent.iterdir()), Path(__file__), Path(__file__).with_name("natives.py"))
"""All that decides what the block is and does."""

_INSTANCE = re.compile(r"^  \w+(?: #\([^\n]*\))? (\w+) \(\n.*?\n  \);\n", re.MULTILINE | re.DOTALL)
_WIRE = re.compile(r"\b(\w+)_t(?:valid|ready)(?=[,}])")
_PROBES = "`ifdef BITSWATH_PROBES\n  always_ff"


def fabric_top(design: Design, rtl: Path, text: str) -> str | None:
    """The text of the top in the folder `rtl`, with the block in place of what has models.

    None if nothing has, or if the text is older than the probes that the block takes part in.
    """
    found = natives(design, rtl)
    if not found or _PROBES not in text:
        return None
    sources, sinks = {one.sink for one in found}, {one.source for one in found}  # streams with such an end in the block
    weights = {one.weights for one in found if one.weights}
    gone = {f"stage_{name}" for one in found for name in one.stages} | {f"queue_{name}" for name in sources | sinks}
    text = _INSTANCE.sub(lambda match: "" if match[1] in gone else match[0], text)
    body, probes = text[: text.index(_PROBES)], text[text.index(_PROBES) :]
    inside = {f"source_{name}" for name in sources | weights} | {f"sink_{name}" for name in sinks}
    probes = _WIRE.sub(lambda match: "1'b0" if match[1] in inside else match[0], probes)
    given = [stream for stream in design.streams if stream.name in sinks - sources]
    taken = [stream for stream in design.streams if stream.name in sources - sinks]
    ends, offset = _ends(given, taken)
    words = 64 * -(-len(design.streams) // 64)
    for index, kind in enumerate(("valid", "ready", "sink_valid", "sink_ready")):
        shown = f"gives[{offset + index * words}+:{len(design.streams)}]"
        probes = re.sub(rf"(probe_{kind} <= .*?);", rf"\1 | {shown};", probes)
    return (
        f"{body}{_block(_description(design, found, given, taken), given, taken, offset + 4 * words)}{ends}\n{probes}"
    )


def _description(design: Design, found: list[Native], given: list[Stream], taken: list[Stream]) -> str:
    """What Fabric reads."""
    streams = {stream.name: index for index, stream in enumerate(design.streams)}
    parts = [f"streams {len(streams)}"]
    ends = {name for one in found for name in (one.source, one.sink)}
    for index, stream in enumerate(design.streams):
        room = queue(stream)
        if stream.name in ends and room is not None:
            parts.append(f"link {index} {stream.width // 8} {room.capacity} {int(room.in_ram)}")
    parts += [f"given {streams[stream.name]}" for stream in given]
    parts += [f"taken {streams[stream.name]}" for stream in taken]
    for one in found:
        beside = streams[one.weights] if one.weights else -1
        parts.append(f"stage {one.kind} {streams[one.source]} {streams[one.sink]} {beside} {' '.join(one.values)}")
    return " ".join(parts)


def _ends(given: list[Stream], taken: list[Stream]) -> tuple[str, int]:
    """Wires that the block drives, and where its probes begin in `gives`."""
    lines = [f"  assign source_{stream.name}_tready = gives[{8 * index}];\n" for index, stream in enumerate(given)]
    at = 8 * len(given)
    for stream in taken:
        lines.append(f"  assign sink_{stream.name}_tvalid = gives[{at}];\n")
        lines.append(f"  assign sink_{stream.name}_tdata = gives[{at + 8}+:{stream.width}];\n")
        at += 8 + stream.width
    return "".join(lines), at


def _block(description: str, given: list[Stream], taken: list[Stream], gives: int) -> str:
    """The clocked block: bytes go into it and come out in the order of Fabric::clock."""
    inputs = [f"source_{stream.name}_tdata, 7'b0, source_{stream.name}_tvalid" for stream in given]
    inputs += [f"7'b0, sink_{stream.name}_tready" for stream in taken]
    width = sum(8 + stream.width for stream in given) + 8 * len(taken)
    return f"""\
  import "DPI-C" function chandle bitswath_fabric(input string text);
  import "DPI-C" function void bitswath_clock(
      input chandle fabric, input bit running, input bit [{width - 1}:0] in, output bit [{gives - 1}:0] out);

  chandle fabric = bitswath_fabric("{description}");
  bit [{gives - 1}:0] gives, next;

  always @(posedge clk) begin
    bitswath_clock(fabric, reset_n, {{{", ".join(reversed(inputs))}}}, next);
    gives <= next;
  end

"""
