"""What a hardware build is made of: the stages of a dataflow accelerator, the streams between them, the files.

``hw/<board>/design.json`` in a bundle. The compiler writes it, the `rtl` backend simulates it, synthesis
counts it. Every stream is AXI-Stream: a beat carries `elements` integers of `bits` each, element 0 in the low
bits, filled up to whole bytes; a frame is `beats` beats.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from bitswath.basics.schema import Digest, Schema

__all__ = ["DESIGN", "Design", "Link", "SourceFile", "Stage", "Stream"]

DESIGN = "design.json"

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,200}$")]
Count = Annotated[int, Field(ge=1, le=1 << 40)]


class SourceFile(Schema):
    """A file below the build's ``rtl/`` folder. Simulators and synthesis run there, so memory contents are
    named relative to it. `kind`: "shell" for sources of the system around the accelerator."""

    path: str
    sha256: Digest
    kind: Literal["source", "data", "shell"] = "source"

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in path or not pure.name:
            raise ValueError(f"expected a relative path inside the build, got {path!r}")
        return path


class Stream(Schema):
    """A stream between two stages, or the accelerator's input or output (then `source` or `sink` is None).

    `bits`, `signed`: of an element; `elements`: in a beat; `beats`: in a frame, None for a stream without
    frames (weights) or with compressed ones. `tensor`: the network's tensor whose integers pass, in its row-major
    order, or None where there is none (windows, weights, packed words). `depth`: beats of the queue in it, 0 for wires.
    """

    name: Identifier
    source: Identifier | None
    sink: Identifier | None
    bits: Annotated[int, Field(ge=1, le=4096)]
    signed: bool = False
    elements: Count
    beats: Count | None
    tensor: str | None = None
    depth: Annotated[int, Field(ge=0, le=1 << 24)] = 0
    ram_style: Literal["auto", "shift", "distributed", "block", "ultra"] = "auto"

    @property
    def width(self) -> int:
        """Bits of TDATA: whole bytes."""
        return -(-self.bits * self.elements // 8) * 8


class Stage(Schema):
    """One module of the accelerator, clocked by ``ap_clk``, reset by ``ap_rst_n`` (low).

    `kind`: FINN's operator, such as "MVAU_rtl"; `layer`: the network's stage it belongs to; `inputs`,
    `outputs`: stream names by port prefix ("in0_V" stands for in0_V_TDATA, in0_V_TVALID, in0_V_TREADY);
    `parameters`: given at instantiation, strings are string literals; `ties`: further input ports and their
    constant values; `folding`: its degrees of parallelism, such as PE and SIMD; `cycles`: what it is expected to
    need for a frame, None where nothing is expected; `finn_estimate`: resources by FINN's own estimate, in LUTs
    (`lut`), RAMB36 (`bram36`), UltraRAMs (`uram`) and DSP blocks (`dsp`); `sources`: the source files its module is
    made of.
    """

    name: Identifier
    kind: str
    layer: str
    module: Identifier
    inputs: dict[Identifier, Identifier]
    outputs: dict[Identifier, Identifier]
    parameters: dict[Identifier, int | str] = Field(default_factory=dict)
    ties: dict[Identifier, int] = Field(default_factory=dict)
    folding: dict[str, int] = Field(default_factory=dict)
    cycles: Count | None = None
    finn_estimate: dict[str, float] = Field(default_factory=dict)
    sources: tuple[str, ...] = ()


class Link(Schema):
    """The packed frames at one end: `words` words of `width` bits a frame, holding `values` integers of
    `bits` back to back, little-endian; the last word is filled up.

    `compressed`: frames are those of a codec of compressed ones and differ in length, `words` is the most; each
    begins at a word; `codec`: what its decoder goes by, `Codec.frames_digest`, None in builds older than that.
    `status`: a frame's last byte, behind its integers, is 0 if the frame that they are of was sound.
    """

    stream: Identifier
    width: Annotated[int, Field(ge=8, le=4096, multiple_of=8)]
    words: Count
    values: Count
    bits: Annotated[int, Field(ge=1, le=64)]
    signed: bool = False
    compressed: bool = False
    codec: Digest | None = None
    status: bool = False

    @property
    def frame_bytes(self) -> int:
        """The most, if they differ."""
        return self.words * self.width // 8

    @property
    def step_words(self) -> int:
        """Words that a DMA engine moves at least and counts by: a frame's, or one where frames differ in length."""
        return 1 if self.compressed else self.words


class Design(Schema):
    """A whole accelerator. `network`: SHA-256 of the bundle's network.safetensors it computes; `instances`: copies of
    it between the DMA engines, which frames go to in turn."""

    schema_version: Literal[1] = 1
    name: str
    network: Digest
    board: str
    part: str
    clock_hz: Annotated[float, Field(gt=0)]
    top: Identifier = "accelerator"
    instances: Annotated[int, Field(ge=1, le=64)] = 1
    input: Link
    output: Link
    stages: tuple[Stage, ...]
    streams: tuple[Stream, ...]
    files: tuple[SourceFile, ...] = ()

    @model_validator(mode="after")
    def _is_joined(self) -> Design:
        streams = {stream.name: stream for stream in self.streams}
        stages = {stage.name: stage for stage in self.stages}
        if len(streams) != len(self.streams) or len(stages) != len(self.stages):
            raise ValueError("expected every stage and stream to have a name of its own")
        taken = {name: stage.name for stage in self.stages for name in stage.inputs.values()}
        given = {name: stage.name for stage in self.stages for name in stage.outputs.values()}
        for name in {*taken, *given} - set(streams):
            raise ValueError(f"stream {name!r} is not declared")
        for stream in self.streams:
            if (given.get(stream.name), taken.get(stream.name)) != (stream.source, stream.sink):
                raise ValueError(f"stream {stream.name!r}: its source and sink are not the stages that name it")
        for link, end in ((self.input, "source"), (self.output, "sink")):
            if link.stream not in streams or getattr(streams[link.stream], end) is not None:
                raise ValueError(f"stream {link.stream!r}: expected an open end of the accelerator")
        if self.instances > 1 and self.input.compressed:
            raise ValueError("compressed frames, whose ends only their decoder knows, go to one instance alone")
        return self
