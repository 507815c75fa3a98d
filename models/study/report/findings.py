"""What was found, in sentences: each computed from the rows, with its interval, and left out where rows are missing.

A difference whose interval includes zero is said to be within noise. Rows that leak appear in the finding about the
leak alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from bitswath.models.study.report.facts.compare import difference
from bitswath.models.study.report.facts.curves import Beside, beside, compressed, smallest_forms
from bitswath.models.study.report.facts.pairs import (
    Pair,
    companding_pairs,
    dither_pairs,
    longer_pairs,
    mask_pairs,
    recipe_note,
    width_pairs,
)
from bitswath.models.study.report.facts.results import Facts, Network, Results, Score
from bitswath.models.study.report.facts.select import (
    Cost,
    at,
    compared,
    costs,
    eight_bit,
    float_network,
    jpeg_head_bytes,
    leak_rows,
    main_setting,
)

__all__ = ["FINDINGS", "MARGIN", "findings", "share"]

MARGIN = 0.01
"""A codec is as good as 8 bits if the whole interval of the difference lies above minus this."""


def findings(results: Results) -> list[str]:
    """Every sentence that the rows allow."""
    return [sentence for find in FINDINGS for sentence in find(results)]


def share(score: Score) -> str:
    """In percent: "95.6 % (95.0-96.1)"."""
    return f"{100 * score.accuracy:.1f} % ({100 * score.low:.1f}-{100 * score.high:.1f})"


def fewest_bits(results: Results) -> list[str]:
    """The fewest bits a pixel that are no worse than 8 bits a band, by more than a margin."""
    main = main_setting(results)
    reference = eight_bit(results, main)
    fewer = [
        network
        for network in at(results, main)
        if reference and (network.bits_per_pixel or math.inf) < (reference.bits_per_pixel or 0)
    ]
    if reference is None or not fewer:
        return []
    margin = f"{100 * MARGIN:g} point{'s' * (MARGIN != 0.01)}"
    rule = f"its whole 95 % interval lies above -{margin}"
    whole = f"{reference.codec} ({_bits(reference)}): {share(reference.score)}"
    enough = [network for network in fewer if difference(network, reference).low > -MARGIN]
    if not enough:
        best = max(fewer, key=lambda network: (difference(network, reference).low, -(network.bits_per_pixel or 0)))
        return [
            f"No codec of fewer bits is shown to be within {margin} of {whole} ({rule}); nearest is {best.codec}"
            f" ({_bits(best)}) at {share(best.score)}, {_against(best, reference)}."
        ]
    found = min(enough, key=lambda network: (network.bits_per_pixel or math.inf, -network.score.accuracy))
    return [
        f"Of {len(fewer)} codecs with fewer bits than {whole}, the one of fewest bits within {margin} is {found.codec}"
        f" ({_bits(found)}): {share(found.score)}, {_against(found, reference)} ({main}; within: {rule})."
    ]


def quantization(results: Results) -> list[str]:
    """What the main setting costs against the float network of its architecture."""
    main = main_setting(results)
    whole, reference = float_network(results, main), eight_bit(results, main)
    if main is None or whole is None or reference is None:
        return []
    return [
        f"The float network reaches {share(whole.score)} on 8-bit patches, {main} {share(reference.score)}:"
        f" {_against(reference, whole)}{_started(results, reference)}."
    ]


def _started(results: Results, network: Network) -> str:
    """Where its training began elsewhere: then a difference to another is not of quantization alone."""
    start = network.row["cell"].get("start")
    if not start:
        return ""
    origin = next((row for row in results.rows if row["digest"] == start.get("cell")), None)
    kind = "trained" if origin is None else "float" if origin["weights"] is None else "quantized"
    how = "starts from" if start.get("weights", True) else "learned from"
    return f"; {network.codec} {network.setting} {how} a {kind} network, so the difference is not of quantization alone"


def _against(first: Network, second: Network) -> str:
    return f"{difference(first, second)}{recipe_note(first, second)}"


def dithering(results: Results) -> list[str]:
    """What each dither changes, a sentence for each dither and kind of codec."""
    return _by_change(dither_pairs(results), lambda pair: pair.first.kind)


def masks(results: Results) -> list[str]:
    """What other masks change against the usual one: their size, their noise, the bands shifted or not."""
    return _by_change(mask_pairs(results), lambda pair: "")


def companding(results: Results) -> list[str]:
    """What levels fitted to the data change against uniform ones."""
    return _by_change(companding_pairs(results), lambda pair: "")


def longer(results: Results) -> list[str]:
    """What more epochs than the usual bring."""
    return _by_change(longer_pairs(results), lambda pair: "")


def widths(results: Results) -> list[str]:
    """What narrower or wider weights and activations cost."""
    return _by_change(width_pairs(results), lambda pair: "")


def _by_change(pairs: Iterable[Pair], group: Callable[[Pair], str]) -> list[str]:
    changes: dict[tuple[str, str], list[str]] = {}
    for pair in pairs:
        changes.setdefault((pair.what, group(pair)), []).append(f"{pair.where} {pair.difference}")
    return [f"{what[0].upper()}{what[1:]}: {'; '.join(told)}." for (what, _), told in changes.items()]


def fewest_bytes(results: Results) -> list[str]:
    """The fewest bytes at an accuracy that codes and a lossy format both reach, a sentence for each format, and what
    JPEG does not reach where no frames are compressed."""
    points = costs(results)
    codes = [cost for cost in points if not cost.lossy]
    formats: dict[str, list[Cost]] = {}
    for cost in points:
        if cost.lossy and cost.network.lossy:
            formats.setdefault(cost.network.lossy.name, []).append(cost)
    sentences = [_fewest(codes, of, name) for name, of in formats.items()] if codes else []
    if sentences and not compressed(results):
        smallest = min(codes, key=lambda cost: cost.bytes_per_patch)
        sentences += [told for name, of in formats.items() for told in _not_smaller(smallest, of, name)]
    return sentences


def _fewest(codes: list[Cost], lossy: list[Cost], name: str) -> str:
    reached = math.floor(100 * min(max(map(_accuracy, codes)), max(map(_accuracy, lossy))) + 1e-9)
    ours, theirs = (_cheapest(found, reached / 100) for found in (codes, lossy))
    fewer, more = sorted((ours, theirs), key=lambda cost: cost.bytes_per_patch)
    ratio = more.bytes_per_patch / fewer.bytes_per_patch
    sentence = (
        f"At a measured accuracy of {reached} % or more the fewest bytes a patch are {_cost(ours)}, with {name}"
        f" {_cost(theirs)}: {fewer.label} needs {ratio:.1f} times fewer."
    )
    if theirs.how == "payload" or name != "JPEG":
        return sentence
    head = jpeg_head_bytes()
    return (
        f"{sentence} Of each JPEG {head} bytes are headers and tables; files that shared them would have"
        f" {theirs.bytes_per_patch - head:,.0f} here."
    )


def equal_bytes(results: Results) -> list[str]:
    """Compressed frames beside each lossy format at equal bytes, in its form of fewest bytes, and how often which is
    ahead."""
    frames = compressed(results)
    sentences, everything = [], []
    for curve in smallest_forms(results):
        if found := [one for first in frames if (one := beside(first, curve)) is not None]:
            told = "; ".join(map(_beside, found))
            sentences.append(f"{_kinds(frames)} minus {curve.name} at equal bytes: {told}.")
            everything += found
    return [*sentences, _standings(everything)] if everything else []


def _beside(one: Beside) -> str:
    least = f", whose smallest have {one.curve.reach[0]:,.0f}" if one.smallest else ""
    note = recipe_note(one.first.network, one.curve.points[0].network)
    return f"{one.first.bytes_per_patch:,.0f} bytes{least} {one.difference}{note}"


def _standings(found: list[Beside]) -> str:
    """How often frames are ahead, and each place where they are behind; of a format's smallest files, which have more
    bytes, only that frames are ahead of them says something at equal bytes."""
    found = [one for one in found if not one.smallest or one.ahead]
    ahead, behind = (sum(getattr(one, which) for one in found) for which in ("ahead", "behind"))
    where = [f"{one.curve.name} at {one.first.bytes_per_patch:,.0f}" for one in found if one.behind]
    told = f" ({', '.join(where)})" if where else ""
    return (
        f"Of these {len(found)} comparisons at equal bytes {_kinds([one.first for one in found]).lower()} frames are"
        f" ahead in {ahead}, behind in {behind}{told}, within noise in {len(found) - ahead - behind}."
    )


def _kinds(frames: list[Cost]) -> str:
    return " and ".join(dict.fromkeys(cost.network.kind for cost in frames)).capitalize()


def _not_smaller(smallest: Cost, lossy: list[Cost], name: str) -> list[str]:
    """The fewest bytes of codes beside the lossy file of at least as few."""
    below = [cost for cost in lossy if cost.bytes_per_patch >= smallest.bytes_per_patch]
    if not below:
        return []
    nearest = min(below, key=lambda cost: cost.bytes_per_patch)
    found = _against(smallest.network, nearest.network)
    return [f"The fewest bytes of all codes are {_cost(smallest)}; of {name} not smaller, {_cost(nearest)}: {found}."]


def _accuracy(cost: Cost) -> float:
    return cost.network.score.accuracy


def _cheapest(points: list[Cost], accuracy: float) -> Cost:
    return min((c for c in points if _accuracy(c) >= accuracy), key=lambda cost: cost.bytes_per_patch)


def _cost(cost: Cost) -> str:
    return f"{cost.bytes_per_patch:,.0f} ({cost.label}, {share(cost.network.score)})"


def leaking(results: Results) -> list[str]:
    """What palettes by class give away to a rule that learns nothing."""
    sentences = []
    for bits, rows in leak_rows(results).items():
        told = "; ".join(f"{r.what} {100 * r.accuracy:.1f} % ({100 * r.low:.1f}-{100 * r.high:.1f})" for r in rows)
        sentences.append(f"LEAK, palettes of {bits} bit: {told}. What leaks measures the palette, not the network.")
    return sentences


def hardware(results: Results) -> list[str]:
    """The fastest build on each board, and what it needs."""
    built = [(network, build) for network in compared(results) for build in network.builds]
    sentences = []
    for board in sorted({str(build["board"]) for _, build in built}):
        network, build = max(
            ((n, b) for n, b in built if b["board"] == board), key=lambda found: float(found[1]["hw_patches_per_s"])
        )
        sentences.append(
            f"On {board} the fastest build, {network.name} {network.setting} ({share(network.score)}), takes"
            f" {build['hw_patches_per_s']:,.0f} patches/s at {build['clock_hz'] / 1e6:g} MHz in"
            f" {build['lut']:,.0f} LUT, {build['bram36']:g} RAMB36 and {build['dsp']:,.0f} DSP (simulated"
            f" cycles; {_energy(build)})."
        )
    return sentences


def _energy(build: Facts) -> str:
    if build.get("energy_j") is None:
        return "energy is not measured"
    mean, low, high = (f"{1e3 * build[name]:.3g}" for name in ("energy_j", "energy_low_j", "energy_high_j"))
    return f"{mean} mJ a patch ({low} to {high}), net of idle"


def seeds(results: Results) -> list[str]:
    """How far networks lie apart that differ in their seed alone."""
    groups: dict[tuple[object, ...], list[Network]] = {}
    for n in results.honest:
        key = (n.codec, n.source, n.setting.network, n.setting.weights, n.setting.activations, n.recipe)
        groups.setdefault(key, []).append(n)
    tried = [group for group in groups.values() if len({n.setting.seed for n in group}) > 1]
    spreads = [max(a) - min(a) for a in ([n.score.accuracy for n in group] for group in tried)]
    if not spreads:
        return []
    widest, count = max(spreads), len(spreads)
    return [f"Networks that differ in their seed alone lie up to {100 * widest:.1f} points apart ({count} tried)."]


def _bits(network: Network) -> str:
    return f"{network.bits_per_pixel or 0:.3g} bits a pixel"


FINDINGS: tuple[Callable[[Results], list[str]], ...] = (
    fewest_bits, quantization, dithering, masks, companding, longer, widths, fewest_bytes, equal_bytes, hardware, seeds,
    leaking,
)  # fmt: skip
"""In the order of the page; each gives no sentence where its rows are missing."""
