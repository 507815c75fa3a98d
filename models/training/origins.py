"""What a network starts from or learns from: a training run's folder, or a bundle (a path or ``zoo:NAME``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.emulator import EmulatorBackend
from bitswath.bundle.bundle import MANIFEST, Bundle, load_bundle
from bitswath.bundle.zoo import located
from bitswath.codecs.kinds import codec_from_dict
from bitswath.codecs.packing import pack
from bitswath.errors import ConfigError
from bitswath.models.export.onnx_bundle import training_config
from bitswath.models.export.restore import restore_keras
from bitswath.models.nets.quantizers import keras
from bitswath.models.training.train import Teacher, keras_teacher, phase_weights
from bitswath.models.training.trained import WEIGHTS, ModelInfo, load_info, load_weights
from bitswath.network.network import ArgMax

__all__ = ["load_start", "load_teacher"]


def load_start(source: str | Path, student: ModelInfo) -> keras.Model:
    """The network whose weights training starts from: a run's float warm-up if it has one, else its last.

    Raises `ConfigError` for what no training wrote, `BundleError` for a bundle that cannot be read.
    """
    if (bundle := _bundle(source)) is None:
        return _run_network(Path(source), student)[0]
    if (config := training_config(bundle)) is None:
        raise ConfigError(f"{source}: not trained by bitswath, so there are no weights to start from")
    return restore_keras(bundle, config)


def load_teacher(source: str | Path, student: ModelInfo) -> Teacher:
    """The network to learn from: a bundle on the emulator, a run's network in Keras.

    Raises as `load_start`, and `ConfigError` if it was trained for other patches or classes than the student's.
    """
    if (bundle := _bundle(source)) is None:
        model, info = _run_network(Path(source), student)
        _require_fit(source, info.patch_shape, info.classes, student)
        return keras_teacher(model, codec_from_dict(info.codec))
    _require_fit(source, bundle.manifest.input.patch_shape, bundle.classes, student)
    network = bundle.network
    if isinstance(network.stages[-1], ArgMax) or network.head.softmax:
        raise ConfigError(f"{source}: puts out labels or probabilities; a teacher's outputs are logits")
    return _emulated(bundle, student.config.schedule.batch)


def _emulated(bundle: Bundle, batch: int) -> Teacher:
    """What a bundle's network says of its codes, without the frames that bring them."""
    network, bits = bundle.network, bundle.codec.bits
    emulator = EmulatorBackend(network, bits, frames_in_flight=batch)

    def logits(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        return network.head.dequantize(emulator.collect(emulator.submit(pack(codes, bits))))

    return Teacher(bundle.codec, logits)


def _bundle(source: str | Path) -> Bundle | None:
    folder = located(source)
    return load_bundle(folder) if (folder / MANIFEST).exists() else None


def _run_network(folder: Path, student: ModelInfo) -> tuple[keras.Model, ModelInfo]:
    info = load_info(folder)
    path = phase_weights(folder, "float")
    warm = path.exists()
    network = info.build(quantized=not warm, precision=student.config.schedule.precision)
    return load_weights(network, path if warm else folder / WEIGHTS), info


def _require_fit(
    source: str | Path, patch_shape: tuple[int, ...], classes: tuple[str, ...], student: ModelInfo
) -> None:
    if (tuple(patch_shape), tuple(classes)) != (student.patch_shape, student.classes):
        raise ConfigError(
            f"{source}: a network of {tuple(patch_shape)} patches in {len(classes)} classes does not fit"
            f" {student.patch_shape} in {len(student.classes)}, or their classes differ"
        )
