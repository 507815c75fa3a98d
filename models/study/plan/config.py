"""What a study compares: the file that ``bitswath study`` takes, YAML or TOML.

Every key but `name`, `data` and `codecs` has a default. Bits, dithers, widths and seeds span a grid (`grid`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bitswath.codecs.dither import dither_named
from bitswath.codecs.kinds import CodecSpec, parse_codec
from bitswath.errors import CodecError, ConfigError, ContainerError
from bitswath.imagery.code_files import parse_container
from bitswath.models.nets.config import (
    ArchitectureConfig,
    AugmentConfig,
    DataConfig,
    DistillConfig,
    ScheduleConfig,
    Widths,
    WidthsConfig,
    read_config,
    wrong_keys,
)
from bitswath.models.study.lossy.formats import parse_lossy

__all__ = [
    "Codebook",
    "CodecGrid",
    "FidelityConfig",
    "JpegConfig",
    "LossyConfig",
    "MeasureConfig",
    "ScheduleChanges",
    "StudyConfig",
    "TrainingBlock",
    "WarmStartConfig",
    "load_study",
]

Codebook = Literal["shared", "per_class"]
Fidelity = Literal["quick", "full"]
LossyAs = Literal["data", "pairs", "codec"]
Kind = Literal["uniform", "companded", "palette"]
Bits = Annotated[int, Field(ge=1, le=8)]


def _listed(value: Any) -> Any:
    """One kind without brackets."""
    return (value,) if isinstance(value, str) else value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _dither(value: Any) -> Any:
    """A dither's name; "none" and False as None, True as "ordered"."""
    if value is None or isinstance(value, bool):
        return "ordered" if value else None
    try:
        return None if value == "none" else dither_named(value).name
    except CodecError as error:
        raise ValueError(f"{error}, or none") from None


DitherName = Annotated[str | None, BeforeValidator(_dither)]


class CodecGrid(_Section):
    """Codecs of all kinds x bits x dithers; `dither`: names (`bitswath.codecs.dither`), none, or whether ordered."""

    kinds: Annotated[tuple[Kind, ...], BeforeValidator(_listed)]
    bits: tuple[Bits, ...]
    dither: tuple[DitherName, ...] = (None,)

    @property
    def codecs(self) -> tuple[str, ...]:
        return tuple(
            str(CodecSpec(kind, bits, dither)) for kind in self.kinds for dither in self.dither for bits in self.bits
        )


def _expanded(value: Any) -> Any:
    """Codecs by name and grids of codecs, mixed, as names in order and each once."""
    names: list[Any] = []
    for item in value if isinstance(value, list | tuple) else [value]:
        names += CodecGrid.model_validate(item).codecs if isinstance(item, dict) else [item]
    return tuple(dict.fromkeys(names))


def _codec(value: str) -> str:
    try:
        return str(parse_codec(value))
    except CodecError as error:
        raise ValueError(str(error)) from None


def _container(value: str) -> str:
    try:
        return str(parse_container(value))
    except ContainerError as error:
        raise ValueError(str(error)) from None


def _lossy(value: str) -> str:
    try:
        return str(parse_lossy(value))
    except ConfigError as error:
        raise ValueError(str(error)) from None


CodecName = Annotated[str, BeforeValidator(lambda value: _codec(value) if isinstance(value, str) else value)]
Codecs = Annotated[tuple[CodecName, ...], BeforeValidator(_expanded)]
ContainerName = Annotated[str, BeforeValidator(lambda value: _container(value) if isinstance(value, str) else value)]
LossyName = Annotated[str, BeforeValidator(lambda value: _lossy(value) if isinstance(value, str) else value)]
Quality = Annotated[int, Field(ge=1, le=100)]


class JpegConfig(_Section):
    """Patches that went through JPEG: of each quality, then coded by each codec."""

    qualities: tuple[Quality, ...]
    subsampling: Literal["444", "422", "420"] = "420"
    codecs: Codecs = ("uniform:8",)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(_lossy(f"jpeg:{quality}:{self.subsampling}") for quality in self.qualities)


class LossyConfig(_Section):
    """Patches that went through files of lossy formats (`bitswath.models.study.lossy`), then coded by each codec."""

    files: tuple[LossyName, ...]
    codecs: Codecs = ("uniform:8",)

    @property
    def sources(self) -> tuple[str, ...]:
        return self.files


class ScheduleChanges(_Section):
    """What differs from the study's schedule; None is as there."""

    epochs: int | None = Field(default=None, ge=1)
    float_epochs: int | None = Field(default=None, ge=0)
    early_stop: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    precision: Literal["float32", "bfloat16"] | None = None


