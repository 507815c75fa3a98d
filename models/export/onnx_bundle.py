"""Bundles of trained models and of QONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import ModelProto
from pydantic import ValidationError

from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.bundle.manifest import ModelInput, OutputInfo, Sensor, Source
from bitswath.codecs.base import Codec
from bitswath.codecs.kinds import CodecSpec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BundleError, ExportError, LoweringError
from bitswath.models.lowering import Lowered, lower, over_codes, read_model
from bitswath.models.lowering.chains.input_quantizer import Entry
from bitswath.models.nets.config import TrainConfig
from bitswath.network.network import ArgMax

__all__ = ["bundle_onnx", "lower_as", "training_config"]

LIKELY_MISTAKEN = 2
"""An input quantizer of which all pixels reach no more levels than this was meant for other pixels."""


def bundle_onnx(
    path: Path,
    output: Path,
    classes: Sequence[str] | None = None,
    *,
    datatype: str | None = None,
    scale: tuple[float, ...] | None = None,
    offset: tuple[float, ...] | None = None,
    layout: str | None = None,
    codec: CodecSpec | None = None,
    sensor: Sensor | None = None,
) -> tuple[Bundle, str | None]:
    """Bundle a QONNX file; its codec is what the graph makes of pixels, other integers, or reals.

    Returns the bundle, and what its logits are where the graph ends in more than the network computes.

    `datatype`, `scale`, `offset`, `layout`: what the graph is fed, as `lower` takes them. `codec`: what is to compute
    the graph's codes of pixels; `sensor`: whose images they are, for scenes. Raises `ExportError` where what is fed is
    not known, cannot be fed, or is not what the graph does, `LoweringError` for what has no integer form.
    """
    try:
        given = {"datatype": datatype, "scale": scale, "offset": offset, "layout": layout}
        told = ModelInput.model_validate(given)
    except ValidationError as error:
        found = error.errors()[0]
        raise ExportError(f"{path}: input {found['loc'][0]}: {found['msg']}, got {found['input']!r}") from error
    model = read_model(path)
    try:
        lowered = lower_as(model, told)
    except LoweringError as error:
        raise LoweringError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    entry = _entry(path, lowered, told)
    network = lowered.network
    count = _class_count(lowered)
    names = list(classes or (f"class {index}" for index in range(count)))
    if len(names) != count or len(set(names)) != count or not all(names):
        raise ExportError(f"{path}: has {count} outputs and needs as many distinct class names, got {names}")
    height, width, bands = (1, 1, *network.input.shape)[-3:]
    bundle = save_bundle(
        output,
        network=network,
        codec=entry.codec() if codec is None else _agreed(path, codec, lowered, entry),
        patch_shape=(height, width, bands),
        layout="flat" if height == width == 1 else "sequence" if 1 in (height, width) else "image",
        classes=names,
        outputs=_outputs(lowered),
        onnx_model=model.SerializeToString(),
        model_input=_as_read(told, lowered, entry),
        sensor=sensor,
        provenance=Source(exporter=model.producer_name or None),
    )
    return bundle, lowered.end_note


def lower_as(model: Path | ModelProto, told: ModelInput) -> Lowered:
    """The integer network over codes of a model whose input is as a bundle's manifest tells."""
    given = {f"input_{name}": value for name, value in told}
    return over_codes(lower(model, **given))


def _entry(path: Path, lowered: Lowered, told: ModelInput) -> Entry:
    """How what a user has reaches the network, exactly as in the graph."""
    entry, quantizer = lowered.entry, lowered.quantizer
    if entry is None:
        raise ExportError(
            f"{path}: its input takes reals, and nothing says which real a raw pixel is; give --input-scale"
            " (1/255 for pixels from 0 to 1, 1 for pixels as they are) and, where they were shifted, --input-offset;"
            " or --input-datatype FLOAT32, and hand over float32 images as the model takes them"
        )
    pixels = entry.pixels.numbers == "unsigned" and entry.integers in (None, range(256))
    if pixels and quantizer and quantizer.reached <= LIKELY_MISTAKEN < quantizer.levels and told.scale is None:
        raise ExportError(
            f"{path}: raw pixels reach {quantizer.reached} of the {quantizer.levels} levels of its input's quantizer"
            f" {quantizer.node!r}, so it was made for scaled pixels; give --input-scale, such as 1/255, or 1 if not"
        )
    return entry


def _agreed(path: Path, asked: CodecSpec, lowered: Lowered, entry: Entry) -> Codec:
    """The codec that was asked for, if it computes what the graph does of pixels."""
    own = entry.codec()
    codec = UniformCodec(asked.bits, asked.dither) if asked.kind == UniformCodec.kind else None
    if codec == own:
        return own
    if codec is not None and lowered.declared and entry.integers == range(1 << codec.bits):
        return codec  # how pixels become its integers is not the graph's to say
    why = (
        f"its integers are not {asked.bits}-bit codes of pixels"
        if codec is not None and lowered.declared
        else f"its own quantizer makes {own.summary}"
        if codec is not None
        else "codes of levels and palettes are fitted to images and trained with; train with it: docs/train.md"
    )
    raise ExportError(f"{path}: --codec {asked}: is not what the model does of its input: {why}; leave --codec out")


def _as_read(told: ModelInput, lowered: Lowered, entry: Entry) -> ModelInput:
    """What was told, and what was read off the graph, so that the bundle says all of it."""
    pixels = entry.pixels
    if lowered.declared or told.datatype or told.scale or told.offset:
        return told
    if pixels.numbers == "float":
        return told.model_copy(update={"datatype": "FLOAT32"})
    return told.model_copy(update={"scale": tuple(pixels.scale.tolist())}) if pixels.depth == 8 else told


def _outputs(lowered: Lowered) -> tuple[OutputInfo, ...]:
    """What a manifest tells of several outputs."""
    described = [{"name": output.name, "shape": output.shape} for output in lowered.outputs]
    return tuple(map(OutputInfo.model_validate, described)) if len(described) > 1 else ()


def _class_count(lowered: Lowered) -> int:
    """Along the last axis of the first output."""
    network, last = lowered.network, lowered.network.stages[-1]
    return network.tensors[last.inputs[0]].size if isinstance(last, ArgMax) else lowered.outputs[0].shape[-1]


def training_config(bundle: Bundle) -> TrainConfig | None:
    """How bitswath trained a bundle's model, or None if it did not; raises `BundleError` for a record of bitswath's
    that cannot be read."""
    source = bundle.manifest.provenance.source
    try:
        return None if source.training is None else TrainConfig.model_validate(source.training)
    except ValidationError as error:
        if source.exporter != "bitswath":
            return None
        raise BundleError(f"{bundle.path}: provenance.source.training: {error.errors()[0]['msg']}") from error
