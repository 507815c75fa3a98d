"""What a bundle says about itself: the schema of ``manifest.json``."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from bitswath.basics.proportions import wilson_interval
from bitswath.basics.schema import Digest, Schema
from bitswath.network.network import Conv, Dense, Network, TensorSpec, Threshold
from bitswath.version import __version__

__all__ = [
    "SCHEMA_VERSION",
    "FileEntry",
    "InputInfo",
    "Layout",
    "Manifest",
    "ModelInput",
    "NetworkInfo",
    "OutputInfo",
    "Provenance",
    "Sensor",
    "Source",
    "SplitAccuracy",
]

SCHEMA_VERSION = 1

_Count = Annotated[int, Field(ge=0, lt=1 << 63)]
_Text = Annotated[str, Field(min_length=1, max_length=512)]
_Extent = Annotated[int, Field(ge=1, le=1 << 20)]
_Shape = tuple[_Extent, _Extent, _Extent]
_Bits = Annotated[int, Field(ge=1, le=64)]
_Dtype = Literal["uint8", "uint16", "int8", "int16", "float32"]

Layout = Literal["image", "sequence", "flat"]
"""What a patch (H, W, C) is to its user: that, a signal (L, C) with H or W 1, or a vector (C,) with both 1."""
_Fraction = Annotated[float, Field(ge=0, le=1)]


def _inside(path: str) -> str:
    """A plain relative path in POSIX form, which stays in the bundle."""
    pure = PurePosixPath(path)
    if (
        not pure.parts
        or pure.is_absolute()
        or ".." in pure.parts
        or any(sign in path for sign in "\\:\0")
        or str(pure) != path
    ):
        raise ValueError("expected a relative path inside the bundle, with '/' and without '..'")
    return path


_Path = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_inside)]


class ModelInput(Schema):
    """How ``model.onnx`` is read, where its own annotations do not say.

    `datatype`: of its input's integers, None for the annotated ones; it is fed ``scale * integer + offset``, of raw
    samples where the integers are those of the graph's first quantizer. One number, or one for each band. `layout`:
    the axes of its input.
    """

    datatype: _Text | None = None
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    layout: Literal["nchw", "nhwc", "flat"] | None = None


class Sensor(Schema):
    """What the patches were taken by, for those who bring other imagery; None where it is not known.

    `bands`: their names in order, as "red" or "B04"; `gsd_m`: metres from pixel to pixel; `value_range`: the lowest and
    the highest sample there may be.
    """

    bands: Annotated[tuple[_Text, ...], Field(min_length=1)] | None = None
    gsd_m: Annotated[float, Field(gt=0)] | None = None
    value_range: tuple[float, float] | None = None


class InputInfo(Schema):
    """The patches a bundle takes and the frames it sends. Shapes are (H, W, C); `layout` says what that is to users."""

    patch_shape: _Shape
    patch_dtype: _Dtype
    layout: Layout = "image"
    codec: dict[str, JsonValue]
    code_shape: _Shape
    bits: Annotated[int, Field(ge=1, le=8)]
    frame_bytes: _Count
    model: ModelInput = ModelInput()
    sensor: Sensor | None = None

    @model_serializer(mode="wrap")
    def _without_what_older_ones_do_not_know(self, plain: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        values: dict[str, JsonValue] = plain(self)
        return values if self.sensor else {name: value for name, value in values.items() if name != "sensor"}

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """A patch's shape as its user has it: (H, W, C), of a signal (L, C), of a vector (C,)."""
        height, width, bands = self.patch_shape
        return {"flat": (bands,), "sequence": (height * width, bands)}.get(self.layout, self.patch_shape)

    @property
    def described(self) -> str:
        """ "uint8 images 64 x 64 x 3", "float32 vectors of 16", "int8 signals 1024 x 2"."""
        size = " x ".join(map(str, self.sample_shape))
        what = {"flat": "vectors of", "sequence": "signals"}.get(self.layout, "images")
        return f"{self.patch_dtype} {what} {size}"

    @model_validator(mode="after")
    def _of_its_sensor(self) -> InputInfo:
        named = self.sensor.bands if self.sensor else None
        if named is not None and (len(named) != self.patch_shape[2] or len(set(named)) != len(named)):
            raise ValueError(f"sensor.bands: expected {self.patch_shape[2]} names, each another, got {named}")
        return self

    @model_validator(mode="after")
    def _of_its_layout(self) -> InputInfo:
        extents = self.patch_shape[:2]
        fits = {"image": True, "sequence": 1 in extents, "flat": extents == (1, 1)}
        if not fits[self.layout]:
            raise ValueError(f"layout: patches of shape {self.patch_shape} are no {self.layout} ones")
        return self


