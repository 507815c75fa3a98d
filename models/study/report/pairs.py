"""Two networks that differ in one thing: in dither, mask, companding, widths or the length of training."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bitswath.models.study.report.compare import Difference, difference
from bitswath.models.study.report.results import Network, Results
from bitswath.models.study.report.select import USUAL_DITHER, compared, main_setting, once, series_order

__all__ = [
    "Pair", "companding_pairs", "dither_pairs", "longer_pairs", "mask_pairs", "recipe_note", "width_pairs",
]  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Two networks that differ in one thing, and maybe in their recipes. `what`: what the first has and the second has
    not; `where`: what both have, and their schedules where those differ."""

    what: str
    where: str
    first: Network
    second: Network

    @property
    def difference(self) -> Difference:
        return difference(self.first, self.second)


def recipe_note(first: Network, second: Network) -> str:
    """How else the first was trained: " (16 epochs against 12, learning rate 0.002 against 0.001)"; nothing where both
    were trained alike or it is not known."""
    one, other = (network.row["cell"].get("schedule") or {} for network in (first, second))
    told = []
    for key, words in (("epochs", "{} epochs against {}"), ("learning_rate", "learning rate {:g} against {:g}")):
        if key in one and key in other and one[key] != other[key]:
            told.append(words.format(one[key], other[key]))
    return f" ({', '.join(told)})" if told else ""


def dither_pairs(results: Results) -> list[Pair]:
    """Each dithered network and the plain one of equal kind and bits."""
    pairs = []
    for first in _ordered(results):
        if first.dither:
            for second in _like(results, first, kind=first.kind, dither=None):
                pairs.append(Pair(f"{first.dither} dither", f"{first.kind} {first.bits} bit", first, second))
    return _named(results, pairs)


def mask_pairs(results: Results) -> list[Pair]:
    """Each network dithered by another mask than `USUAL_DITHER`, and the one of that, of equal kind and bits."""
    pairs = []
    for first in _ordered(results):
        if first.dither not in (None, USUAL_DITHER):
            for second in _like(results, first, kind=first.kind, dither=USUAL_DITHER):
                what = f"{first.dither} for {USUAL_DITHER} dither"
                pairs.append(Pair(what, f"{first.kind} {first.bits} bit", first, second))
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


def longer_pairs(results: Results) -> list[Pair]:
    """Each network that was trained for more epochs than its like of the most usual recipe."""
    usual = {(n.codec, n.source, n.setting): n for n in reversed(compared(results))}
    pairs = []
    for first in compared(results):
        second = usual[first.codec, first.source, first.setting]
        if first.epochs and second.epochs and first.epochs > second.epochs:
            pairs.append(Pair("longer training", first.name, first, second))
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
    return _with_recipes(pairs) if one else _named(results, pairs, widths=False)


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
    return _with_recipes(named)


def _with_recipes(pairs: list[Pair]) -> list[Pair]:
    return [replace(pair, where=pair.where + recipe_note(pair.first, pair.second)) for pair in pairs]
