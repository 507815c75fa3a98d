"""Bundles of trained models and of QONNX files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from onnx import ModelProto
from pydantic import ValidationError

from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.bundle.manifest import ModelInput, Source
from bitswath.codecs.base import Codec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BundleError, ExportError, LoweringError
from bitswath.models.lowering import Lowered, lower, over_codes, read_model
from bitswath.models.nets.config import TrainConfig
from bitswath.network.network import ArgMax, Network

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
) -> tuple[Bundle, str | None]:
    """Bundle a QONNX file that takes images; its codec is what the graph makes of raw pixels.

    Returns the bundle, and what its logits are where the graph ends in more than the network computes.

    `datatype`, `scale`, `offset`: what the graph is fed, as `lower` takes them. Raises `ExportError` where that is
    not known or cannot be fed, `LoweringError` for what has no integer form.
    """
    try:
        told = ModelInput(datatype=datatype, scale=scale, offset=offset)
    except ValidationError as error:
        found = error.errors()[0]
        raise ExportError(f"{path}: input {found['loc'][0]}: {found['msg']}, got {found['input']!r}") from error
    model = read_model(path)
    try:
        lowered = lower_as(model, told)
    except LoweringError as error:
        raise LoweringError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    codec = _codec(path, lowered, told)
    network = lowered.network
    count = _class_count(path, network)
    names = list(classes or (f"class {index}" for index in range(count)))
    if len(names) != count or len(set(names)) != count or not all(names):
        raise ExportError(f"{path}: has {count} outputs and needs as many distinct class names, got {names}")
    height, width, bands = network.input.shape
    bundle = save_bundle(
        output,
        network=network,
        codec=codec,
        patch_shape=(height, width, bands),
        classes=names,
        onnx_model=model.SerializeToString(),
        model_input=told,
        provenance=Source(exporter=model.producer_name or None),
    )
    return bundle, lowered.end_note


def lower_as(model: Path | ModelProto, told: ModelInput) -> Lowered:
    """The integer network over codes of a model whose input is as a bundle's manifest tells."""
    return over_codes(lower(model, input_datatype=told.datatype, input_scale=told.scale, input_offset=told.offset))


def _codec(path: Path, lowered: Lowered, told: ModelInput) -> Codec:
    """What raw pixels become before they reach the network, exactly as in the graph."""
    spec = lowered.network.input
    if len(spec.shape) != 3:
        raise ExportError(f"{path}: expected an image input (N, C, H, W), got one of shape {spec.shape}")
    if not lowered.declared and lowered.entry is None:
        raise ExportError(
            f"{path}: its input takes reals, and nothing says which real a raw pixel is; give --input-scale"
            " (1/255 for pixels from 0 to 1, 1 for pixels as they are) and, where they were shifted, --input-offset"
        )
    quantizer = lowered.quantizer
    if quantizer and quantizer.reached <= LIKELY_MISTAKEN < quantizer.levels and told.scale is None:
        raise ExportError(
            f"{path}: raw pixels reach {quantizer.reached} of the {quantizer.levels} levels of its input's quantizer"
            f" {quantizer.node!r}, so it was made for scaled pixels; give --input-scale, such as 1/255, or 1 if not"
        )
    if lowered.entry is not None:
        return lowered.entry.codec(spec.shape[-1])
    bits = spec.hi.bit_length()
    if spec.lo != 0 or spec.hi != 2**bits - 1 or not 1 <= bits <= 8:
        raise ExportError(
            f"{path}: its input is declared as integers {spec.lo}..{spec.hi}, which raw pixels are not; say what it is"
            " fed: --input-datatype UINT8 for pixels as they are, or FLOAT32 with --input-scale and --input-offset"
        )
    return UniformCodec(bits)


def _class_count(path: Path, network: Network) -> int:
    last = network.stages[-1]
    shape = network.output.shape
    if math.prod(shape[:-1]) > 1:
        raise ExportError(f"{path}: gives an image of scores {shape}, and bundles classify patches as a whole")
    return network.tensors[last.inputs[0]].size if isinstance(last, ArgMax) else network.output.size


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
