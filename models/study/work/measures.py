"""What needs no training: bytes, likeness and speed of a codec, of a container, and what a palette gives away.

Speeds are those of one thread, by the best of several repeats: a figure of code that runs beside others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bitswath.basics.proportions import wilson_interval
from bitswath.codecs.base import Codec
from bitswath.codecs.palette import PaletteCodec
from bitswath.imagery.code_files import Container, parse_container, read, write
from bitswath.models.study.plan.cells import ORIGINAL, ContainerCell, Imagery, ImageryCell
from bitswath.models.study.work.leak import nearest_palette
from bitswath.models.study.work.patches import Shelf, thinned
from bitswath.models.study.work.similarity import psnr_db, ssim
from bitswath.models.study.work.sizes import file_sizes, link_sizes

__all__ = ["Stored", "codec_speeds", "measure_container", "measure_imagery", "stored_as", "thinned"]

Facts = dict[str, Any]
Patches = NDArray[Any]
_Made = TypeVar("_Made")

REPEATS = 5
LONGEST_S = 0.5
"""What takes longer than this is not repeated."""

SPLIT = "val"


def measure_imagery(cell: ImageryCell, shelf: Shelf) -> Facts:
    """What the codec does to the first patches of the validation split.

    `link_bytes`, `source_bytes`, `source_payload_bytes`: see `sizes`; `code_bits_per_pixel`: bits of the codes, of
    compressed ones of the frame, over the pixels; `psnr_db` and `ssim` compare with the original, before any source;
    `palette_rule`: where palettes leak, what they give away.
    """
    imagery = cell.imagery
    shown = thinned(shelf.split(imagery, SPLIT), cell.patches)
    original = thinned(shelf.original(imagery, SPLIT), cell.patches)
    codec = shelf.codec(imagery)
    height, width = shown.patches.shape[1:3]
    codes = codec.encode(shown.patches, threads=1)
    sent = link_sizes(codec, shown.patches)
    bits = 8 * sent["link_bytes"] / (height * width) if codec.compressed else codec.bits * codes.shape[-1]
    facts: Facts = {
        "measured_patches": len(shown),
        **sent,
        "code_bits_per_pixel": bits,
        **_likeness(original.patches, codec.decode(codes)),
        **codec_speeds(codec, shown.patches),
        "codec": codec.to_dict(),
    }
    if imagery.source != ORIGINAL:
        facts |= file_sizes(imagery.source, original.patches, shelf.original(imagery, "train"))
    if imagery.leaks:
        facts["palette_rule"] = _palette_rule(imagery, shelf, cell.patches)
    return facts


def codec_speeds(codec: Codec, patches: Patches) -> Facts:
    """Of patches (N, H, W, C) into packed frames, and back from them."""
    shape = patches.shape[1:]
    frames = codec.encode_packed(patches, threads=1)
    return {
        "encode_patches_per_s": _rate(len(patches), lambda: codec.encode_packed(patches, out=frames, threads=1)),
        "decode_patches_per_s": _rate(len(patches), lambda: codec.decode(codec.unpack(frames, shape, threads=1))),
    }


def measure_container(cell: ContainerCell, shelf: Shelf) -> Facts:
    """Mean bytes of a patch's file, speeds of writing and reading, and what a lossy format leaves of the original."""
    imagery = cell.imagery
    patches = thinned(shelf.split(imagery, SPLIT), cell.patches).patches
    container = parse_container(cell.container)
    stored = stored_as(container, shelf.codec(imagery), patches)
    files, written_s = _timed(lambda: stored.files(container))
    size = float(np.mean([len(file) for file in files]))
    height, width = patches.shape[1:3]
    facts: Facts = {
        "measured_patches": len(patches),
        "holds": stored.holds,
        "bytes_per_patch": size,
        "file_bits_per_pixel": 8 * size / (height * width),
        "write_patches_per_s": len(patches) / written_s,
        "read_patches_per_s": _rate(len(patches), lambda: [read(file, stored.bits) for file in files]),
    }
    if not container.lossless:
        facts |= _likeness(patches, np.stack([read(file, stored.bits) for file in files]))
    return facts


@dataclass(frozen=True, eq=False)
class Stored:
    """What a format is given: `samples` uint8 (N, H, W, C) of `bits`; `holds` says what they are."""

    holds: str
    samples: Patches
    bits: int
    palette: NDArray[np.uint8] | None = None

    def files(self, container: Container) -> list[bytes]:
        return [write(container, sample, self.bits, self.palette) for sample in self.samples]


def stored_as(container: Container, codec: Codec, patches: Patches) -> Stored:
    """Codes where the format keeps them, with their palette where it can; else the patches that they stand for.

    Lossy formats blur samples, which is no harm to brightness and much to the numbers of colours, so they get the
    patches that codes stand for. Raises `ContainerError` where the format holds neither.
    """
    codes = codec.encode(patches, threads=1)
    if not container.lossless or codes.shape[-1] not in container.bands:
        return Stored("decoded patches", codec.decode(codes), 8)
    if isinstance(codec, PaletteCodec) and container.indexed and codec.bands == 3 and codec.depth == 8:
        return Stored("codes and palette", codes, codec.bits, np.array(codec.colours, np.uint8))
    return Stored("codes", codes, codec.bits)


def _palette_rule(imagery: Imagery, shelf: Shelf, count: int) -> Facts:
    """What `nearest_palette` gets right: on patches in the colours of their class, on the same patches in those of one
    shared codebook, and on the originals."""
    palettes = shelf.class_palettes(imagery, "train")
    leaking, original = (thinned(found(imagery, SPLIT), count) for found in (shelf.split, shelf.original))
    codec = shelf.codec(imagery.model_copy(update={"codebook": "shared"}))
    shared = codec.decode(codec.encode(original.patches, threads=1))
    facts = {}
    for name, patches in (("per_class", leaking.patches), ("shared", shared), ("unquantized", original.patches)):
        correct = int((nearest_palette(patches, palettes) == original.labels).sum())
        interval = wilson_interval(correct, len(original))
        facts[name] = {"accuracy": correct / len(original), "interval": list(interval), "correct": correct}
    return facts


def _likeness(original: Patches, other: Patches) -> Facts:
    return {"psnr_db": psnr_db(original, other), "ssim": ssim(original, other)}


def _rate(count: int, work: Callable[[], object]) -> float:
    """Patches a second."""
    return count / _timed(work)[1]


def _timed(work: Callable[[], _Made]) -> tuple[_Made, float]:
    """What `work` makes, and the seconds of the best of several repeats."""
    seconds: list[float] = []
    while True:
        started = time.perf_counter()
        made = work()
        seconds.append(max(time.perf_counter() - started, 1e-9))
        if len(seconds) == REPEATS or sum(seconds) > LONGEST_S:
            return made, min(seconds)
