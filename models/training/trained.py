"""A trained model on disk: what it was made from beside its weights.

``model.json`` in the run's folder names the configuration, the codec, the classes and the data;
``model.weights.h5`` holds the weights, settled (see `bitswath.models.training.settle`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bitswath.basics.files import write_atomic
from bitswath.codecs.base import Codec
from bitswath.codecs.kinds import codec_from_dict
from bitswath.errors import ConfigError
from bitswath.models.nets.architectures import InputSpec, Precision, build_model, input_spec
from bitswath.models.nets.config import TrainConfig
from bitswath.models.nets.quantizers import keras
from bitswath.models.training.train import save_weights

__all__ = [
    "WEIGHTS",
    "ModelInfo",
    "Trained",
    "load_info",
    "load_trained",
    "load_weights",
    "save_trained",
]

INFO = "model.json"
WEIGHTS = "model.weights.h5"


class ModelInfo(BaseModel):
    """What a trained model is: all that is needed to build it again and to feed it. `notes`: on how its training data
    came about."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    config: TrainConfig
    codec: dict[str, Any]
    patch_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    dataset: str
    dataset_digest: str
    notes: tuple[str, ...] = ()

    def build(self, *, quantized: bool = True, precision: Precision = "float32") -> keras.Model:
        """The network, untrained; quantization-aware, or its float form."""
        spec = input_spec(codec_from_dict(self.codec), self.patch_shape)
        widths = self.config.widths if quantized else None
        return build_model(self.config.architecture, spec, len(self.classes), widths, precision)


@dataclass(frozen=True)
class Trained:
    """A trained model in memory."""

    info: ModelInfo
    codec: Codec
    model: keras.Model

    @property
    def spec(self) -> InputSpec:
        return input_spec(self.codec, self.info.patch_shape)


def save_trained(folder: Path, info: ModelInfo, model: keras.Model) -> None:
    """Write weights, then the description that makes the folder a trained model."""
    save_weights(model, folder / WEIGHTS)
    write_atomic(folder / INFO, (info.model_dump_json(indent=2) + "\n").encode())


def load_trained(folder: str | Path) -> Trained:
    """Read what `save_trained` wrote. Raises `ConfigError` naming the file that is missing or wrong."""
    info = load_info(Path(folder))
    return Trained(info, codec_from_dict(info.codec), load_weights(info.build(), Path(folder) / WEIGHTS))


def load_info(folder: Path) -> ModelInfo:
    """What a run's folder holds. Raises `ConfigError` naming the file that is missing or wrong."""
    path = folder / INFO
    try:
        return ModelInfo.model_validate(json.loads(path.read_text()))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); 'bitswath train' writes it") from error
    except (json.JSONDecodeError, ValidationError) as error:
        raise ConfigError(f"{path}: not a trained model's description ({str(error).splitlines()[0]})") from error


def load_weights(model: keras.Model, path: Path) -> keras.Model:
    """The model with the weights of a file. Raises `ConfigError` where they cannot be loaded."""
    try:
        model.load_weights(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be loaded ({str(error).splitlines()[0]})") from error
    return model
