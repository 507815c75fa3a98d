"""What a hardware build found out: ``hw/<board>/report.json`` in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bitswath.basics.schema import Schema, parse_json
from bitswath.errors import BundleError

__all__ = [
    "REPORT",
    "REPORT_PAGE",
    "Counts",
    "LinkReport",
    "PathReport",
    "PowerReport",
    "QueueReport",
    "Report",
    "RoutedReport",
    "StageReport",
    "read_report",
]

REPORT = "report.json"
REPORT_PAGE = "report.html"

Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0)]


class Counts(Schema):
    """Fabric resources. `lut`: all LUTs, also those used as memory, which `lutram` counts again; `bram36`: RAMB36,
    a RAMB18 being half of one."""

    lut: Amount = 0
    lutram: Amount = 0
    ff: Amount = 0
    bram36: Amount = 0
    uram: Amount = 0
    dsp: Amount = 0


class LinkReport(Schema):
    """The packed frames at one end: `frame_bytes` a frame, the most if they are `compressed`, in words of `width`
    bits."""

    width: int
    frame_bytes: int
    compressed: bool = False

    @property
    def described(self) -> str:
        """ "320 B", "up to 320 B"."""
        return f"{'up to ' if self.compressed else ''}{self.frame_bytes:,} B"


class PathReport(Schema):
    """The longest path between registers of a netlist, before placement: `ns` by a model of nets, through `levels` LUTs
    and `carries` carry blocks, from `start` to `end`."""

    ns: Amount
    levels: int
    carries: int
    start: str
    end: str


class StageReport(Schema):
    """One stage. `cycles`: expected for a frame; shares of the measured cycles: `busy` is `cycles` over the
    initiation interval, `stalled` it waited for its output to be taken, `starved` it waited for input. `counted` by
    synthesis, None where that failed; `estimated` by the cost model, `finn_estimated` by FINN, its weights included."""

    name: str
    kind: str
    layer: str
    folding: dict[str, int]
    cycles: int | None = None
    busy: Share | None = None
    stalled: Share | None = None
    starved: Share | None = None
    counted: Counts | None = None
    estimated: Counts | None = None
    finn_estimated: Counts | None = None
    path: PathReport | None = None


class QueueReport(Schema):
    """A queue in a stream: `depth` beats of `width` bits; `high_water`: the most beats seen in it without bounds."""

    stream: str
    depth: int
    width: int
    ram_style: str
    high_water: int | None = None
    counted: Counts | None = None
    path: PathReport | None = None


class PowerReport(Schema):
    """Vivado's estimate, in watts: of the whole chip, what comes of switching, what leaks; `confidence` in its own
    words, such as "Medium"."""

    total_w: Amount
    dynamic_w: Amount
    static_w: Amount
    confidence: str


class RoutedReport(Schema):
    """What Vivado measured after routing, and, marked as such, what it estimates.

    `of`: the whole design with its shell, or the accelerator alone. `counted`: its resources; `period_ns`: of its
    clock; `slack_ns`, `hold_ns`: the worst setup and hold slack; `power_estimated`; `activity`: what that rests on.
    """

    tool: str
    of: Literal["with shell", "accelerator alone"]
    counted: Counts
    period_ns: Amount | None
    slack_ns: float
    hold_ns: float
    power_estimated: PowerReport | None = None
    activity: Literal["simulated frames", "Vivado's default"] = "Vivado's default"


class Report(Schema):
    """A build for a board.

    `frames_per_s`: at `clock_hz`, from the simulated `initiation_interval` (cycles a frame); `latency_cycles`: from
    the first word in to the last word out. `resources`: what the design needs, `resources_from` says how that was
    found; `parts`: the sum of the parts counted one by one; `available`: what the part offers. `checked_frames`:
    simulated with every integer equal to the emulator's. `target_fps`: asked for, None for as many as fit. `limiting`:
    the stage that needs most cycles; `folding`: how near the best the solver says that the folding is, None for one
    that was given; `pixels`: neighbours of a row of the input that may pass in a cycle.
    `path`: the longest of the design, or of its parts alone: evidence for the clock short of place and route.
    `problems`: what could not be counted and why. `bitstream`: its file, or None and `bitstream_reason`. `routed`: what
    Vivado found, None where it did not run. `instances`: accelerators that frames go to in turn; `frames_per_s`,
    `resources`, `parts` and `estimated` are of all of them, everything else of one.
    """

    schema_version: Literal[1] = 1
    name: str
    instances: int = 1
    board: str
    part: str
    clock_hz: float
    frames_per_s: float
    initiation_interval: float
    latency_cycles: int
    checked_frames: int
    target_fps: float | None = None
    limiting: str | None
    folding: str | None = None
    pixels: int = 1
    input: LinkReport
    output: LinkReport
    resources: Counts
    resources_from: Literal["whole design", "sum of parts", "estimates"]
    parts: Counts
    estimated: Counts | None = None
    available: Counts
    path: PathReport | None = None
    path_from: Literal["whole design", "parts"] | None = None
    stages: tuple[StageReport, ...]
    queues: tuple[QueueReport, ...]
    problems: dict[str, str] = Field(default_factory=dict)
    tools: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    bitstream: str | None = None
    bitstream_reason: str | None = None
    routed: RoutedReport | None = None

    @property
    def usage(self) -> dict[str, float]:
        """Share of each resource that the part has."""
        need, has = self.resources.model_dump(), self.available.model_dump()
        return {name: need[name] / has[name] for name in need if has[name]}


def read_report(folder: Path) -> Report:
    """The report of the build in `folder`. Raises `BundleError` if it is not there or not one."""
    path = folder / REPORT
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); build the bundle again") from error
    return parse_json(Report, text, BundleError)