class OutputInfo(Schema):
    """One of several outputs: its name in the model, and its shape, (classes,) or (H, W, classes)."""

    name: _Text
    shape: tuple[_Extent] | _Shape


class NetworkInfo(Schema):
    """`macs`: multiply-accumulates per frame; `weight_bits`, `activation_bits`: the widest there
    are in the network, None where it has none."""

    macs: _Count
    weight_bits: _Bits | None
    activation_bits: _Bits | None

    @classmethod
    def of(cls, network: Network) -> NetworkInfo:
        weights = [_weight_bits(stage) for stage in network.stages if isinstance(stage, Conv | Dense)]
        activations = [network.tensors[stage.name].bits for stage in network.stages if isinstance(stage, Threshold)]
        return cls(
            macs=network.macs,
            weight_bits=max(weights, default=None),
            activation_bits=max(activations, default=None),
        )


class FileEntry(Schema):
    """Digest and size of one of the bundle's files."""

    sha256: Digest
    bytes: _Count


class Source(Schema):
    """Where a network comes from; None where it is not known.

    `training`: the training configuration; `dataset`, `dataset_digest`: name and SHA-256 of what
    it was trained on; `exporter`: the tool that wrote the QONNX file.
    """

    training: dict[str, JsonValue] | None = None
    dataset: _Text | None = None
    dataset_digest: _Text | None = None
    exporter: _Text | None = None


class Provenance(Schema):
    """Which bitswath wrote the bundle, when (UTC), and from what."""

    bitswath: _Text = __version__
    created: AwareDatetime = Field(default_factory=lambda: datetime.now(timezone.utc).replace(microsecond=0))
    source: Source = Source()


class SplitAccuracy(Schema):
    """A measured share of correct labels with its Wilson 95 % interval."""

    accuracy: _Fraction
    correct: _Count
    patches: Annotated[int, Field(ge=1, lt=1 << 63)]
    interval: tuple[_Fraction, _Fraction]

    @classmethod
    def of(cls, correct: int, patches: int) -> SplitAccuracy:
        """Raises `ValueError` unless ``0 <= correct <= patches`` and ``patches >= 1``."""
        interval = wilson_interval(correct, patches)
        return cls(accuracy=correct / patches, correct=correct, patches=patches, interval=interval)

    @model_validator(mode="after")
    def _agrees(self) -> SplitAccuracy:
        if self.correct > self.patches:
            raise ValueError(f"{self.correct} correct of {self.patches} patches")
        if abs(self.accuracy - self.correct / self.patches) > 1e-6:
            raise ValueError(f"accuracy {self.accuracy} is not {self.correct} of {self.patches}")
        low, high = wilson_interval(self.correct, self.patches)
        if abs(self.interval[0] - low) > 1e-6 or abs(self.interval[1] - high) > 1e-6:
            raise ValueError(f"interval {self.interval} does not belong to {self.correct} of {self.patches}")
        return self


class Manifest(Schema):
    """``manifest.json``. `files` lists every other file outside ``hw/`` by its relative path.

    `classes`: names along the last axis of the output, of several `outputs` the first. The network's last tensor
    holds those one behind the other.
    """

    schema_version: Literal[1] = 1
    name: _Text
    input: InputInfo
    classes: Annotated[tuple[_Text, ...], Field(min_length=1)]
    network: NetworkInfo
    files: dict[_Path, FileEntry]
    provenance: Provenance
    accuracy: dict[_Text, SplitAccuracy]
    outputs: tuple[OutputInfo, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> Manifest:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: expected distinct names")
        if len({output.name for output in self.outputs}) != len(self.outputs):
            raise ValueError("outputs: expected distinct names")
        return self


def _weight_bits(stage: Conv | Dense) -> int:
    low, high = int(stage.weights.min()), int(stage.weights.max())
    bipolar = bool((abs(stage.weights) == 1).all())
    return 1 if bipolar else TensorSpec((1,), low, high).bits
