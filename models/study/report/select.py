"""Which networks are set beside which: series, reference lines, pairs that differ in one thing, costs in bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bitswath.containers import parse_container
from bitswath.models.study.report.compare import Difference, difference
from bitswath.models.study.report.results import Network, Results, Setting

__all__ = [
    "Cost", "Pair", "at", "companding_pairs", "compared", "costs", "dither_pairs", "eight_bit", "float_network",
    "main_setting", "pareto_front", "series_of", "width_pairs",
]  # fmt: skip

Series = tuple[str, str | None]

_KINDS = ("uniform", "companded", "palette")


def compared(results: Results) -> list[Network]:
    """Honest networks of the study's first seed: one network for each codec and setting."""
    seed = min((network.setting.seed for network in results.honest), default=0)
    return [network for network in results.honest if network.setting.seed == seed]


def main_setting(results: Results) -> Setting | None:
    """The quantized network that most codecs were tried with."""
    codecs: dict[Setting, set[str]] = {}
    for network in compared(results):
        if network.original and network.setting.weights is not None:
            codecs.setdefault(network.setting, set()).add(network.codec)
    return max(codecs, key=lambda setting: len(codecs[setting]), default=None)


def at(results: Results, setting: Setting | None) -> list[Network]:
    """The networks of a setting on patches that went through no JPEG, each codec once."""
    found: dict[str, Network] = {}
    for network in compared(results):
        if network.setting == setting and network.original:
            found.setdefault(network.codec, network)
    return list(found.values())


def eight_bit(results: Results, setting: Setting | None) -> Network | None:
    """The network of this setting on 8-bit codes of the original patches."""
    return next((network for network in at(results, setting) if network.codec == "uniform:8"), None)


def float_network(results: Results, setting: Setting | None) -> Network | None:
    """The float network on 8-bit patches, of the setting's architecture if it was trained, else of any."""
    found = [n for n in compared(results) if n.original and n.codec == "uniform:8" and n.setting.weights is None]
    same = [network for network in found if setting and network.setting.network == setting.network]
    return next(iter(same or found), None)


def series_of(networks: Iterable[Network]) -> dict[Series, list[Network]]:
    """By codec kind and dither, plain ones first, each from few bits to many."""
    series: dict[Series, list[Network]] = {}
    for network in sorted(networks, key=lambda network: network.bits):
        series.setdefault(network.series, []).append(network)
    return dict(sorted(series.items(), key=lambda item: series_order(item[0])))


def series_order(series: Series) -> tuple[int, str, str]:
    kind, dither = series
    return _KINDS.index(kind) if kind in _KINDS else len(_KINDS), kind, dither or ""


@dataclass(frozen=True)
class Pair:
    """Two networks that differ in one thing. `what`: what the first has and the second has not; `where`: what both
    have."""

    what: str
    where: str
    first: Network
    second: Network

    @property
    def difference(self) -> Difference:
        return difference(self.first, self.second)


def dither_pairs(results: Results) -> list[Pair]:
    """Each dithered network and the plain one of equal kind and bits."""
    pairs = []
    for first in _ordered(results):
        if first.dither:
            for second in _like(results, first, kind=first.kind, dither=None):
                pairs.append(Pair(f"{first.dither} dither", f"{first.kind} {first.bits} bit", first, second))
    return _named(results, pairs)


def companding_pairs(results: Results) -> list[Pair]:
    """Each companded network and the uniform one of equal bits and dither."""
    pairs = []
    for first in _ordered(results):
        if first.kind == "companded":
            for second in _like(results, first, kind="uniform", dither=first.dither):
                where = f"{first.bits} bit" + (f", {first.dither}" if first.dither else ", plain")
                pairs.append(Pair("companded levels", where, first, second))
    return _named(results, pairs)


def width_pairs(results: Results) -> list[Pair]:
    """Each quantized network of other widths than most, and the one of those widths on the same patches."""
    main = main_setting(results)
    if main is None:
        return []
    pairs = []
    for first in _ordered(results):
        setting = first.setting
        usual = replace(setting, weights=main.weights, activations=main.activations)
        if setting.weights is not None and setting.widths != main.widths:
            for second in _like(results, replace(first, setting=usual), kind=first.kind, dither=first.dither):
                pairs.append(Pair(f"{first.widths} for {main.widths}", first.name, first, second))
    return pairs if len({pair.first.setting.network for pair in pairs}) < 2 else _named(results, pairs, widths=False)


def _like(results: Results, network: Network, kind: str, dither: str | None) -> list[Network]:
    """At most one network that is like another but for kind and dither."""
    alike = (network.setting, network.source, network.bits, kind, dither)
    found = [n for n in compared(results) if (n.setting, n.source, n.bits, n.kind, n.dither) == alike]
    return found[:1]


def _ordered(results: Results) -> list[Network]:
    """The main setting first, then by setting, series and bits."""
    main = main_setting(results)
    return sorted(
        compared(results),
        key=lambda n: (
            n.setting != main,
            n.setting.network,
            -(n.setting.weights or 99),
            series_order(n.series),
            n.bits,
        ),
    )


def _named(results: Results, pairs: list[Pair], widths: bool = True) -> list[Pair]:
    """Pairs that are not of the main setting say of which they are; so do those of JPEG'd patches."""
    main = main_setting(results)
    named = []
    for pair in pairs:
        of = f" of JPEG {pair.first.quality}" if pair.first.quality and pair.first.name != pair.where else ""
        setting = pair.first.setting
        same = setting == main if widths else main is not None and setting.network == main.network
        which = "" if same else f", {setting if widths else setting.network}"
        named.append(replace(pair, where=pair.where + of + which))
    return named


@dataclass(frozen=True)
class Cost:
    """A network's accuracy at so many bytes a patch. `how`: "link" (a packed frame), "file" (its codes in their
    smallest lossless container) or "jpeg" (the JPEG that its patches went through)."""

    how: str
    label: str
    bytes_per_patch: float
    network: Network


def costs(results: Results) -> list[Cost]:
    """All ways to keep or send what the networks of the main setting take, by bytes."""
    main = main_setting(results)
    found = []
    for network in at(results, main):
        if network.link_bytes:
            found.append(Cost("link", f"{network.codec} packed", network.link_bytes, network))
        if smallest := smallest_file(results, network.codec):
            found.append(Cost("file", f"{network.codec} in {smallest[0]}", smallest[1], network))
    for network in compared(results):
        if network.setting == main and network.quality and network.source_bytes:
            label = f"JPEG {network.quality}" + ("" if network.codec == "uniform:8" else f", {network.codec}")
            found.append(Cost("jpeg", label, network.source_bytes, network))
    return sorted(found, key=lambda cost: cost.bytes_per_patch)


def smallest_file(results: Results, codec: str) -> tuple[str, float] | None:
    """The lossless container that keeps the codec's codes in the fewest bytes, and how many."""
    sizes = {
        stored.container: stored.bytes_per_patch
        for stored in results.stored
        if stored.codec == codec and stored.holds.startswith("codes") and parse_container(stored.container).lossless
    }
    return min(sizes.items(), key=lambda item: item[1], default=None)


def pareto_front(points: list[Cost]) -> list[Cost]:
    """Those that no other beats: fewer bytes at the same or a better accuracy, or a better one at the same bytes."""
    front: list[Cost] = []
    for point in sorted(points, key=lambda cost: (cost.bytes_per_patch, -cost.network.score.accuracy)):
        if not front or point.network.score.accuracy > front[-1].network.score.accuracy:
            front.append(point)
    return front
