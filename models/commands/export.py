"""``bitswath export``."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import onnx

from bitswath.accelerator import open as open_accelerator
from bitswath.bundle import Bundle, save_bundle, update_accuracy
from bitswath.codecs import UniformCodec
from bitswath.console import say
from bitswath.errors import DatasetError, ExportError, LoweringError
from bitswath.manifest import Source
from bitswath.models.config import DataConfig
from bitswath.models.lowering import Lowered, lower

__all__ = ["command", "export_onnx", "export_trained"]

SPLITS = ("val", "test")


@click.command("export")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle, NAME.bsw.")
@click.option("--classes", help="Class names, comma-separated, for a QONNX file; a trained model knows its own.")
@click.option("--data", type=click.Path(path_type=Path), help="Where data sets are; else BITSWATH_DATA.")
def command(model: Path, output: Path, classes: str | None, data: Path | None) -> None:
    """Make a bundle of MODEL: the folder of a training run, or a QONNX file of any tool.

    For a training run, accuracy is measured on the emulator over the validation and test splits, if
    the data set is there, and stored in the manifest.
    """
    if model.is_dir():
        bundle, dataset = export_trained(model, output)
    else:
        bundle, dataset = export_onnx(model, output, classes.split(",") if classes else None), None
    facts = bundle.manifest
    say(f"{output}: {facts.network.macs:,} multiply-accumulates, {facts.input.frame_bytes} bytes per patch")
    if dataset is not None:
        _measure(bundle, dataset, data)


def export_trained(folder: Path, output: Path) -> tuple[Bundle, DataConfig]:
    """Bundle a run of `bitswath train`; the bundle and the data it was trained on.

    Raises `ExportError` for a network that is not quantized, and what lowering raises.
    """
    from bitswath.models.export import export_qonnx
    from bitswath.models.trained import load_trained

    trained = load_trained(folder)
    info = trained.info
    if info.config.widths is None:
        raise ExportError(f"{folder}: holds a float network, and bundles hold quantized ones; train it with widths")
    proto = export_qonnx(trained.model, trained.spec)
    bundle = save_bundle(
        output,
        network=lower(proto).network,
        codec=trained.codec,
        patch_shape=info.patch_shape,
        classes=info.classes,
        onnx_model=proto.SerializeToString(),
        provenance=Source(
            training=info.config.model_dump(mode="json"),
            dataset=info.dataset,
            dataset_digest=info.dataset_digest,
            exporter="bitswath",
        ),
    )
    return bundle, info.config.data


def export_onnx(path: Path, output: Path, classes: list[str] | None = None) -> Bundle:
    """Bundle a QONNX file whose input is unsigned integers of 1 to 8 bits, as `UniformCodec` gives them.

    Raises `ExportError` for another input, `LoweringError` for what has no integer form.
    """
    try:
        lowered = lower(path)
    except LoweringError as error:
        raise LoweringError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    network = lowered.network
    bits = _input_bits(path, lowered)
    height, width, channels = network.input.shape
    count = network.output.size
    if network.stages[-1].__class__.__name__ == "ArgMax":
        count = network.tensors[network.stages[-1].inputs[0]].size
    names = classes or [f"class {index}" for index in range(count)]
    if len(names) != count or len(set(names)) != count or not all(names):
        raise ExportError(f"{path}: has {count} outputs and needs as many distinct class names, got {names}")
    return save_bundle(
        output,
        network=network,
        codec=UniformCodec(bits),
        patch_shape=(height, width, channels),
        classes=names,
        onnx_model=path.read_bytes(),
        provenance=Source(exporter=onnx.load(path, load_external_data=False).producer_name or None),
    )


def _input_bits(path: Path, lowered: Lowered) -> int:
    source = lowered.network.input
    bits = source.hi.bit_length()
    if len(source.shape) != 3 or source.lo != 0 or source.hi != 2**bits - 1 or not 1 <= bits <= 8:
        raise ExportError(
            f"{path}: expected an image input of unsigned integers of 1 to 8 bits, got {source.shape}"
            f" in {source.lo}..{source.hi}; annotate the input, for instance as UINT8"
        )
    return bits


def _measure(bundle: Bundle, dataset: DataConfig, data: Path | None) -> None:
    from bitswath.models.datasets import load_configured

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
