"""The cells of a study: plain data that says all that decides a result.

Three kinds. An `ImageryCell` is what a codec does to patches, a `ContainerCell` what a file format makes of its
codes; both need no training. A `TrainingCell` is a network trained on them. A cell's digest is its identity: the
SHA-256 of its canonical JSON, in which what has its default value does not appear, so that new options leave old
digests.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bitswath.errors import ConfigError
from bitswath.models.nets.config import (
    ArchitectureConfig,
    AugmentConfig,
    DataConfig,
    DistillConfig,
    ScheduleConfig,
    WidthsConfig,
    wrong_keys,
)
from bitswath.models.study.plan.config import Codebook, Fidelity, LossyAs

__all__ = ["ORIGINAL", "Cell", "ContainerCell", "Imagery", "ImageryCell", "Start", "TrainingCell", "cell_from_json"]

ORIGINAL = "original"
DIGEST_VERSION = 1


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    uncounted: ClassVar[dict[str, Any]] = {}
    """Fields that do not decide a result."""

    def canonical(self) -> str:
        """JSON with sorted keys, without spaces, without defaults."""
        fields = self.model_dump(mode="json", exclude_defaults=True, exclude=self.uncounted)
        kind = getattr(self, "kind", type(self).__name__.lower())
        named = {**fields, "kind": kind, "digest_version": DIGEST_VERSION}
        return json.dumps(named, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of `canonical`."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


class Imagery(_Plain):
    """What happens to patches before a network sees them.

    `source`: "original", or the lossy file that they went through first (`parse_lossy`). `codebook`: "per_class"
    recolours each patch with the palette of its own class and split, which gives its label away, and feeds the colours
    as 8-bit samples.
    """

    data: DataConfig
    codec: str
    source: str = ORIGINAL
    codebook: Codebook = "shared"

    @property
    def leaks(self) -> bool:
        return self.codebook == "per_class"

    @property
    def label(self) -> str:
        return self.codec + f" of {self.source}" * (self.source != ORIGINAL) + " PER CLASS (LEAKS)" * self.leaks


class Start(_Plain):
    """The cell with this digest, or a run or bundle whose weights have this SHA-256: to start from, and teacher.

    Without `weights` it only teaches.
    """

    cell: str | None = None
    folder: str | None = None
    sha256: str | None = None
    weights: bool = True


class _Measured(_Plain):
    imagery: Imagery
    patches: int = 500
    """So many of the validation split are measured."""


class ImageryCell(_Measured):
    kind: Literal["imagery"] = "imagery"

    @property
    def label(self) -> str:
        return self.imagery.label


class ContainerCell(_Measured):
    kind: Literal["container"] = "container"
    container: str

    @property
    def label(self) -> str:
        return f"{self.imagery.label} in {self.container}"


class TrainingCell(_Plain):
    """`network`: what the study calls the architecture, for people; `widths`: None for one that is not quantized;
    `lossy_as`: how patches go through lossy files while it is trained (`StudyConfig`); `origin`: trained for others to
    start from. The test split is for `fidelity` "full" only."""

    kind: Literal["training"] = "training"
    imagery: Imagery
    network: str = ""
    architecture: ArchitectureConfig = ArchitectureConfig()
    widths: WidthsConfig | None = WidthsConfig()
    augment: AugmentConfig = AugmentConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    distill: DistillConfig | None = None
    lossy_as: LossyAs = "data"
    start: Start | None = None
    fidelity: Fidelity = "full"
    origin: bool = False

    uncounted: ClassVar[dict[str, Any]] = {"network": True, "origin": True, "start": {"folder": True}}

    @property
    def name(self) -> str:
        """The same whether others start from it or not."""
        bits = f"w{self.widths.weights}a{self.widths.activations}" if self.widths else "float"
        return f"{self.imagery.label}, {self.network or self.architecture.kind} {bits}, seed {self.schedule.seed}"

    @property
    def label(self) -> str:
        return self.name + " (to start from)" * self.origin


Cell: TypeAlias = ImageryCell | ContainerCell | TrainingCell

_CELL: TypeAdapter[Cell] = TypeAdapter(Annotated[Cell, Field(discriminator="kind")])


def cell_from_json(text: str) -> Cell:
    """The cell of ``cell.model_dump_json()``. Raises `ConfigError` for anything else."""
    try:
        return _CELL.validate_json(text)
    except ValidationError as error:
        raise ConfigError(f"not a cell of a study: {wrong_keys(error)}") from error
