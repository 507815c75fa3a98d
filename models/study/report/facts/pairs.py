"""Two networks that differ in one thing: in dither, mask, companding, widths or the length of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from bitswath.models.study.report.facts.compare import Difference, difference
from bitswath.models.study.report.facts.results import Network, Results
from bitswath.models.study.report.facts.select import USUAL_DITHER, compared, main_setting, once, series_order

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
    for key, words in (
        ("epochs", "{} epochs against {}"),
        ("learning_rate", "learning rate {:g} against {:g}"),
        ("precision", "{} against {}"),
    ):
        if key in one and key in other and one[key] != other[key]:
            told.append(words.format(one[key], other[key]))
    return f" ({', '.join(told)})" if told else ""


@dataclass(frozen=True)
class _Sought:
    """What a network is set beside: one like `like`. `what`, `where`: as in `Pair`."""

    what: str
    where: str
    like: Network


def dither_pairs(results: Results) -> list[Pair]:
    """Each dithered network and the plain one of equal kind and bits."""

    def plain(first: Network) -> _Sought | None:
        if first.dither is None:
            return None
        return _Sought(f"{first.dither} dither", f"{first.kind} {first.bits} bit", replace(first, dither=None))

    return _named(results, _pairs(results, plain))


def mask_pairs(results: Results) -> list[Pair]:
    """Each network dithered by another mask than `USUAL_DITHER`, and the one of that, of equal kind and bits."""

    def usual(first: Network) -> _Sought | None:
        if first.dither in (None, USUAL_DITHER):
            return None
        what = f"{first.dither} for {USUAL_DITHER} dither"
        return _Sought(what, f"{first.kind} {first.bits} bit", replace(first, dither=USUAL_DITHER))

    return _named(results, _pairs(results, usual))


def companding_pairs(results: Results) -> list[Pair]:
    """Each companded network and the uniform one of equal bits and dither."""

    def uniform(first: Network) -> _Sought | None:
        if first.kind != "companded":
            return None
        where = f"{first.bits} bit, {first.dither or 'plain'}"
        return _Sought("companded levels", where, replace(first, kind="uniform"))

    return _named(results, _pairs(results, uniform))


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

    def of_most(first: Network) -> _Sought | None:
        if first.setting.weights is None or first.setting.widths == main.widths:
            return None
        usual = replace(first.setting, weights=main.weights, activations=main.activations)
        return _Sought(f"{first.widths} for {main.widths}", first.name, replace(first, setting=usual))

    pairs = _pairs(results, of_most)
    one = len({pair.first.setting.network for pair in pairs}) < 2
    return _with_recipes(pairs) if one else _named(results, pairs, widths=False)


def _pairs(results: Results, sought: Callable[[Network], _Sought | None]) -> list[Pair]:
    """Each network and, where there is one, what is sought for it, of the most usual recipe."""
    pairs = []
    for first in _ordered(results):
        if (other := sought(first)) is not None:
            alike = (second for second in compared(results) if _key(second) == _key(other.like))
            pairs += [Pair(other.what, other.where, first, second) for second in islice(alike, 1)]
    return pairs


def _key(network: Network) -> tuple[object, ...]:
    return network.setting, network.source, network.bits, network.kind, network.dither


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
    """Pairs that are not of the main setting say of which they are; so do those of patches that went through files."""
    main = main_setting(results)
    named = []
    for pair in pairs:
        lossy = pair.first.lossy
        of = f" of {lossy.label}" if lossy and pair.first.name != pair.where else ""
        setting = pair.first.setting
        same = setting == main if widths else main is not None and setting.network == main.network
        which = "" if same else f", {setting if widths else setting.network}"
        named.append(replace(pair, where=pair.where + of + which))
    return _with_recipes(named)


def _with_recipes(pairs: list[Pair]) -> list[Pair]:
    return [replace(pair, where=pair.where + recipe_note(pair.first, pair.second)) for pair in pairs]
