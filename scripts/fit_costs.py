"""Fits hw/planning/costs.json to what Yosys counts, and prints how near the fit is.

    python scripts/fit_costs.py [--write] [--designs 16] [BUILD=BUNDLE ...]
    python scripts/fit_costs.py [--write] --adjust BUILD=BUNDLE ...

Small networks of random shapes and widths are compiled with random foldings and queues, every other one for a part of
the 7 series and for UltraScale+, and each of their stages and queues is counted. "Held out" is each design by the fit
of the others. Builds that are there can be given, each with the bundle it was built from: they are not fitted to, but
judge the fit; or, with --adjust, coefficients that are there are drawn to those builds' parts, as far as these say
anything of them, and "held out" is each build by the others. What is compiled and counted is kept in bitswath's cache,
so that a run that was stopped goes on. A design takes some minutes of one quiet core. Kinds without samples keep their
coefficients.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
from cost_designs import designed
from scipy.optimize import nnls

from bitswath.builds.design import Design
from bitswath.builds.folder import read_design
from bitswath.bundle.bundle import Bundle, load_bundle
from bitswath.hw.counting.synthesis import synthesize
from bitswath.hw.counting.yosys import tool
from bitswath.hw.planning import costs, prices
from bitswath.hw.planning.boards import Board, find_board
from bitswath.hw.planning.costs import structure
from bitswath.hw.planning.folding import PIXELS, match_plan
from bitswath.hw.planning.plan import plan
from bitswath.hw.planning.resources import Resources
from bitswath.hw.units import decoding_of

TABLE = Path(costs.__file__).with_suffix(".json")

TOGETHER = (("LutMVAU_rtl", "LutVVAU_rtl"), ("DensePack_rtl", "PackStatus_rtl"))
"""Kinds that have the same coefficients."""

FEWEST = 3
"""Samples of a kind that is fitted."""

ENOUGH = 8
"""Different parts of builds that coefficients are drawn to."""

_HOLD = 0.3
"""How firmly they are held meanwhile."""

SMALL = 20
"""LUTs or flip-flops that a count may be off by without being wrong."""


@dataclass(frozen=True)
class Sample:
    """A unit of `kind` with the parameters of its cost, in the design of that number."""

    kind: str
    sizes: Mapping[str, Any]
    design: int
    counted: Resources


# What is counted of designs


def samples_of(design: Design, folder: Path, bundle: Bundle, index: int = -1) -> Iterator[Sample]:
    """Every stage and queue, with the parameters that the folding search gives the cost model for it."""
    board = find_board(design.board)
    chosen = {stage.name: stage.folding for stage in design.stages if stage.folding}
    hardware, _ = match_plan(
        lambda pixels: plan(bundle.network, bundle.codec.bits, design.input.width, decoding_of(bundle), pixels=pixels),
        PIXELS,
        board,
        chosen,
    )
    units = {unit.name: unit for unit in hardware.units}
    counted = synthesize(design, folder, board, whole=False, jobs=1)
    for problem in counted.problems.values():
        print(f"not counted: {problem}")
    streams = {stream.name: stream for stream in design.streams}
    for stage in design.stages:
        asked: list[tuple[str, dict[str, Any]]] = []
        unit = units.get(stage.name.removesuffix("_weights"))
        if unit is not None:
            asked = _asked(unit, chosen[unit.name], board)
        elif stage.kind == "StreamingDataWidthConverter_rtl":
            ends = [streams[name] for side in (stage.inputs, stage.outputs) for name in side.values()]
            widths = [end.bits * end.elements for end in ends]
            asked = [(stage.kind, {"in_width": widths[0], "out_width": widths[1]})]
        for kind, sizes in asked:
            if kind == stage.kind and stage.name in counted.stages:
                yield Sample(kind, sizes, index, counted.stages[stage.name].resources)
    for name, cells in counted.queues.items():
        stream = streams[name]
        sizes = {"depth": stream.depth, "width": stream.width, "style": stream.ram_style, "dsp_block": board.dsp_block}
        yield Sample("StreamingFIFO_rtl", sizes, index, cells.resources)


def _asked(unit: Any, folding: Mapping[str, int], board: Board) -> list[tuple[str, dict[str, Any]]]:
    """What the cost model is asked for a unit."""
    found: list[tuple[str, dict[str, Any]]] = []
    before = prices.cost

    def note(kind: str, **sizes: Any) -> Resources:
        found.append((kind, sizes))
        return Resources()

    try:
        prices.cost = note
        prices.unit_cost(unit, folding, board)
    finally:
        prices.cost = before
    return found


# The fit


@dataclass(frozen=True)
class Known:
    """Samples as arrays: `features` (samples, features), `counts` and `fixed` of `resource`."""

    features: np.ndarray
    counts: np.ndarray
    fixed: np.ndarray
    designs: np.ndarray

    @classmethod
    def of(cls, samples: list[Sample], resource: str) -> Known:
        entries = [structure(sample.kind, **sample.sizes) for sample in samples]
        return cls(
            np.array([entry.features for entry in entries], float),
            np.array([getattr(sample.counted, resource) for sample in samples], float),
            np.array([getattr(entry.fixed, resource) for entry in entries], float),
            np.array([sample.design for sample in samples]),
        )

    def solved(self, rows: np.ndarray) -> np.ndarray:
        """Coefficients not below zero; errors count relative to the size, less so for small units."""
        weights = np.maximum(self.counts[rows], 30) ** -0.7
        rest = np.maximum(self.counts - self.fixed, 0)[rows]
        found: np.ndarray = nnls(self.features[rows] * weights[:, None], rest * weights)[0]
        return found.round(3)

    def drawn(self, rows: np.ndarray, before: Sequence[float]) -> np.ndarray:
        """As `solved`, but a coefficient is the nearer to what it was the less the samples depend on it."""
        weights = np.maximum(self.counts[rows], 30) ** -0.7
        features = self.features[rows] * weights[:, None]
        hold = _HOLD * np.abs(features).mean(axis=0) * len(features) ** 0.5
        rest = np.concatenate([(self.counts - self.fixed)[rows] * weights, hold * np.asarray(before)])
        found: np.ndarray = nnls(np.vstack([features, np.diag(hold)]), rest)[0]
        return np.where(hold > 0, found, before).round(3)

    def near(self, coefficients: Sequence[float] | np.ndarray) -> np.ndarray:
        near: np.ndarray = self.features @ np.asarray(coefficients, float) + self.fixed
        return near

    def held_out(self) -> np.ndarray | None:
        """Each design by the fit of the others; None where a fit would have less than two samples."""
        found = np.zeros(len(self.counts))
        for design in np.unique(self.designs):
            own = self.designs == design
            if (~own).sum() < 2:
                return None
            found[own] = self.near(self.solved(~own))[own]
        return found


def errors(near: np.ndarray, counts: np.ndarray) -> str:
    """Of the total, and how many are near."""
    good = np.abs(near - counts) <= np.maximum(0.1 * counts, SMALL)
    return f"{(near.sum() - counts.sum()) / max(counts.sum(), 1):+.1%}, {good.mean():.0%}"


def fit(kind: str, samples: list[Sample], before: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """Coefficients, and a row of the table for LUTs and for flip-flops."""
    found = {}
    for name in ("lut", "ff"):
        known = Known.of(samples, name)
        found[name] = known.solved(np.ones(len(samples), bool)).tolist()
        fits = len(before[name]) == known.features.shape[1]
        old = errors(known.near(before[name]), known.counts) if fits else "other features"
        held = known.held_out()
        new = errors(known.near(found[name]), known.counts)
        print(
            f"| {kind} | {name} | {len(samples)} | {known.counts.sum():,.0f} | {old} | {new} |"
            f" {'–' if held is None else errors(held, known.counts)} |"
        )
    for name in ("lutram", "bram36", "uram", "dsp"):
        known = Known.of(samples, name)
        if (wrong := np.abs(known.counts - known.fixed) > 0.02 * known.counts).any():
            print(f"{kind}: {name} of {wrong.sum()} of {len(wrong)} differ: {errors(known.fixed, known.counts)}")
    return found


def _within(near: np.ndarray, counts: np.ndarray) -> float:
    """The share within a tenth of the counts."""
    return float((np.abs(near - counts) <= 0.1 * counts).mean())


def _goodness(near: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    return _within(near, counts), -float(np.abs(near - counts).sum())


def adjust(
    kinds: tuple[str, ...], samples: Sequence[Sample], before: Mapping[str, list[float]]
) -> dict[str, list[float]]:
    """`before`, drawn to parts of builds that differ; as it was where, held out, no more of them come within a
    tenth, or as many no nearer."""
    different = list({str(sorted(sample.sizes.items())): sample for sample in samples}.values())
    if len(different) < ENOUGH:
        return dict(before)
    found = {}
    for name in ("lut", "ff"):
        known = Known.of(different, name)
        every = np.ones(len(different), bool)
        found[name] = known.drawn(every, before[name]).tolist()
        held = np.zeros(len(different))
        for build in np.unique(known.designs):
            own = known.designs == build
            held[own] = known.near(known.drawn(~own, before[name]))[own]
        if _goodness(held, known.counts) <= _goodness(known.near(before[name]), known.counts):
            found[name] = list(before[name])
        told = [errors(near, known.counts) for near in (known.near(before[name]), known.near(found[name]), held)]
        print(f"| {', '.join(kinds)} | {name} | {len(different)} | {known.counts.sum():,.0f} | {' | '.join(told)} |")
    return found


def estimated(sample: Sample, kinds: Mapping[str, Any]) -> Resources:
    entry, fitted = structure(sample.kind, **sample.sizes), kinds[sample.kind]
    lut, ff = (float(np.dot(fitted[name], entry.features)) for name in ("lut", "ff"))
    return entry.fixed + Resources(lut=lut, ff=ff)


def groups(samples: Mapping[str, list[Sample]]) -> list[tuple[str, ...]]:
    """Kinds with enough samples, those that are fitted together beside each other."""
    found = {next((group for group in TOGETHER if kind in group), (kind,)) for kind in samples}
    return sorted(kinds for kinds in found if sum(len(samples.get(kind, ())) for kind in kinds) >= FEWEST)


def judge(name: str, samples: list[Sample], kinds: Mapping[str, Any]) -> None:
    """What the fit says of a build that it has not seen."""
    near = [estimated(sample, kinds) for sample in samples]
    for resource in ("lut", "ff", "bram36", "dsp"):
        counts = np.array([getattr(sample.counted, resource) for sample in samples], float)
        guessed = np.array([getattr(entry, resource) for entry in near], float)
        within = _within(guessed, counts)
        print(
            f"| {name} | {resource} | {len(samples)} | {counts.sum():,.0f} | {guessed.sum():,.0f} |"
            f" {errors(guessed, counts)} | {within:.0%} |"
        )


def source_of(kinds: Mapping[str, Any], samples: Mapping[str, list[Sample]], designs: int) -> dict[str, Any]:
    fitted = {kind for kinds in groups(samples) for kind in kinds}
    return {
        "tool": tool(),
        "finn-plus": distribution("finn-plus").version,
        "date": date.today().isoformat(),
        "designs": f"{designs} of scripts/fit_costs.py, every other one for xc7 and for xcup",
        "counts": {kind: len(samples.get(kind, ())) for kind in sorted(fitted)},
        "guessed from few counts or none": sorted(set(kinds) - fitted),
    }


def write(table: Mapping[str, Any]) -> None:
    lines = (f"    {json.dumps(kind)}: {json.dumps(entry)}" for kind, entry in table["kinds"].items())
    source = json.dumps(table["source"], indent=2).replace("\n", "\n  ")
    TABLE.write_text(f'{{\n  "source": {source},\n  "kinds": {{\n' + ",\n".join(lines) + "\n  }\n}\n")


def parts_of_builds(pairs: Sequence[str]) -> dict[str, list[Sample]]:
    """By the build's name, as BUILD=BUNDLE gives them."""
    found = {}
    for index, pair in enumerate(pairs):
        folder, _, bundle = pair.partition("=")
        parts = samples_of(read_design(Path(folder)), Path(folder), load_bundle(Path(bundle)), index)
        found[f"{Path(bundle).stem} {Path(folder).name}"] = list(parts)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="*", metavar="BUILD=BUNDLE", help="judged, or adjusted to")
    parser.add_argument("--adjust", action="store_true", help="no designs: draw what is there to the builds")
    parser.add_argument("--designs", type=int, default=16, help="of random networks")
    parser.add_argument("--write", action="store_true", help="change hw/planning/costs.json")
    given = parser.parse_args()
    builds = parts_of_builds(given.builds)
    samples: dict[str, list[Sample]] = defaultdict(list)
    for part in [part for parts in builds.values() for part in parts] if given.adjust else ():
        samples[part.kind].append(part)
    for index in range(0 if given.adjust else given.designs):
        for sample in samples_of(*designed(index), index):
            samples[sample.kind].append(sample)
        print(f"design {index + 1} of {given.designs} counted", flush=True)
    table = json.loads(TABLE.read_text())
    print("\nTotal error, and how many are within a tenth or", SMALL)
    print("| kind | of | samples | counted | before | fitted | held out |")
    for kinds in groups(samples):
        known, before = [s for kind in kinds for s in samples.get(kind, ())], table["kinds"][kinds[0]]
        found = adjust(kinds, known, before) if given.adjust else fit(", ".join(kinds), known, before)
        table["kinds"] |= dict.fromkeys(kinds, found)
    if given.adjust:
        table["source"]["adjusted"] = {"date": date.today().isoformat(), "builds": sorted(builds)}
    else:
        table["source"] = source_of(table["kinds"], samples, given.designs)
    if given.write:
        write(table)
    if builds:
        print("\n| build | of | parts | counted | estimated | error, near | within a tenth |")
    for name, parts in builds.items():
        judge(name, parts, table["kinds"])


if __name__ == "__main__":
    main()
