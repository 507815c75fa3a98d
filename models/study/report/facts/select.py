"""Which networks a report shows: series, reference lines, costs in bytes, leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bitswath.basics.proportions import wilson_interval
from bitswath.imagery.code_files import parse_container, write
from bitswath.models.study.report.facts.results import Network, Results, Setting

__all__ = [
    "SHARED", "USUAL_DITHER", "Cost", "LeakRow", "at", "compared", "costs", "dithers_of", "eight_bit", "float_network",
    "jpeg_head_bytes", "leak_rows", "longer_costs", "main_setting", "once", "pareto_front", "series_of", "series_order",
]  # fmt: skip

Series = tuple[str, str | None]

USUAL_DITHER = "ordered"
"""The Bayer mask of 8 x 8, which others are compared with."""

SHARED = ", shared head"
"""Of files that leave out what is the same in all."""

_KINDS = ("uniform", "companded", "palette")


def compared(results: Results) -> list[Network]:
    """Honest networks of the study's first seed, those of their setting's most usual recipe first."""
    seed = min((network.setting.seed for network in results.honest), default=0)
    found = [network for network in results.honest if network.setting.seed == seed]
    counts = Counter((network.setting, network.recipe) for network in found)
    usual = dict(reversed([recipe for recipe, _ in counts.most_common()]))
    return sorted(found, key=lambda network: network.recipe != usual[network.setting])


def once(networks: Iterable[Network]) -> list[Network]:
    """The first of each codec, source and setting."""
    found: dict[tuple[str, str, Setting], Network] = {}
    for network in networks:
        found.setdefault((network.codec, network.source, network.setting), network)
    return list(found.values())


def main_setting(results: Results) -> Setting | None:
    """The quantized network that most codecs were tried with."""
    codecs: dict[Setting, set[str]] = {}
    for network in compared(results):
        if network.original and network.setting.weights is not None:
            codecs.setdefault(network.setting, set()).add(network.codec)
    return max(codecs, key=lambda setting: len(codecs[setting]), default=None)


def at(results: Results, setting: Setting | None) -> list[Network]:
    """The networks of a setting on patches that went through no lossy file, each codec once."""
    return once(network for network in compared(results) if network.setting == setting and network.original)


def eight_bit(results: Results, setting: Setting | None) -> Network | None:
    """The network of this setting on 8-bit codes of the original patches."""
    return next((network for network in at(results, setting) if network.codec == "uniform:8"), None)


def float_network(results: Results, setting: Setting | None) -> Network | None:
    """The float network of the setting's architecture on 8-bit patches."""
    found = [n for n in compared(results) if n.original and n.codec == "uniform:8" and n.setting.weights is None]
    return next((network for network in found if setting and network.setting.network == setting.network), None)


def dithers_of(results: Results) -> list[str]:
    """All dithers of the study, the usual one first."""
    found = {item.dither for item in (*results.networks, *results.codecs) if item.dither}
    return sorted(found, key=lambda name: (name != USUAL_DITHER, name))


def series_of(networks: Iterable[Network]) -> dict[Series, list[Network]]:
    """By codec kind and dither, plain ones first, each from few bits to many."""
    series: dict[Series, list[Network]] = {}
    for network in sorted(networks, key=lambda network: (network.bits, network.bits_per_pixel or 0)):
        series.setdefault(network.series, []).append(network)
    return dict(sorted(series.items(), key=lambda item: series_order(item[0])))


def series_order(series: Series) -> tuple[int, str, str]:
    kind, dither = series
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS), kind, dither or ""


@dataclass(frozen=True)
class Cost:
    """A network's accuracy at so many bytes a patch. `how`: "link" (a frame), "file" (its codes in their smallest
    lossless container), "lossy" (the lossy file that its patches went through) or "payload" (that file without what
    all share)."""

    how: str
    label: str
    bytes_per_patch: float
    network: Network

    @property
    def lossy(self) -> bool:
        """Whether a lossy format, and no codec, leaves so few bytes."""
        return self.how in ("lossy", "payload")

    @property
    def series(self) -> str:
        """Of a lossy format: its name, that of its payloads, and the codec that follows where it is not 8 bits."""
        name = self.network.lossy.name if self.network.lossy else self.network.kind
        return name + SHARED * (self.how == "payload") + _then(self.network)


