"""``bitswath export``."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import numpy as np

from bitswath.accelerator import open as open_accelerator
from bitswath.basics.console import say
from bitswath.basics.schema import build
from bitswath.bundle.answers import how_it_answers
from bitswath.bundle.bundle import Bundle, how_pixels_enter, update_accuracy
from bitswath.bundle.manifest import Sensor
from bitswath.codecs.kinds import CodecSpec, parse_codec
from bitswath.errors import CodecError, DatasetError, ExportError
from bitswath.models.commands.quiet import hush_onnxruntime
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


class _Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them, or a file that holds them: one a line, or a JSON list."""

    name = "NAME,NAME...|FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        try:
            if not Path(value).is_file():
                return tuple(str(value).split(","))
            text = Path(value).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            self.fail(f"{str(value)!r:.80} cannot be read: {error}", param, ctx)
        if not text.lstrip().startswith("["):
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        try:
            names = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.fail(f"{value} is no JSON list: {error}", param, ctx)
        if not all(isinstance(name, str) for name in names):
            self.fail(f"expected a JSON list of names in {value}", param, ctx)
        return tuple(names)


class _Codec(click.ParamType[CodecSpec]):
    name = "KIND:BITS[:DITHER]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> CodecSpec:
        try:
            return parse_codec(str(value))
        except CodecError as error:
            self.fail(str(error), param, ctx)


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle, NAME.bsw.")
@click.option("--classes", type=_Names(), help="Class names, or a file of them: one a line, or a JSON list.")
@click.option(
    "--input-datatype",
    help="What a user has, if the file does not say: UINT8, INT8, UINT16, INT4, BIPOLAR, ..., FLOAT32 for reals.",
)
@click.option("--input-scale", type=_Numbers(), help="The file is fed SCALE * pixel + OFFSET: 1/255, or one a band.")
@click.option("--input-offset", type=_Numbers(), help="See --input-scale.  [default: 0]")
@click.option(
    "--layout", type=click.Choice(["nchw", "nhwc", "flat"]), help="Axes of the input, if the file does not tell them."
)
@click.option(
    "--codec", type=_Codec(), help="What is to make codes of pixels; refused if the file does something else."
)
@click.option("--bands", type=_Names(), help="Names of the bands, for scenes: B04,B03,B02, or a file of them.")
@click.option("--gsd", type=float, help="Metres from pixel to pixel, for scenes.")
@click.option("--value-range", type=(float, float), help="The lowest and the highest sample, for scenes.")
@click.option("--data", type=click.Path(path_type=Path), help="Where data sets are; else BITSWATH_DATA.")
def command(
    model: Path,
    output: Path,
    classes: tuple[str, ...] | None,
    input_datatype: str | None,
    input_scale: tuple[float, ...] | None,
    input_offset: tuple[float, ...] | None,
    layout: str | None,
    codec: CodecSpec | None,
    bands: tuple[str, ...] | None,
    gsd: float | None,
    value_range: tuple[float, float] | None,
    data: Path | None,
) -> None:
    """Make a bundle of MODEL: the folder of a training run, or an ONNX file of any tool.

    For a training run, accuracy is measured on the emulator over the validation and test splits, if
    the data set is there, and stored in the manifest. It knows its classes and its input; all options but --data are
    for ONNX files.

    A file says itself what it takes if its input is annotated with integers, or begins with a division by 255, with
    2 x - 1, or with a quantizer that ends at 1 or 255. Else images of reals need --input-scale, what pixels were
    multiplied by in training, or --input-datatype FLOAT32, if float images are to be handed over. Vectors and signals
    are handed over as reals. What is handed over becomes exactly the integers of the file's first quantizer, and a
    line says how.
    """
    told: dict[str, Any] = {"scale": input_scale, "offset": input_offset, "datatype": input_datatype}
    sensor = None
    if bands or gsd is not None or value_range:
        sensor = build(Sensor, ExportError, bands=bands, gsd_m=gsd, value_range=value_range)
    told |= {"layout": layout, "codec": codec, "classes": classes, "sensor": sensor}
    dataset, note = None, None
    if model.is_dir():
        _refuse(model, **told)
        from bitswath.models.training.run_bundle import bundle_trained

        bundle, dataset = bundle_trained(model, output)
    else:
        hush_onnxruntime()
        bundle, note = bundle_onnx(model, output, **told)
    facts = bundle.manifest
    say(f"{output}: {facts.network.macs:,} multiply-accumulates, {facts.input.frame_bytes} bytes per patch")
    say(how_pixels_enter(bundle))
    if facts.outputs or math.prod(bundle.network.output.shape[:-1]) > 1:
        say(how_it_answers(bundle))
    if note:
        say(note)
    if dataset is not None:
        _measure(bundle, dataset, data)


def _refuse(model: Path, **options: object) -> None:
    if any(value is not None for value in options.values()):
        raise ExportError(f"{model}: a trained model knows its input and classes; leave out what is for ONNX files")


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
