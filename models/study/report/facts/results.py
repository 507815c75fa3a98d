"""A study's rows as networks, codecs and stored codes: what figures, findings and tables are made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bitswath.codecs.kinds import KINDS
from bitswath.errors import StudyError
from bitswath.models.study.lossy.formats import LossyFormat, parse_lossy
from bitswath.models.study.plan.cells import ORIGINAL
from bitswath.models.study.plan.config import Fidelity

__all__ = ["CodecFacts", "Facts", "Missing", "Network", "Results", "Score", "Setting", "StoredCodes", "results_of"]

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Score:
    """`correct` of `patches`, and Wilson's 95 % interval as the row has it. `hits`: "1" for each patch that was right,
    in the order of the split, "0" for the others; None where they were not kept."""

    correct: int
    patches: int
    low: float
    high: float
    hits: str | None = None

    @property
    def accuracy(self) -> float:
        return self.correct / self.patches


@dataclass(frozen=True)
class Setting:
    """What stays the same when codecs are compared; widths are None for a float network."""

    network: str
    weights: int | None
    activations: int | None
    seed: int

    @property
    def widths(self) -> str:
        return "float" if self.weights is None else f"W{self.weights}A{self.activations}"

    def __str__(self) -> str:
        return f"{self.network} {self.widths}"


@dataclass(frozen=True)
class _Coded:
    codec: str
    kind: str
    bits: int
    dither: str | None
    source: str
    leaks: bool
    bits_per_pixel: float | None
    link_bytes: float | None
    source_bytes: float | None
    payload_bytes: float | None
    row: Facts = field(repr=False, compare=False)

    @property
    def series(self) -> tuple[str, str | None]:
        return self.kind, self.dither

    @property
    def original(self) -> bool:
        """Of patches that went through no lossy format, and without any label in their colours."""
        return self.source == ORIGINAL and not self.leaks

    @property
    def name(self) -> str:
        """Short: "companded:2:ordered", "uniform:8 of JPEG 75"."""
        leaking = " PER CLASS (LEAKS)" * self.leaks
        return self.codec + (f" of {self.lossy.label}" if self.lossy else "") + leaking

    @property
    def lossy(self) -> LossyFormat | None:
        """The format of the files that patches went through."""
        return None if self.source == ORIGINAL else parse_lossy(self.source)

    @property
    def compressed(self) -> bool:
        """Whether its frames differ in length."""
        return KINDS[self.kind].compressed


@dataclass(frozen=True)
class CodecFacts(_Coded):
    """A done imagery cell. `bits_per_pixel`: of codes, or of compressed frames. Mean bytes: `link_bytes`, of a frame;
    `source_bytes`, of a lossy file; `payload_bytes`, of such a file without what all share."""


@dataclass(frozen=True)
class Network(_Coded):
    """A done training cell. `data`: which patches it was scored on; only networks with the same are comparable.

    `recipe`: how it was trained, all but the seed, as canonical JSON.
    """

    setting: Setting
    score: Score
    data: str = field(repr=False)
    recipe: str = field(repr=False)

    @property
    def widths(self) -> str:
        return self.setting.widths

    def title(self, main: Setting | None) -> str:
        """Short: "uniform:8, W4A4", with the architecture where it is not that of the main setting."""
        same = main is not None and self.setting.network == main.network
        return f"{self.name}, {self.widths if same else self.setting}"

    @property
    def epochs(self) -> int | None:
        """Of its schedule; early stopping may have ended it sooner."""
        found = (self.row["cell"].get("schedule") or {}).get("epochs")
        return None if found is None else int(found)

    @property
    def origin(self) -> bool:
        """Trained, with a schedule of its own, for others to start from; a float network is their line too."""
        return bool(self.row.get("origin")) and self.setting.weights is not None

    @property
    def builds(self) -> list[Facts]:
        """Builds of its bundle whose report can be read."""
        return [build for build in self.row.get("hardware") or [] if "error" not in build]


@dataclass(frozen=True)
class StoredCodes:
    """A done container cell: mean bytes of a file; `holds`: codes, codes and palette, or decoded patches."""

    codec: str
    kind: str
    bits: int
    dither: str | None
    container: str
    holds: str
    bytes_per_patch: float
    row: Facts = field(repr=False, compare=False)


@dataclass(frozen=True)
class Missing:
    """A cell without a result; `reason`: what it failed with, or that it waits."""

    label: str
    reason: str


@dataclass(frozen=True)
class Results:
    """All that is done of a study at one fidelity, scored on one split, and what is missing."""

    name: str
    fidelity: Fidelity
    networks: tuple[Network, ...]
    codecs: tuple[CodecFacts, ...]
    stored: tuple[StoredCodes, ...]
    missing: tuple[Missing, ...]
    rows: tuple[Facts, ...] = field(repr=False)

    @property
    def split(self) -> str:
        return split_of(self.fidelity)

    @cached_property
    def honest(self) -> tuple[Network, ...]:
        """Without those whose input gives the label away, and quantized ones that others merely start from."""
        return tuple(network for network in self.networks if not network.leaks and not network.origin)


def split_of(fidelity: Fidelity) -> str:
    """The split that accuracies are of: a screen never reads the test split."""
    return "test" if fidelity == "full" else "val"


def results_of(name: str, fidelity: Fidelity, rows: Iterable[Facts]) -> Results:
    """Rows as `table.export` writes them, waiting and failed ones included.

    Raises `StudyError` for a row whose hits contradict its accuracy.
    """
    rows = tuple(rows)
    done = [row for row in rows if row["state"] == "done"]
    shown = [CodecFacts(**_coded(row, row)) for row in done if row["kind"] == "imagery"]
    by_imagery = {(facts.codec, facts.source, facts.leaks): facts.row for facts in shown}
    pixels = next((8 * f.link_bytes / f.bits_per_pixel for f in shown if f.link_bytes and f.bits_per_pixel), None)
    by_digest = {row["digest"]: row for row in rows}
    networks = []
    for row in (row for row in done if row["kind"] == "training"):
        joined = by_imagery.get((row["codec"], row["source"], row["leaks"]))
        score = _score(row, split_of(fidelity))
        if score is not None:
            networks.append(_network(row, joined, score, pixels, _recipe(row, by_digest)))
    return Results(
        name,
        fidelity,
        tuple(networks),
        tuple(shown),
        tuple(_stored(row) for row in done if row["kind"] == "container"),
        tuple(Missing(row["label"], _reason(row)) for row in rows if row["state"] != "done"),
        rows,
    )


def _coded(row: Facts, joined: Facts) -> dict[str, Any]:
    same = ("codec", "bits", "source", "leaks")
    return {
        **{name: row[name] for name in same},
        "kind": row["codec_kind"],
        "dither": dither_name(row["dither"]),
        "bits_per_pixel": joined.get("code_bits_per_pixel"),
        "link_bytes": _either(row, joined, "link_bytes"),
        "source_bytes": _either(row, joined, "source_bytes"),
        "payload_bytes": _either(row, joined, "source_payload_bytes"),
        "row": row,
    }


def _either(row: Facts, joined: Facts, name: str) -> Any:
    """A row's own, which is of the patches that it was scored on, else that of its imagery cell."""
    return row.get(name) or joined.get(name)


