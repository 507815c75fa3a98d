"""``bitswath export``."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import numpy as np

from bitswath.accelerator import open as open_accelerator
from bitswath.basics.console import say
from bitswath.bundle.bundle import Bundle, how_pixels_enter, update_accuracy
from bitswath.errors import DatasetError, ExportError
from bitswath.models.export.onnx_bundle import bundle_onnx
from bitswath.models.nets.config import DataConfig

__all__ = ["command"]

SPLITS = ("val", "test")


class _Numbers(click.ParamType[tuple[float, ...]]):
    """One number, or one for each band: "1/255", "0.5,0.25,1e-3"."""

    name = "NUMBER[,NUMBER...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            numbers = tuple(float(Fraction(part.strip())) for part in str(value).split(","))
        except (ValueError, ZeroDivisionError, OverflowError):
            self.fail(f"expected a number such as 1/255 or 0.004, or one for each band, got {value!r}", param, ctx)
        if not all(map(math.isfinite, numbers)):
            self.fail(f"expected finite numbers, got {value!r}", param, ctx)
        return numbers


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle, NAME.bsw.")
@click.option("--classes", help="Class names, comma-separated, for a QONNX file; a trained model knows its own.")
@click.option(
    "--input-scale", type=_Numbers(), help="A QONNX file is fed SCALE * pixel + OFFSET: 1/255, or one a band."
)
@click.option("--input-offset", type=_Numbers(), help="See --input-scale.  [default: 0]")
@click.option("--input-datatype", help="Pixels a QONNX file takes, if not as annotated: UINT8, UINT16, FLOAT32.")
@click.option("--data", type=click.Path(path_type=Path), help="Where data sets are; else BITSWATH_DATA.")
def command(
    model: Path,
    output: Path,
    classes: str | None,
    input_scale: tuple[float, ...] | None,
    input_offset: tuple[float, ...] | None,
    input_datatype: str | None,
    data: Path | None,
) -> None:
    """Make a bundle of MODEL: the folder of a training run, or a QONNX file of any tool.

    For a training run, accuracy is measured on the emulator over the validation and test splits, if
    the data set is there, and stored in the manifest.

    A QONNX file whose input takes reals needs --input-scale: what pixels were multiplied by in training. Pixels
    become exactly the integers of its first quantizer, and a line says how.
    """
    told = {"scale": input_scale, "offset": input_offset, "datatype": input_datatype}
    dataset, note = None, None
    if model.is_dir():
        _refuse(model, classes=classes, **told)
        from bitswath.models.training.run_bundle import bundle_trained

        bundle, dataset = bundle_trained(model, output)
    else:
        bundle, note = bundle_onnx(model, output, classes.split(",") if classes else None, **told)  # type: ignore[arg-type]
    facts = bundle.manifest
    say(f"{output}: {facts.network.macs:,} multiply-accumulates, {facts.input.frame_bytes} bytes per patch")
    say(how_pixels_enter(bundle))
    if note:
        say(note)
    if dataset is not None:
        _measure(bundle, dataset, data)


def _refuse(model: Path, **options: object) -> None:
    if any(value is not None for value in options.values()):
        raise ExportError(f"{model}: a trained model knows its input and classes; leave out what is for QONNX files")


def _measure(bundle: Bundle, dataset: DataConfig, data: Path | None) -> None:
    from bitswath.models.data.datasets import load_configured

    for split in SPLITS:
        try:
            samples = load_configured(dataset, split, data=data)
        except DatasetError as error:
            say(f"{split}: accuracy not measured: {error}", "yellow")
            continue
        if samples.classes != bundle.classes:
            raise ExportError(
                f"{dataset.name}: its classes are not those the model was trained on, so accuracy means nothing;"
                f" expected {', '.join(bundle.classes)}, got {', '.join(samples.classes)}"
            )
        with open_accelerator(bundle) as accelerator:
            correct = int(np.count_nonzero(accelerator.classify(samples.patches).labels == samples.labels))
        bundle = update_accuracy(bundle, split, correct, len(samples))
        found = bundle.manifest.accuracy[split]
        say(
            f"{split}: {100 * found.accuracy:.2f} % of {found.patches} patches"
            f" (95 %: {100 * found.interval[0]:.2f}-{100 * found.interval[1]:.2f})"
        )
