"""Which networks are set beside which: series, reference lines, pairs, costs in bytes, leaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bitswath.containers import parse_container
from bitswath.models.study.report.compare import Difference, difference
from bitswath.models.study.report.results import Network, Results, Setting
from bitswath.report import wilson_interval

__all__ = [
    "Cost", "LeakRow", "Pair", "at", "companding_pairs", "compared", "costs", "dither_pairs", "dithers_of",
    "eight_bit", "epochs_note", "float_network", "leak_rows", "main_setting", "once", "pareto_front", "series_of",
    "width_pairs",
]  # fmt: skip

Series = tuple[str, str | None]

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
    """The networks of a setting on patches that went through no JPEG, each codec once."""
    return once(network for network in compared(results) if network.setting == setting and network.original)


def eight_bit(results: Results, setting: Setting | None) -> Network | None:
    """The network of this setting on 8-bit codes of the original patches."""
    return next((network for network in at(results, setting) if network.codec == "uniform:8"), None)


def float_network(results: Results, setting: Setting | None) -> Network | None:
    """The float network of the setting's architecture on 8-bit patches."""
    found = [n for n in compared(results) if n.original and n.codec == "uniform:8" and n.setting.weights is None]
    return next((network for network in found if setting and network.setting.network == setting.network), None)


def dithers_of(results: Results) -> list[str]:
    """All dithers of the study, "ordered" first."""
    found = {item.dither for item in (*results.networks, *results.codecs) if item.dither}
    return sorted(found, key=lambda name: (name != "ordered", name))


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
    """Two networks that differ in one thing, and maybe in their recipes. `what`: what the first has and the second has
    not; `where`: what both have, and their epochs where those differ."""

    what: str
    where: str
    first: Network
    second: Network

    @property
    def difference(self) -> Difference:
        return difference(self.first, self.second)


def epochs_note(first: Network, second: Network) -> str:
    """Such as " (16 epochs against 12)"; nothing where both have as many or it is not known."""
    if first.epochs is None or second.epochs is None or first.epochs == second.epochs:
        return ""
    return f" ({first.epochs} epochs against {second.epochs})"


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
    one = len({pair.first.setting.network for pair in pairs}) < 2
    return _with_epochs(pairs) if one else _named(results, pairs, widths=False)


def _like(results: Results, network: Network, kind: str, dither: str | None) -> list[Network]:
    """At most one network that is like another but for kind and dither, of the most usual recipe."""
    alike = (network.setting, network.source, network.bits, kind, dither)
    found = [n for n in compared(results) if (n.setting, n.source, n.bits, n.kind, n.dither) == alike]
    return found[:1]


def _ordered(results: Results) -> list[Network]:
    """Each codec and setting once: the main setting first, then by setting, series and bits."""
    main = main_setting(results)
    return sorted(
        once(compared(results)),
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
    return _with_epochs(named)


def _with_epochs(pairs: list[Pair]) -> list[Pair]:
    return [replace(pair, where=pair.where + epochs_note(pair.first, pair.second)) for pair in pairs]


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
    for network in once(compared(results)):
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
