"""``bitswath verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bitswath.basics.console import say
from bitswath.builds.folder import build_folder
from bitswath.bundle.bundle import Bundle, load_bundle
from bitswath.errors import DatasetError, VerificationError
from bitswath.evaluation.arrays import is_arrays, read_arrays
from bitswath.imagery.images import open_images
from bitswath.models.commands.quiet import hush_onnxruntime
from bitswath.models.verify.compare import Verification, verify_bundle
from bitswath.models.verify.netlist import verify_netlist
from bitswath.models.verify.rtl import verify_rtl

__all__ = ["command"]

_FRAMES = {"emulator": 16, "rtl": 4, "netlist": 2}
SPLITS = ("train", "val", "test")


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--to", "target", type=click.Choice(["emulator", "rtl", "netlist"]), default="emulator", show_default=True
)
@click.option(
    "--frames", type=click.IntRange(1), help="Random frames, and real ones. [default: 16, rtl: 4, netlist: 2]"
)
@click.option("--images", type=click.Path(path_type=Path), help="Real patches; else the data set it was trained on.")
@click.option(
    "--split",
    default="val",
    show_default=True,
    type=click.Choice(SPLITS),
    help="Which split of the real patches.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Where data sets are; else BITSWATH_DATA.")
@click.option("--seed", default=0, show_default=True, help="Of the random frames and pauses.")
@click.option("--board", help="Which board's build is simulated; needless if there is one.")
@click.option("--stall", default=0.0, show_default=True, type=click.FloatRange(0, 0.95), help="Share of pauses in RTL.")
@click.option("--fast", is_flag=True, help="Simulate models of FINN's matrix kernels, not their RTL.")
@click.option("--whole", is_flag=True, help="With --to netlist: also the accelerator in one piece, which takes long.")
def command(
    bundle: Path,
    target: str,
    frames: int | None,
    images: Path | None,
    split: str,
    data: Path | None,
    seed: int,
    board: str | None,
    stall: float,
    fast: bool,
    whole: bool,
) -> None:
    """Prove that all forms of BUNDLE compute the same integers, on random and on real patches.

    With --to rtl the built hardware, simulated cycle by cycle, is one of them; on a difference the first stream
    that carries another integer is named. With --to netlist every part of it is also simulated as the cells that
    Yosys makes of it, beside its RTL, which it must equal in every cycle. The last line is the verdict; the exit
    code is 0 only if everything is equal.
    """
    hush_onnxruntime()
    loaded = load_bundle(bundle)
    if target != "emulator":
        build_folder(loaded.path, board)
    patches, notes = _patches(loaded, frames or _FRAMES[target], images, split, data, seed)
    try:
        result = verify_bundle(loaded, patches)
        packed = loaded.codec.encode_packed(patches)
        if target != "emulator":
            compared, note = verify_rtl(loaded, packed, board=board, stall=stall, seed=seed, exact=not fast)
            result.comparisons.append(compared)
            notes.append(note)
        if target == "netlist":
            with Console(stderr=True).status("netlist") as status:
                compared, note = verify_netlist(
                    loaded, packed[:1], board=board, whole=whole, seed=seed, on_step=status.update
                )
            result.comparisons.append(compared)
            notes.append(note)
    except VerificationError as error:
        say(f"DIFFERENT: {loaded.name}, {error}")
        sys.exit(1)
    result.notes[:0] = notes
    _show(result)
    say(_verdict(loaded, result))
    sys.exit(0 if result.equal else 1)


def _patches(
    bundle: Bundle, frames: int, images: Path | None, split: str, data: Path | None, seed: int
) -> tuple[NDArray[Any], list[str]]:
    """Patches that the codec is to be tried on, and real ones."""
    drawn = bundle.codec.samples(np.random.default_rng(seed), frames, bundle.manifest.input.patch_shape)
    notes = [f"random frames: {frames} (seed {seed})"]
    real = _real_patches(bundle, frames, images, split, data, notes)
    return np.concatenate([drawn, *([] if real is None else [real])]), notes


def _real_patches(
    bundle: Bundle, frames: int, images: Path | None, split: str, data: Path | None, notes: list[str]
) -> NDArray[Any] | None:
    entry = bundle.manifest.input
    if images is not None and is_arrays(images):
        held = read_arrays(images, bundle).sample(frames)
        notes.append(f"real frames: {len(held)} of {images}")
        return held.patches
    if images is not None:
        source = open_images(images, shape=entry.patch_shape, dtype=entry.patch_dtype)
        patches: NDArray[Any] = np.concatenate([batch.patches for batch in source.sample(frames)])
        notes += [f"real frames: {len(patches)} of {images}", *source.notes]
        return patches
    from bitswath.models.data.datasets import load_configured
    from bitswath.models.export.onnx_bundle import training_config

    training = training_config(bundle)
    if training is None:
        notes.append("real frames: none, the bundle names no data set of ours; give --images")
        return None
    config = training.data
    try:
        samples = load_configured(config.model_copy(update={"limit": frames}), split, data=data)
    except DatasetError as error:
        if data is not None:
            raise
        notes.append(f"real frames: none ({error})")
        return None
    notes.append(f"real frames: {len(samples)} of {config.name}, {split} split")
    return samples.patches


def _show(result: Verification) -> None:
    for note in result.notes:
        say(note)
    table = Table("compared", "tensors", "integers", "differing", "first difference")
    for item in result.comparisons:
        where = ""
        if item.first:
            where = f"{item.first.tensor}{list(item.first.index)}: {item.first.expected} against {item.first.actual}"
        table.add_row(f"{item.left} = {item.right}", str(item.tensors), f"{item.values:,}", str(item.differing), where)
    Console().print(table)


def _verdict(bundle: Bundle, result: Verification) -> str:
    if result.equal:
        integers = sum(item.values for item in result.comparisons)
        return f"EQUAL: {bundle.name}, {integers:,} values compared over {result.frames} frames"
    worst = next(item for item in result.comparisons if not item.equal)
    if worst.first is None:
        return f"NOT PROVED: {bundle.name}, {worst.left} and {worst.right} have no tensor in common"
    first = worst.first
    return (
        f"DIFFERENT: {bundle.name}, {worst.left} and {worst.right} at stage {first.tensor}, index {list(first.index)}:"
        f" {first.expected} against {first.actual}"
    )
