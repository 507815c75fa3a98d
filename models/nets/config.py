"""The one file that describes a model: codec, architecture, widths, data and schedule.

YAML or TOML, validated as a whole: every wrong key or value is named in one `ConfigError`.
The configuration is stored with the trained model and in its bundle.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from bitswath.errors import ConfigError

__all__ = [
    "ArchitectureConfig",
    "AugmentConfig",
    "DataConfig",
    "DistillConfig",
    "LayerWidths",
    "ScheduleConfig",
    "TrainConfig",
    "Widths",
    "WidthsConfig",
    "load_config",
    "parse_config",
    "read_config",
    "wrong_keys",
]

Channels = Annotated[int, Field(ge=1, le=4096)]
Pixels = Annotated[int, Field(ge=1, le=65536)]
Bits = Annotated[int, Field(ge=1, le=8)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _square(value: Any) -> Any:
    """128 as [128, 128]."""
    return value if isinstance(value, bool) or not isinstance(value, int) else (value, value)


Size = Annotated[tuple[Pixels, Pixels] | None, BeforeValidator(_square)]
"""Of a configuration: [height, width] or the side of a square."""


class DataConfig(_Section):
    """Which patches: the arguments of `bitswath.models.data.datasets.load_dataset`. `name` may be a path.

    `resize` and `crop`, in this order, bring images to one size; `size`: of patches that are drawn, and the same as
    `resize` of a square for images. `val_share`: of the training images, where a set comes with train/ and test/ alone.
    """

    name: str
    limit: int | None = Field(default=None, ge=1)
    size: int | None = Field(default=None, ge=1)
    resize: Size = None
    crop: Size = None
    val_share: float = Field(default=0.1, gt=0, lt=1)
    bands: int | None = Field(default=None, ge=1)
    depth: int | None = Field(default=None, ge=1)
    seed: int = 0


class ArchitectureConfig(_Section):
    """Which network. `widths`: output channels per layer, "M" for a 2x2 max pool where the kind allows it;
    `stem_stride`: of a residual network's first convolution; `stem_kernel`: of the first of any kind, 1 where it reads
    many channels of one place, such as the coefficients of a block.

    With `dropout` a resumed run draws other masks than an unbroken one.
    """

    kind: Literal["vgg", "vgg16", "resnet", "resnet8", "resnet20", "separable"] = "vgg"
    widths: Annotated[tuple[Channels | Literal["M"], ...], Field(min_length=1)] | None = None
    multiplier: float = Field(default=1.0, gt=0, le=4)
    head: Literal["dense", "pool"] = "dense"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    stem_stride: Literal[1, 2] = 1
    stem_kernel: Literal[1, 3] = 3


class LayerWidths(_Section):
    """Overrides for one layer, by its name."""

    weights: Bits | None = None
    activations: Bits | None = None


class WidthsConfig(_Section):
    """Bits of weights and activations; 1-bit weights are bipolar. Residual branches, which are signed, have
    at least two bits."""

    weights: Bits = 4
    activations: Bits = 4
    per_channel: bool = True
    power_of_two: bool = False
    layers: dict[str, LayerWidths] = Field(default_factory=dict)


def _widths(value: Any) -> Any:
    """ "w4a2" as {weights: 4, activations: 2}, "float" as None."""
    if value == "float":
        return None
    if isinstance(value, str) and len(value) == 4 and value[0] == "w" and value[2] == "a":
        return {"weights": int(value[1]), "activations": int(value[3])} if (value[1] + value[3]).isdigit() else value
    return value


Widths = Annotated[WidthsConfig | None, BeforeValidator(_widths)]
"""Of a configuration: None where the network is not quantized."""


class AugmentConfig(_Section):
    """Random changes of training patches, before the codec. `shift`: pixels at most; `zoom`: how much larger a part of
    the patch is drawn at most, 0.25 for up to 1.25 times."""

    flips: bool = True
    rotations: bool = True
    shift: int = Field(default=4, ge=0, le=32)
    zoom: float = Field(default=0.0, ge=0, le=3)


class ScheduleConfig(_Section):
    """How long and how fast. `float_epochs`: warm-up of the unquantized network before the quantized one.

    `precision`: of what passes between layers while training; what is exported is always float32.
    `early_stop`: epochs without a better validation accuracy before training ends.
    """

    epochs: int = Field(default=30, ge=1)
    float_epochs: int = Field(default=0, ge=0)
    batch: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_epochs: float = Field(default=1.0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    early_stop: int | None = Field(default=None, ge=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0


class DistillConfig(_Section):
    """Learning from a teacher: a folder that `bitswath train` wrote, a bundle (its path or ``zoo:NAME``), or "float"
    for the float warm-up of this very run."""

    teacher: str = "float"
    temperature: float = Field(default=4.0, gt=0)
    weight: float = Field(default=0.5, ge=0, le=1)


class TrainConfig(_Section):
    """Everything that decides a trained model.

    `widths`: None or "float" for a network that is not quantized. `start`: a folder that `bitswath train` wrote or a
    bundle (its path or ``zoo:NAME``) whose weights training starts from; learned scales too, of layers of the same
    widths. Of one for the same patches and classes all layers are taken, which have to be the same; of another its
    first layers, up to the one that differs.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    data: DataConfig
    codec: str = "uniform:4"
    architecture: ArchitectureConfig = ArchitectureConfig()
    widths: Widths = WidthsConfig()
    augment: AugmentConfig = AugmentConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    distill: DistillConfig | None = None
    start: str | None = None

    @model_validator(mode="after")
    def _float_teacher_needs_float_epochs(self) -> TrainConfig:
        if self.distill and self.distill.teacher == "float" and self.schedule.float_epochs == 0:
            raise ValueError('distill.teacher "float" needs schedule.float_epochs of at least 1')
        if self.widths is None and self.schedule.float_epochs:
            raise ValueError("schedule.float_epochs: a float network has no warm-up; set epochs alone")
        return self


def load_config(path: str | Path) -> TrainConfig:
    """Read a YAML (.yaml, .yml) or TOML (.toml) configuration.

    Raises `ConfigError` naming the file and every wrong key.
    """
    return parse_config(read_config(path), str(path))


def parse_config(raw: Any, origin: str) -> TrainConfig:
    """Validate a parsed configuration; `origin` names it in the error."""
    _require_table(raw, origin)
    try:
        return TrainConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {wrong_keys(error)}") from error


def read_config(path: str | Path) -> dict[str, Any]:
    """The table in a YAML or TOML file, not validated. Raises `ConfigError` naming the file."""
    path = Path(path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    return _require_table(_parse(text, path), str(path))


def wrong_keys(error: ValidationError) -> str:
    """Every wrong key with what it was, on one line."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'config'}: {item['msg']} (got {item['input']!r})"
        for item in error.errors()
    )


def _require_table(raw: Any, origin: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ConfigError(f"{origin}: expected a table of sections, got {type(raw).__name__}")
    return raw


def _parse(text: str, path: Path) -> Any:
    if path.suffix == ".toml":
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib

        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: not valid TOML ({error})") from error
    if path.suffix in {".yaml", ".yml"}:
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from error
    raise ConfigError(f"{path}: expected a .yaml, .yml or .toml file")
