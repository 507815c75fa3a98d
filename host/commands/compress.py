"""``bitswath compress``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from bitswath.basics.console import say
from bitswath.bundle.bundle import load_bundle
from bitswath.codecs.archive import ArchiveWriter
from bitswath.codecs.base import Codec
from bitswath.codecs.kinds import CodecSpec, fit_codec, parse_codec
from bitswath.commands.sizes import crop_option, resize_option
from bitswath.errors import ImageError, InputError
from bitswath.imagery.fit import Fit, Size
from bitswath.imagery.images import ImageSource, open_images

__all__ = ["command"]

FIT_PATCHES, FIT_BYTES = 4096, 1 << 29
"""Patches a codec is fitted to at most, drawn evenly from what is compressed or from --fit, and their bytes."""
BATCH, BATCH_BYTES = 256, 1 << 26
"""Patches that are encoded at a time, at most, and their bytes."""


@click.command("compress")
@click.argument("images", type=click.Path(path_type=Path))
@click.option(
    "--codec",
    "codec_text",
    help="KIND:BITS[:DITHER], with the kind uniform, companded or palette; or transform:B=BYTES, at most so many a"
    " patch, or transform:QUALITY, 1 to 64, or transform:QUALITY:B=BYTES.",
)
@click.option("--bundle", type=click.Path(path_type=Path), help="Use this bundle's codec, so that it can classify.")
@click.option("--fit", "fit_path", type=click.Path(path_type=Path), help="Fit the codec here instead of to IMAGES.")
@click.option("--split", help="Which split, where IMAGES holds train, val and test.")
@resize_option
@crop_option
@click.option("--skip-bad", is_flag=True, help="Leave images out that cannot be used, and list them.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="By default IMAGES.bsa.")
def command(
    images: Path,
    codec_text: str | None,
    bundle: Path | None,
    fit_path: Path | None,
    split: str | None,
    resize: Size | None,
    crop: Size | None,
    skip_bad: bool,
    output: Path | None,
) -> None:
    """Encode and pack IMAGES (a folder or a zip) into one archive.

    A codec with levels, a palette or tables is fitted first. Fit it to training images (--fit, or --split train)
    if the archive is to measure accuracy: a codec must not see what it is judged on.
    """
    if (codec_text is None) == (bundle is None):
        raise InputError("expected either --codec or --bundle")
    fit = Fit(resize, crop)
    target = output or Path(f"{images.resolve().name.removesuffix('.zip')}.bsa")
    if target.exists() and images.exists() and target.samefile(images):
        raise InputError(f"{target}: is what is to be compressed; choose another output")
    if bundle:
        loaded = load_bundle(bundle)
        entry, codec = loaded.manifest.input, loaded.codec
        source = open_images(
            images,
            split=split,
            fit=fit,
            skip_bad=skip_bad,
            classes=loaded.classes,
            shape=entry.patch_shape,
            dtype=entry.patch_dtype,
        )
    else:
        spec = parse_codec(str(codec_text))
        source = open_images(images, split=split, fit=fit, skip_bad=skip_bad)
        codec = _fitted(spec, _training_images(fit_path, fit) if fit_path else source)
    shape, lengths = _write(target, source, codec)
    for note in source.notes:
        say(note, "yellow")
    for name, reason in source.skipped:
        say(f"skipped {name}: {reason}", "yellow")
    size = math.prod(shape) * codec.dtype.itemsize
    say(
        f"{target}: {len(lengths)} patches at {_sizes(codec, lengths)},"
        f" {size / lengths.mean():.1f} times smaller than their {size} bytes of samples"
    )


def _sizes(codec: Codec, lengths: NDArray[np.int64]) -> str:
    if not codec.compressed:
        return f"{lengths[0]} bytes"
    p99 = np.percentile(lengths, 99, method="higher")
    return f"{lengths.mean():.1f} bytes on average (99 % up to {p99}, all up to {lengths.max()})"


def _training_images(path: Path, fit: Fit) -> ImageSource:
    """The training split of a path that has splits, else all of it."""
    try:
        return open_images(path, split="train", fit=fit)
    except ImageError:
        return open_images(path, fit=fit)


def _fitted(spec: CodecSpec, source: ImageSource) -> Codec:
    most = max(1, FIT_BYTES // _first(source).nbytes)
    return fit_codec(spec, np.concatenate([batch.patches for batch in source.sample(min(FIT_PATCHES, most))]))


def _write(target: Path, source: ImageSource, codec: Codec) -> tuple[tuple[int, int, int], NDArray[np.int64]]:
    """Write the archive; the shape of a patch (H, W, C), and the bytes of each frame (N,)."""
    first = _first(source)
    height, width, bands = first.shape
    with ArchiveWriter(target, codec, (height, width, bands), source.classes) as writer:
        for batch in source.batches(min(BATCH, max(1, BATCH_BYTES // first.nbytes))):
            writer.append(codec.encode_packed(batch.patches), batch.labels, batch.names)
    return (height, width, bands), writer.lengths


def _first(source: ImageSource) -> NDArray[Any]:
    """The first patch that can be used."""
    patch: NDArray[Any] = next(source.batches(1)).patches[0]
    return patch
