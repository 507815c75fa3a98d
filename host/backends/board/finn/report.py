"""What the build of a FINN bitstream reported, in ``report/`` beside ``bitfile/``: Vivado's counts and timing after
synthesis and routing, FINN's estimates and its simulation. Each file may be missing; none is needed to drive it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitswath.builds.report import Counts
from bitswath.builds.vivado import Timing, read_timing
from bitswath.errors import BundleError

__all__ = ["BuildReport", "find_report"]

_MAX_BYTES = 16 << 20
_FOLDER = "report"


@dataclass(frozen=True)
class BuildReport:
    """`folder`: where it was found. `counted`: by Vivado, of the whole design with its shell; `estimated`: by FINN, of
    the layers. Frames a second: `estimated_fps` by FINN's model, `simulated_fps` in its simulation. `problems`: files
    that cannot be read. What has no file is None."""

    folder: Path
    timing: Timing | None = None
    counted: Counts | None = None
    estimated: Counts | None = None
    estimated_fps: float | None = None
    estimated_latency_s: float | None = None
    simulated_fps: float | None = None
    vivado: str = ""
    problems: tuple[str, ...] = ()


def find_report(place: Path) -> BuildReport | None:
    """Of the build whose driver lies in `place`: from there or up to two folders above. Damaged files are named in it,
    not raised."""
    for root in (place, place.parent, place.parent.parent):
        folder = root / _FOLDER
        if folder.is_dir():
            return _report(folder)
    return None


def _report(folder: Path) -> BuildReport:
    problems: list[str] = []
    found: dict[str, Any] = {}
    readers: dict[str, Callable[[str], dict[str, Any]]] = {
        "post_route_timing.rpt": lambda text: {"timing": read_timing(text)},
        "post_synth_resources.json": lambda text: {"counted": _counts(json.loads(text)["(top)"])},
        "estimate_layer_resources.json": lambda text: {"estimated": _counts(json.loads(text)["total"])},
        "estimate_network_performance.json": _estimates,
        "rtlsim_performance.json": _simulation,
        "metadata_builder.json": lambda text: {"vivado": str(json.loads(text).get("tool_version") or "")},
    }
    for name, read in readers.items():
        path = folder / name
        if not path.is_file():
            continue
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise ValueError(f"more than {_MAX_BYTES} bytes")
            found |= read(path.read_text(encoding="utf-8", errors="replace"))
        except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else error
            problems.append(f"{name} ({what})")
    return BuildReport(folder, **found, problems=tuple(problems))


def _counts(row: dict[str, Any]) -> Counts:
    """Of a row of FINN's, whose estimates have BRAM18 only."""
    said = {name: _number(row.get(name, 0)) for name in ("LUT", "FF", "BRAM_36K", "BRAM_18K", "URAM", "DSP")}
    try:
        return Counts(
            lut=said["LUT"],
            ff=said["FF"],
            bram36=said["BRAM_36K"] + said["BRAM_18K"] / 2,
            uram=said["URAM"],
            dsp=said["DSP"],
        )
    except ValueError as error:
        raise BundleError("a count below zero") from error


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} where a number is expected")
    return number


def _estimates(text: str) -> dict[str, float]:
    found = json.loads(text)
    names = {"estimated_throughput_fps": ("estimated_fps", 1), "estimated_latency_ns": ("estimated_latency_s", 1e-9)}
    return {name: _number(found[key]) * factor for key, (name, factor) in names.items() if key in found}


def _simulation(text: str) -> dict[str, float]:
    found = json.loads(text)
    for name in ("stable_throughput[images/s]", "throughput[images/s]"):
        if name in found:
            return {"simulated_fps": _number(found[name])}
    return {}