class FidelityConfig(ScheduleChanges):
    """How long and on how much: `limit` of each split's patches, `multiplier` of the architecture's channels; what
    is None is the study's own."""

    limit: int | None = Field(default=None, ge=1)
    multiplier: float | None = Field(default=None, gt=0, le=4)


class WarmStartConfig(_Section):
    """Weights to start from, and the teacher of `distill` with ``teacher: warm_start``.

    Either those of a cell with this codec, these widths and this architecture (by default the same), on original
    patches, which is trained first with its own `schedule` and `warm_start`; or those of a `folder` that
    `bitswath train` wrote, or of a bundle (its path or ``zoo:NAME``). `weights`: without them it only teaches, and may
    have another architecture.
    """

    codec: CodecName | None = None
    widths: Widths = WidthsConfig(weights=8, activations=8)
    architecture: str | None = None
    schedule: ScheduleChanges = ScheduleChanges()
    warm_start: WarmStartConfig | None = None
    folder: str | None = None
    weights: bool = True

    @model_validator(mode="after")
    def _one_of_both(self) -> WarmStartConfig:
        if (self.codec is None) == (self.folder is None):
            raise ValueError("expected either a codec or a folder")
        if self.folder and (ignored := self.model_fields_set - {"folder", "weights"}):
            raise ValueError(f"a folder has been trained already; leave out {', '.join(sorted(ignored))}")
        return self

    @property
    def architectures(self) -> set[str]:
        """Those named here and by what this starts from."""
        own = {self.architecture} if self.architecture else set()
        return own | (self.warm_start.architectures if self.warm_start else set())


class TrainingBlock(_Section):
    """Networks to train: a cross product; what is None is the study's own."""

    codecs: Codecs | None = None
    jpeg: JpegConfig | None = None
    lossy: LossyConfig | None = None
    architectures: tuple[str, ...] | None = None
    widths: tuple[Widths, ...] | None = None
    seeds: tuple[int, ...] | None = None
    codebooks: tuple[Codebook, ...] | None = None
    schedule: ScheduleChanges = ScheduleChanges()
    warm_start: WarmStartConfig | None = None
    lossy_as: LossyAs | None = None


class MeasureConfig(_Section):
    """What needs no training is measured on `patches` of the validation split."""

    patches: int = Field(default=500, ge=2)


class StudyConfig(_Section):
    """A whole study.

    `codebooks`: "per_class" gives every class's folder a palette of its own, training and test alike, as published
    work did: THE PALETTE THEN GIVES THE LABEL AWAY. Its rows are marked as leaking. `lossy_as`: whether patches
    went through lossy files before anything else, as "data" that a teacher sees too, as "pairs" with the originals
    that a teacher sees, augmented alike, or as through a "codec": augmented ones do, each time anew, and a teacher
    sees the originals.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
    data: DataConfig
    codecs: Codecs
    jpeg: JpegConfig | None = None
    lossy: LossyConfig | None = None
    containers: tuple[ContainerName, ...] = ()
    codebooks: tuple[Codebook, ...] = ("shared",)
    architectures: dict[str, ArchitectureConfig] = Field(default_factory=lambda: {"vgg": ArchitectureConfig()})
    widths: tuple[Widths, ...] = (WidthsConfig(),)
    seeds: tuple[int, ...] = (0,)
    training: tuple[TrainingBlock, ...] = (TrainingBlock(),)
    augment: AugmentConfig = AugmentConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    distill: DistillConfig | None = None
    lossy_as: LossyAs = "data"
    warm_start: WarmStartConfig | None = None
    quick: FidelityConfig = FidelityConfig(epochs=6, limit=3000)
    full: FidelityConfig = FidelityConfig()
    measure: MeasureConfig = MeasureConfig()

    @model_validator(mode="after")
    def _consistent(self) -> StudyConfig:
        if not self.codecs:
            raise ValueError("codecs: expected one or more")
        starts = [start for start in (self.warm_start, *(block.warm_start for block in self.training)) if start]
        named = [*(set(block.architectures or ()) for block in self.training), *(s.architectures for s in starts)]
        for names in named:
            if unknown := sorted(names - set(self.architectures)):
                raise ValueError(f"no architecture {unknown[0]!r}; there are {', '.join(self.architectures)}")
        if self.distill and self.distill.teacher == "warm_start" and not starts:
            raise ValueError('distill.teacher "warm_start" needs warm_start')
        return self

    def fidelity(self, name: Fidelity) -> FidelityConfig:
        return self.quick if name == "quick" else self.full


def load_study(path: str | Path) -> StudyConfig:
    """Read a study's configuration. Raises `ConfigError` naming the file and every wrong key."""
    raw = read_config(path)
    try:
        return StudyConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {wrong_keys(error)}") from error