def dither_name(value: Any) -> str | None:
    """Of a row: the name of the dither, None without; rows of older studies say whether there is one."""
    return "ordered" if value is True else str(value) if value else None


def _network(row: Facts, joined: Facts | None, score: Score, pixels: float | None, recipe: str) -> Network:
    coded = _coded(row, joined or {})
    if joined is None and pixels and coded["link_bytes"]:
        coded["bits_per_pixel"] = 8 * coded["link_bytes"] / pixels
    setting = Setting(row["network"], row["weights"], row["activations"], row["seed"])
    data = json.dumps(row["cell"]["imagery"]["data"], sort_keys=True)
    return Network(**coded, setting=setting, score=score, data=data, recipe=recipe)


def _recipe(row: Facts, rows: Mapping[str, Facts]) -> str:
    cell = row["cell"]
    schedule = {name: value for name, value in (cell.get("schedule") or {}).items() if name != "seed"}
    same = {name: cell.get(name) for name in ("architecture", "augment", "distill")}
    return json.dumps({**same, "schedule": schedule, "start": _start(row, rows)}, sort_keys=True)


def _start(row: Facts, rows: Mapping[str, Facts]) -> dict[str, Any] | None:
    """What a network starts from, without digests of cells, in which are the seed and the codec of its own."""
    start = row["cell"].get("start")
    if not start:
        return None
    origin = rows.get(start.get("cell"))
    told: dict[str, Any] = {name: start.get(name) for name in ("sha256", "weights")}
    if origin is not None:
        told["codec"] = None if origin["codec"] == row["codec"] else origin["codec"]
        told |= {"widths": [origin["weights"], origin["activations"]], "recipe": _recipe(origin, rows)}
    return told


def _score(row: Facts, split: str) -> Score | None:
    correct, patches = row[f"{split}_correct"], row[f"{split}_patches"]
    if not patches:
        return None
    hits = ((row.get("measures") or {}).get("hits") or {}).get(split)
    if hits is not None and (len(hits), hits.count("1")) != (patches, correct):
        found = f"{hits.count('1')} of {len(hits)}"
        raise StudyError(f"{row['label']}: {correct} of {patches} are right, its hits say {found}; measure it again")
    return Score(correct, patches, row[f"{split}_low"], row[f"{split}_high"], hits)


def _stored(row: Facts) -> StoredCodes:
    return StoredCodes(
        row["codec"], row["codec_kind"], row["bits"], dither_name(row["dither"]), row["container"], row["holds"],
        row["bytes_per_patch"], row,
    )  # fmt: skip


def _reason(row: Facts) -> str:
    return f"failed: {row['error']}" if row["state"] == "failed" else "not done yet"
