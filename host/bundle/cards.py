"""The card of a bundle of the zoo: NAME.md beside NAME.bsw.

Made from what `bitswath.bundle.zoo_entry` reads and from nothing else, so that it can be made again anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bitswath.bundle.zoo_entry import Entry, Facts, facts, percent

__all__ = ["card"]


@dataclass(frozen=True)
class _Data:
    """A data set: what it is, under which licence, whom to cite, and what a network trained on it is for."""

    what: str
    licence: str
    citation: str
    use: str


_CLOUDLESS = "It knows nothing of clouds, of other sensors or resolutions, nor of other regions."
_ELSEWHERE = "Its accuracy elsewhere is unknown: measure it on labelled images of your own before you rely on it."
_HELBER = (
    "Helber, Bischke, Dengel, Borth: EuroSAT: A Novel Dataset and Deep Learning Benchmark for Land Use and Land Cover"
    " Classification. IEEE JSTARS 12 (7), 2019"
)
_DATA = {
    "eurosat": _Data(
        "EuroSAT RGB: Sentinel-2 patches of 64 x 64 at 10 m, Europe",
        "MIT; contains Copernicus Sentinel data",
        _HELBER,
        f"For comparing few-bit classifiers and as a start for land cover from Sentinel-2. {_CLOUDLESS}",
    ),
    "eurosat_ms": _Data(
        "EuroSAT MS: Sentinel-2 patches of 64 x 64 with 13 bands, Europe",
        "MIT; contains Copernicus Sentinel data",
        _HELBER,
        f"For comparing few-bit classifiers and as a start for land cover from Sentinel-2. {_CLOUDLESS}",
    ),
    "aid": _Data(
        "AID: aerial images of 600 x 600 in 30 classes of scenes, 0.5 to 8 m a pixel, several countries",
        "unclear: the images come from Google Earth, so ask the publisher; none of them is in bitswath",
        "Xia, Hu, Hu, Shi, Bai, Zhong, Zhang, Lu: AID: A Benchmark Data Set for Performance Evaluation of Aerial Scene"
        " Classification. IEEE TGRS 55 (7), 2017",
        "For comparing few-bit classifiers on scenes of many classes, and as a start for your own aerial imagery. Ask"
        " whether the licence of the images lets you use what was trained on them as you mean to.",
    ),
    "synthetic": _Data(
        "procedural land cover, drawn by `bitswath.models.data.synthetic`",
        "Apache-2.0, as bitswath",
        "none",
        "For trials and tests without data. It says nothing about real imagery.",
    ),
}


def card(entry: Entry) -> str:
    """The card in Markdown."""
    known = facts(entry)
    data = _DATA.get(str(known["data"]))
    sections = [
        f"# {known['name']}",
        " ".join(entry.notes),
        _table(("", ""), _description(entry, known, data)),
        "## Accuracy",
        _accuracy(entry),
        *(["## Hardware", *_hardware(known["hardware"])] if entry.builds else []),
        "## Use",
        _use(entry, known, data),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _description(entry: Entry, known: Facts, data: _Data | None) -> Iterable[tuple[str, str]]:
    inputs = entry.bundle.manifest.input
    height, width, bands = inputs.patch_shape
    yield "data", data.what if data else str(known["data"] or "not known")
    yield "training split", _code(known["dataset_digest"]) if known["dataset_digest"] else "not known"
    yield "classes", f"{len(known['classes'])}: {', '.join(known['classes'])}"
    done = {"resize": "resized", "crop": "cropped"}
    fitted = "".join(f", images {done[option]} to {size[0]} x {size[1]}" for option, size in _fit(entry).items())
    yield "patch", f"{height} x {width}, {bands} bands of {inputs.patch_dtype}{fitted}"
    yield from _link(entry, known)
    yield "network", _network(entry)
    yield "weights and activations", _widths(entry)
    yield "multiply-accumulates per patch", f"{known['macs']:,}"
    yield "parameters", f"{known['parameters']:,} weights, {known['thresholds']:,} thresholds"
    if entry.training:
        yield "training", _training(entry)
    yield "bundle", f"{known['bundle_bytes'] / 1e6:.2f} MB"
    yield "licence of the data", data.licence if data else "not known: ask its publisher"
    yield "cite", data.citation if data else "the publisher of the data"


def _link(entry: Entry, known: Facts) -> Iterable[tuple[str, str]]:
    inputs, raw = entry.bundle.manifest.input, known["raw_bytes"]
    pixels, times = math.prod(inputs.patch_shape[:2]), raw / known["link_bytes"]
    fewer = f"; raw {raw:,}, {times:.1f} times as many" if times > 1 else ""
    if entry.bundle.codec.compressed:
        yield "codec", f"{_code(known['codec'])}: compressed frames of the patch, decoded to 8 bits a band"
        yield "bytes per patch on the link", f"at most {known['link_bytes']:,}{fewer}"
        return
    instead = f"instead of {8 * raw // pixels}" if times > 1 else "as in the image"
    yield (
        "codec",
        f"{_code(known['codec'])}: {inputs.bits * math.prod(inputs.code_shape) // pixels} bits a pixel {instead}",
    )
    yield "bytes per patch on the link", f"{known['link_bytes']:,}{fewer}"


def _network(entry: Entry) -> str:
    shape = entry.training.get("architecture")
    if not shape:
        return "made by another tool"
    widths = ", ".join(map(str, shape.get("widths") or ["default widths"]))
    multiplier = f", times {shape['multiplier']:g}" if shape.get("multiplier", 1) != 1 else ""
    return f"{shape['kind']} ({widths}{multiplier}), {shape.get('head', 'dense')} head"


def _widths(entry: Entry) -> str:
    layers: Facts = (entry.training.get("widths") or {}).get("layers", {})
    own = [f"{layer} {what} {bits}" for layer, of in layers.items() for what, bits in of.items() if bits is not None]
    return ", ".join([entry.widths, *own])


def _training(entry: Entry) -> str:
    """Epochs of the log, else those that the schedule asked for; schedule, augmentation, start and teacher."""
    schedule: Facts = entry.training["schedule"]
    floats = sum(line.get("phase") == "float" for line in entry.log) or schedule["float_epochs"]
    epochs = sum(line.get("phase") == "quantized" for line in entry.log) or schedule["epochs"]
    parts = [
        *([f"{floats} epochs in floating point, then"] if floats else []),
        f"{epochs} epochs quantization-aware, the best by validation kept; cosine schedule from"
        f" {schedule['learning_rate']:g}, batch {schedule['batch']}, weight decay {schedule['weight_decay']:g},",
        f"label smoothing {schedule['label_smoothing']:g}, {schedule['precision']}, seed {schedule['seed']};",
        _augment(entry),
    ]
    if start := entry.training.get("start"):
        parts.append(f"; weights start from {start}")
    if distill := entry.training.get("distill"):
        parts.append(f"; distilled from {distill['teacher']}, {_pairs(distill, ('temperature', 'weight'))}")
    return " ".join(parts).replace(" ;", ";")


def _augment(entry: Entry) -> str:
    changes: Facts = entry.training.get("augment", {})
    named = [name for name in ("flips", "rotations") if changes.get(name)]
    shift = changes.get("shift")
    named += [f"shifts to {shift} pixels"] if shift else []
    zoom = changes.get("zoom")
    return ", ".join([*named, *([f"zooms to {1 + zoom:g} times"] if zoom else [])]) or "no augmentation"


def _fit(entry: Entry) -> dict[str, Sequence[int]]:
    """What brought images to the patches' size, in order: the options of `bitswath classify`."""
    data: Facts = entry.training.get("data", {})
    return {option: data[option] for option in ("resize", "crop") if data.get(option)}


