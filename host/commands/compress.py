"""``bitswath compress``."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from bitswath.archive import ArchiveWriter
from bitswath.bundle import load_bundle
from bitswath.codecs import Codec, CodecSpec, fit_codec, parse_codec
from bitswath.errors import InputError
from bitswath.images import Batch, ImageSource, open_images
from bitswath.packing import frame_bytes, pack

__all__ = ["command"]

FIT_PATCHES = 4096
"""Patches a codec is fitted to at most, drawn evenly from what is compressed or from --fit."""


@click.command("compress")
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--codec", "codec_text", help="KIND:BITS[:ordered], with the kind uniform, companded or palette.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Use this bundle's codec, so that it can classify.")
@click.option("--fit", "fit_path", type=click.Path(path_type=Path), help="Fit the codec here instead of to IMAGES.")
@click.option("--split", help="Which split, where IMAGES holds train, val and test.")
@click.option("--skip-bad", is_flag=True, help="Leave images out that cannot be used, and list them.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="By default IMAGES.bsa.")
def command(
    images: Path,
    codec_text: str | None,
    bundle: Path | None,
    fit_path: Path | None,
    split: str | None,
    skip_bad: bool,
    output: Path | None,
) -> None:
    """Encode and pack IMAGES (a folder or a zip) into one archive.

    A codec with levels or a palette is fitted first. Fit it to training images (--fit, or --split train)
    if the archive is to measure accuracy: a codec must not see what it is judged on.
    """
    if (codec_text is None) == (bundle is None):
        raise InputError("expected either --codec or --bundle")
    wanted = load_bundle(bundle).codec if bundle else parse_codec(str(codec_text))
    source = open_images(images, split=split, skip_bad=skip_bad)
    codec = _fitted(wanted, source, fit_path, split) if isinstance(wanted, CodecSpec) else wanted
    target = output or Path(f"{images.resolve().name.removesuffix('.zip')}.bsa")
    raw = _write(target, source, codec)
    console = Console()
    for name, reason in source.skipped:
        console.print(f"skipped {name}: {reason}", style="yellow", highlight=False, soft_wrap=True)
    packed = frame_bytes(codec.code_shape(raw), codec.bits)
    size = int(np.prod(raw)) * codec.dtype.itemsize
    console.print(
        f"{target}: {len(source) - len(source.skipped)} patches at {packed} bytes,"
        f" {size / packed:.1f} times smaller than their {size} bytes of samples",
        highlight=False,
        soft_wrap=True,
    )


def _fitted(spec: CodecSpec, source: ImageSource, fit_path: Path | None, split: str | None) -> Codec:
    wanted = open_images(fit_path, split=None if split is None else "train") if fit_path else source
    step = max(1, -(-len(wanted) // FIT_PATCHES))
    every = ImageSource(**{**vars(wanted), "items": wanted.items[::step], "skipped": []})
    return fit_codec(spec, np.concatenate([batch.patches for batch in every]))


def _write(target: Path, source: ImageSource, codec: Codec) -> tuple[int, int, int]:
    """Write the archive; the shape of a patch."""
    batches = iter(source.batches())
    first = next(batches)
    height, width, bands = first.patches.shape[1:]
    with ArchiveWriter(target, codec, (height, width, bands), source.classes) as writer:
        for batch in chain([first], batches):
            _append(writer, batch, codec)
    return height, width, bands


def _append(writer: ArchiveWriter, batch: Batch, codec: Codec) -> None:
    frames: NDArray[Any] = pack(codec.encode(batch.patches), codec.bits)
    writer.append(frames, batch.labels, batch.names)
