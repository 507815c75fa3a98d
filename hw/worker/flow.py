"""What the worker does: generate an accelerator's RTL with FINN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bitswath.basics.schema import Schema
from bitswath.builds.design import DESIGN, Design, Link, Stream
from bitswath.bundle.bundle import NETWORK, Bundle, load_bundle
from bitswath.hw.generating.rtllib import patched_rtllib
from bitswath.hw.planning.boards import Board, find_board
from bitswath.hw.planning.plan import FRAMES, RESULTS, Plan, plan
from bitswath.hw.units import Decode, decoding_of
from bitswath.hw.worker.offline import prepare

__all__ = ["Generated", "Job", "Step", "generate", "with_code"]

Step = Callable[[str], None]


class Job(Schema):
    """What to generate, and where. `folder` exists; `rtl/` and `design.json` come into it."""

    task: Literal["generate"] = "generate"
    bundle: str
    board: str
    clock_hz: float = Field(gt=0)
    pixels: int = Field(1, ge=1)
    foldings: dict[str, dict[str, int]]
    folder: str


def generate(job: Job, step: Step) -> None:
    """Write the RTL and the design of a job. `step` is told each step as it begins."""
    folder = Path(job.folder)
    generated = with_code(job, folder, step)
    step("collection")
    from bitswath.hw.worker.collect import collect

    target = folder / "rtl"
    target.mkdir()
    hardware, board, bundle = generated.hardware, generated.board, generated.bundle
    stages, streams = collect(generated.model, hardware, job.foldings, board.part, target)
    design = Design(
        name=bundle.name,
        network=bundle.manifest.files[NETWORK].sha256,
        board=board.name,
        part=board.part,
        clock_hz=job.clock_hz,
        input=_link(hardware, FRAMES, board.link_width),
        output=_link(hardware, RESULTS, board.link_width),
        stages=stages,
        streams=tuple(map(_without_frames, streams)) if isinstance(hardware.units[0], Decode) else streams,
    )
    (folder / DESIGN).write_text(design.model_dump_json(indent=1) + "\n")


@dataclass(frozen=True)
class Generated:
    """FINN's graph with every node's code written."""

    bundle: Bundle
    board: Board
    hardware: Plan
    model: Any
    rtllib: Path


def with_code(job: Job, folder: Path, step: Step) -> Generated:
    """Patch finn-rtllib, build the hardware graph, and have FINN generate its code, all below `folder`."""
    step("patch finn-rtllib")
    import finn

    rtllib = folder / "finn-rtllib"
    patched_rtllib(Path(finn.__path__[0]) / "finn-rtllib", rtllib)
    prepare(folder / "finn", rtllib)

    step("hardware graph")
    bundle, board = load_bundle(job.bundle), find_board(job.board)
    hardware = plan(bundle.network, bundle.codec.bits, board.link_width, decoding_of(bundle), pixels=job.pixels)
    from bitswath.hw.worker.graph import hardware_graph
    from bitswath.hw.worker.nodes import register

    register()
    model = hardware_graph(hardware, job.foldings)

    step("code generation")
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    model = model.transform(PrepareIP(board.part, 1e9 / job.clock_hz))
    return Generated(bundle, board, hardware, model, rtllib)


def _link(hardware: Plan, name: str, width: int) -> Link:
    first, into = hardware.units[0], name == FRAMES
    values = (first.outputs if into else hardware.units[-1].inputs)[0]
    compressed = isinstance(first, Decode)
    return Link(
        stream=name,
        width=width,
        words=first.most_words if into and isinstance(first, Decode) else hardware.wires[name].size,
        values=values.size,
        bits=values.numbers.bits,
        signed=values.numbers.signed,
        compressed=compressed and into,
        codec=first.decoding.codec.frames_digest if isinstance(first, Decode) and into else None,
        status=compressed and not into,
    )


def _without_frames(stream: Stream) -> Stream:
    """The link's words, of which frames have any number."""
    return stream.model_copy(update={"beats": None}) if stream.name == FRAMES else stream