def _accuracy(entry: Entry) -> str:
    measured = entry.bundle.manifest.accuracy
    if not measured:
        return "Not measured."
    ordered = sorted(measured, key=lambda split: (split != "val", split))
    rows = [(name, percent(found := measured[name]), f"{found.correct:,} of {found.patches:,}") for name in ordered]
    return (
        f"{_table(('split', '95 % interval', 'correct'), rows)}\n\n"
        "On the emulator, which computes the integers that hardware computes. The epoch was chosen on val; the codec"
        " and the weights saw the training split only."
    )


def _hardware(builds: Sequence[Facts]) -> tuple[str, str]:
    rows = [
        (
            build["board"],
            f"{build['clock_mhz']:g}",
            f"{build['patches_per_s']:,.0f}",
            f"{build['latency_ms']:.2f} ms",
            *(_need(build, name) for name in ("lut", "bram36", "dsp")),
        )
        for build in builds
    ]
    counted = ", ".join(sorted({build["resources_from"] for build in builds}))
    headings = ("board", "MHz", "patches/s", "latency", "LUT", "RAMB36", "DSP")
    return (
        _table(headings, rows),
        f"Simulated cycle by cycle at the clock stated; resources before placement, without the shell ({counted}).",
    )


def _need(build: Facts, name: str) -> str:
    share = build["shares"][name]
    number = f"{build[name]:,.1f}".removesuffix(".0")
    return number if share is None else f"{number} ({100 * share:.0f} %)"


def _use(entry: Entry, known: Facts, data: _Data | None) -> str:
    purpose = data.use if data else "For imagery like what it was trained on."
    name = known["name"]
    options = "".join(f" --{option} {size[0]}x{size[1]}" for option, size in _fit(entry).items())
    commands = (
        f"bitswath classify zoo:{name} images/{options}",
        f"bitswath zoo {name} -o {name}.bsw && bitswath build {name}.bsw --board Pynq-Z2",
    )
    return "\n".join((f"{purpose} {_ELSEWHERE}", "", "```", *commands, "```"))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(headings)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows))


def _code(text: str) -> str:
    return f"`{text}`"


def _pairs(values: Facts, names: Sequence[str]) -> str:
    return ", ".join(f"{name} {values[name]:g}" for name in names)