def costs(results: Results) -> list[Cost]:
    """All ways to keep or send what the networks of the main setting take, by bytes; see `longer_costs`."""
    main, epochs = main_setting(results), usual_epochs(results)
    found = []
    for network in (network for network in at(results, main) if network.epochs == epochs):
        if network.link_bytes:
            label = network.codec if network.compressed else f"{network.codec} packed"
            found.append(Cost("link", label, network.link_bytes, network))
        if smallest := smallest_file(results, network.codec):
            found.append(Cost("file", f"{network.codec} in {smallest[0]}", smallest[1], network))
    for network in once(compared(results)):
        if network.setting == main and network.epochs == epochs and network.lossy:
            label = network.lossy.label
            if network.source_bytes:
                found.append(Cost("lossy", label + _then(network), network.source_bytes, network))
            if network.payload_bytes and network.payload_bytes < (network.source_bytes or 0):
                found.append(Cost("payload", label + SHARED + _then(network), network.payload_bytes, network))
    return sorted(found, key=lambda cost: cost.bytes_per_patch)


def longer_costs(results: Results) -> list[Cost]:
    """Compressed frames of which there are only networks of the main setting that were trained for another number of
    epochs than most: not to be set beside the others."""
    found = [n for n in at(results, main_setting(results)) if n.compressed and n.epochs != usual_epochs(results)]
    return [Cost("link", f"{n.codec}, {n.epochs} epochs", n.link_bytes, n) for n in found if n.link_bytes]


def usual_epochs(results: Results) -> int | None:
    """Of most networks of the main setting."""
    epochs = Counter(network.epochs for network in at(results, main_setting(results)))
    return next((found for found, _ in epochs.most_common(1)), None)


def _then(network: Network) -> str:
    """The codec that follows a lossy file, where it is not that of 8 bits."""
    return "" if network.codec == "uniform:8" or not network.lossy else f", {network.codec}"


def smallest_file(results: Results, codec: str) -> tuple[str, float] | None:
    """The lossless container that keeps the codec's codes in the fewest bytes, and how many: a palette's also as the
    colours that they stand for, if no two are the same."""
    sizes = {}
    for stored in results.stored:
        if stored.codec == codec and parse_container(stored.container).lossless:
            if stored.holds.startswith("codes"):
                sizes[stored.container] = stored.bytes_per_patch
            elif _colours_tell_codes(results, codec):
                sizes[f"{stored.container}, as colours"] = stored.bytes_per_patch
    return min(sizes.items(), key=lambda item: item[1], default=None)


def _colours_tell_codes(results: Results, codec: str) -> bool:
    for facts in results.codecs:
        if facts.codec == codec and facts.original:
            colours = facts.row["measures"].get("codec", {}).get("colours", ())
            return bool(colours) and len({tuple(colour) for colour in colours}) == len(colours)
    return False


def jpeg_head_bytes() -> int:
    """Of a colour JPEG's bytes those before its scan: headers and tables, which are the same in every file."""
    return write(parse_container("jpeg:75"), np.zeros((8, 8, 3), np.uint8), 8).index(b"\xff\xda")


def pareto_front(points: list[Cost]) -> list[Cost]:
    """Those that no other beats: fewer bytes at the same or a better accuracy, or a better one at the same bytes."""
    front: list[Cost] = []
    for point in sorted(points, key=lambda cost: (cost.bytes_per_patch, -cost.network.score.accuracy)):
        if not front or point.network.score.accuracy > front[-1].network.score.accuracy:
            front.append(point)
    return front


@dataclass(frozen=True)
class LeakRow:
    """A share with its interval; `leaks`: whether the label was in the colours."""

    what: str
    leaks: bool
    accuracy: float
    low: float
    high: float


def leak_rows(results: Results) -> dict[int, list[LeakRow]]:
    """By palette bits: the rule that compares palettes, on leaking and on honest patches, and the networks."""
    found: dict[int, list[LeakRow]] = {}
    for facts in sorted(results.codecs, key=lambda facts: facts.bits):
        rule = (facts.row.get("measures") or {}).get("palette_rule")
        if facts.leaks and rule:
            total = facts.row["measured_patches"]
            rows = [_rule("rule, palettes by class: LEAKS", True, rule["per_class"], total)]
            rows.append(_rule("rule, one palette for all", False, rule["shared"], total))
            found[facts.bits] = rows + _leak_networks(results, facts.codec)
    return found


def _rule(what: str, leaks: bool, found: dict[str, float], total: int) -> LeakRow:
    return LeakRow(what, leaks, found["accuracy"], *wilson_interval(int(found["correct"]), total))


def _leak_networks(results: Results, codec: str) -> list[LeakRow]:
    main = main_setting(results)
    honest = [n for n in compared(results) if n.setting == main and n.original and n.codec == codec]
    leaking = [n for n in results.networks if n.leaks and n.codec == codec and n.setting == main]
    rows = [("network, palettes by class: LEAKS", True, n) for n in leaking[:1]]
    rows += [("network, one palette for all", False, n) for n in honest[:1]]
    return [_scored(*row) for row in rows]


def _scored(what: str, leaks: bool, network: Network) -> LeakRow:
    return LeakRow(what, leaks, network.score.accuracy, network.score.low, network.score.high)
