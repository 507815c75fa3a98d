"""The transform codec beside lossy image libraries, on the same patches of EuroSAT and one core.

Bytes at equal PSNR (of all patches at once, interpolated between qualities), as files and without what all files share;
speeds at the quality nearest to 35 dB. Libraries take a patch a call, as they do, and the call from Python counts;
the codec takes a batch. Looks for EuroSAT where BITSWATH_DATA says.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import imagecodecs
import numpy as np
from bench_run import Options, conditions, measure, options, publish
from benchmark import Facts, Measure, interleaved, timed
from lossy_report import DECIBELS, SPEED_DB, TRANSFORM, report
from numpy.typing import NDArray

from bitswath.codecs.base import Codec
from bitswath.codecs.kinds import fit_codec, parse_codec
from bitswath.models.data.datasets import load_dataset
from bitswath.models.study.lossy.payloads import head_of
from bitswath.models.study.work.similarity import psnr_db

Patches = NDArray[np.uint8]

FITTED_PATCHES = 2000
MEASURED_PATCHES = 200
TIMED_PATCHES = 64
SHORT_S = 2e-3
"""What takes less is repeated within a round."""


@dataclass(frozen=True)
class Peer:
    """A library at some setting; `kind`: as of `head_of`; `options`: by quality, those of its encoder."""

    kind: str
    name: str
    qualities: tuple[float, ...]
    options: Callable[[float], dict[str, Any]]

    def encode(self, patch: Patches, quality: float) -> bytes:
        return bytes(getattr(imagecodecs, f"{self.name}_encode")(patch, **self.options(quality)))

    def decode(self, file: bytes) -> Patches:
        return np.asarray(getattr(imagecodecs, f"{self.name}_decode")(file))


def _jxl(effort: int) -> Callable[[float], dict[str, Any]]:
    return lambda distance: {"distance": distance, "effort": effort, "usecontainer": False, "numthreads": 1}


def _avif(speed: int) -> Callable[[float], dict[str, Any]]:
    return lambda quality: {"level": int(quality), "speed": speed, "numthreads": 1}


def _webp(method: int) -> Callable[[float], dict[str, Any]]:
    return lambda quality: {"level": quality, "lossless": False, "method": method}


_DISTANCES = (5, 4, 3, 2, 1.5, 1)
_AVIF = (36, 44, 52, 60, 68)
_WEBP = (30, 45, 60, 75, 82, 88)

PEERS = {
    "libjpeg-turbo": Peer("jpeg", "jpeg8", (40, 55, 70, 80, 88), lambda q: {"level": int(q), "subsampling": "420"}),
    "libwebp, method 0": Peer("webp", "webp", _WEBP, _webp(0)),
    "libwebp, method 4": Peer("webp", "webp", _WEBP, _webp(4)),
    "OpenJPEG": Peer("jpeg2000", "jpeg2k", (32, 34, 36, 38, 40), lambda q: {"level": q, "codecformat": "j2k"}),
    "libjxl, effort 1": Peer("jpegxl", "jpegxl", _DISTANCES, _jxl(1)),
    "libjxl, effort 3": Peer("jpegxl", "jpegxl", _DISTANCES, _jxl(3)),
    "libjxl, effort 7": Peer("jpegxl", "jpegxl", _DISTANCES, _jxl(7)),
    "libavif, speed 10": Peer("avif", "avif", _AVIF, _avif(10)),
    "libavif, speed 4": Peer("avif", "avif", _AVIF, _avif(4)),
}
QUALITIES = tuple(range(14, 46, 4))
"""Of the transform codec."""


@dataclass(frozen=True)
class Bench:
    """`train`: what tables are fitted to; `patches`: what is measured; both uint8 (N, H, W, 3)."""

    chosen: Options
    train: Patches
    patches: Patches

    @cached_property
    def codecs(self) -> dict[float, Codec]:
        """The transform codec at its qualities."""
        return {quality: fit_codec(parse_codec(f"transform:{quality}"), self.train) for quality in QUALITIES}

    @cached_property
    def ladders(self) -> dict[str, list[Facts]]:
        """By coder, from quality to quality: mean bytes, bytes without what files share, and PSNR in dB."""
        found = {name: [_peer_step(self, peer, quality) for quality in peer.qualities] for name, peer in PEERS.items()}
        return found | {TRANSFORM: [_own_step(self, quality) for quality in QUALITIES]}

    def quality(self, name: str) -> float:
        """The one nearest to the PSNR at which speeds are measured."""
        return float(min(self.ladders[name], key=lambda step: abs(step["psnr_db"] - SPEED_DB))["quality"])


def _peer_step(bench: Bench, peer: Peer, quality: float) -> Facts:
    files = [peer.encode(patch, quality) for patch in bench.patches]
    fitted = bench.train if peer.kind == "jpeg" else bench.train[:1]
    head = head_of(peer.kind, [peer.encode(patch, quality) for patch in fitted])
    decoded = np.stack([peer.decode(file) for file in files])
    payloads = [len(head.payload(file)) for file in files]
    return _step(quality, list(map(len, files)), payloads, psnr_db(bench.patches, decoded))


def _own_step(bench: Bench, quality: float) -> Facts:
    codec = bench.codecs[quality]
    sizes = codec.frame_lengths(codec.encode_packed(bench.patches, threads=1)).tolist()
    return _step(quality, sizes, sizes, psnr_db(bench.patches, codec.decode(codec.encode(bench.patches))))


def _step(quality: float, files: Sequence[int], payloads: Sequence[int], decibels: float | None) -> Facts:
    sizes = {"bytes": statistics.fmean(files), "payload_bytes": statistics.fmean(payloads)}
    return {"quality": quality, **sizes, "psnr_db": decibels if decibels is not None else float("inf")}


def at_psnr(ladder: Sequence[Facts], decibels: float, key: str) -> float | None:
    """Bytes at a PSNR: their logarithm between the two qualities around it; None outside of them."""
    steps = sorted(ladder, key=lambda step: float(step["psnr_db"]))
    known = [step["psnr_db"] for step in steps]
    if not known[0] <= decibels <= known[-1]:
        return None
    return float(np.exp(np.interp(decibels, known, [np.log(step[key]) for step in steps])))


def sizes(bench: Bench) -> Facts:
    """Bytes a patch at equal PSNR."""
    coders = {}
    for name, ladder in bench.ladders.items():
        at = {
            str(decibels): {key: at_psnr(ladder, decibels, key) for key in ("bytes", "payload_bytes")}
            for decibels in DECIBELS
        }
        coders[name] = {"ladder": ladder, "at_db": at}
    return {"patches": len(bench.patches), "coders": coders}


def speeds(bench: Bench) -> Facts:
    """Raw MB/s of encoding, patches/s of decoding, medians of interleaved rounds."""
    patches = bench.patches[:TIMED_PATCHES]
    measures: dict[str, Measure] = {}

    def add(name: str, encode: Callable[[], object], decode: Callable[[], object]) -> None:
        measures[f"{name}: encode"] = timed(encode, patches.nbytes / 1e6, bench.chosen.clock, SHORT_S)
        measures[f"{name}: decode"] = timed(decode, len(patches), bench.chosen.clock, SHORT_S)

    for name, peer in PEERS.items():
        add(name, *_runs(peer, patches, bench.quality(name)))
    codec = bench.codecs[bench.quality(TRANSFORM)]
    frames = codec.encode_packed(patches, threads=1)
    unpack = partial(codec.unpack, frames, patches.shape[1:], threads=1)
    add(TRANSFORM, partial(codec.encode_packed, patches, out=frames.copy(), threads=1), unpack)
    rates = {name: statistics.median(values) for name, values in interleaved(measures, bench.chosen.rounds).items()}
    return {
        "coders": {
            name: {
                "timed_quality": bench.quality(name),
                "encode_mb_per_s": rates[f"{name}: encode"],
                "decode_patches_per_s": rates[f"{name}: decode"],
            }
            for name in bench.ladders
        }
    }


def _runs(peer: Peer, patches: Patches, quality: float) -> tuple[Callable[[], object], Callable[[], object]]:
    files = [peer.encode(patch, quality) for patch in patches]
    return (
        lambda: [peer.encode(patch, quality) for patch in patches],
        lambda: [peer.decode(file) for file in files],
    )


SECTIONS: dict[str, Callable[[Bench], Facts]] = {"sizes": sizes, "speeds": speeds}


def main() -> None:
    chosen = options(__doc__, SECTIONS)
    train = load_dataset("eurosat", "train", limit=FITTED_PATCHES, progress=False).patches
    patches = load_dataset("eurosat", "val", limit=MEASURED_PATCHES, progress=False).patches
    facts = conditions(chosen, "numpy", "imagecodecs")
    facts["libraries"] = imagecodecs.version()
    measure(SECTIONS, Bench(chosen, train, patches), facts, chosen)
    publish(report(facts), facts, chosen)


if __name__ == "__main__":
    main()
