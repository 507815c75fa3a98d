"""Training starts from, and learns from, a run's folder or a bundle; what does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.accelerator import open as open_accelerator
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.kinds import fit_codec, parse_codec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import ConfigError
from bitswath.models.data.datasets import Dataset
from bitswath.models.export.onnx_bundle import training_config
from bitswath.models.export.restore import restore_keras
from bitswath.models.nets.config import TrainConfig
from bitswath.models.training.fit import train_model
from bitswath.models.training.origins import load_start, load_teacher
from bitswath.models.training.run_bundle import bundle_trained
from bitswath.models.training.train import evaluate, predict
from bitswath.models.training.trained import Trained, save_trained
from tests.models.training.test_train import config, info, run, samples

LITTLE = {"epochs": 1, "batch": 32, "learning_rate": 1e-12, "warmup_epochs": 0}
"""A step that changes nothing."""


def trained(folder: Path, settings: TrainConfig, codec: UniformCodec) -> Trained:
    data = Dataset("stripes", "train", samples(320, 0).patches, samples(320, 0).labels, ("a", "b", "c"))
    return train_model(info(settings, codec), codec, data, data, folder)[0]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Trained on 8 bits, for students of 4."""
    folder = tmp_path_factory.mktemp("first")
    settings = config(codec="uniform:8", schedule={"epochs": 3, "batch": 32, "learning_rate": 0.005})
    trained(folder / "run", settings, UniformCodec(8))
    return bundle_trained(folder / "run", folder / "first.bsw")[0]


def restored(bundle: Bundle) -> Any:
    settings = training_config(bundle)
    assert settings is not None
    return restore_keras(bundle, settings)


def integers(model: Any) -> dict[str, np.ndarray]:
    """The quantized kernels, in steps of their scales."""
    found = {}
    for layer in model.layers:
        for kernel, quantizer, variables in getattr(layer, "_weight_vars", []):
            scale = quantizer.scale(kernel, variables).numpy()
            found[layer.name] = np.rint(quantizer(kernel, False, variables).numpy() / scale).astype(int)
    return found


def test_a_bundle_hands_over_weights_and_scales_of_layers_of_equal_widths(exported: Bundle, tmp_path: Path) -> None:
    settings = config(start=str(exported.path), schedule=LITTLE)
    started = integers(trained(tmp_path / "b", settings, UniformCodec(4)).model)
    there = integers(restored(exported))
    assert {name: values.tolist() for name, values in started.items()} == {
        name: values.tolist() for name, values in there.items()
    }


def test_layers_of_other_widths_find_their_scales_anew(exported: Bundle, tmp_path: Path) -> None:
    settings = config(start=str(exported.path), widths="w2a2", schedule=LITTLE)
    started = integers(trained(tmp_path / "b", settings, UniformCodec(4)).model)
    assert {int(np.abs(values).max()) for values in started.values()} == {1}
    assert all((values == 0).mean() < 0.9 for values in started.values())


def test_a_bundle_teaches_on_the_emulator_with_its_own_encoding(exported: Bundle) -> None:
    patches = samples(40, 3).patches
    teacher = load_teacher(exported.path, info(config(), UniformCodec(4)))
    model = restored(exported)
    expected = np.asarray(model(UniformCodec(8).encode(patches).astype(np.float32)))
    assert teacher.codec == UniformCodec(8)
    np.testing.assert_allclose(teacher.logits(teacher.codec.encode(patches)), expected, rtol=1e-4, atol=1e-4)


def test_a_bundle_of_compressed_frames_teaches_on_the_pixels_they_decode_to(exported: Bundle, tmp_path: Path) -> None:
    patches = samples(200, 3).patches
    codec = fit_codec(parse_codec("transform:8"), patches)
    assert codec.compressed
    bundle = save_bundle(
        tmp_path / "t.bsw",
        network=exported.network,
        codec=codec,
        patch_shape=(16, 16, 3),
        classes=exported.classes,
        provenance=exported.manifest.provenance.source,
    )
    teacher = load_teacher(bundle.path, info(config(), UniformCodec(4)))
    assert teacher.codec == codec
    codes = codec.encode(patches[:32])
    assert not np.array_equal(codes, patches[:32])
    with open_accelerator(bundle, "emulator") as accelerator:
        expected = accelerator.classify(patches[:32]).logits
    assert np.array_equal(teacher.logits(codes), expected)


def test_a_student_learns_from_a_bundle(exported: Bundle, tmp_path: Path) -> None:
    settings = config(
        distill={"teacher": str(exported.path), "weight": 1.0},
        schedule={"epochs": 4, "batch": 32, "learning_rate": 0.005},
    )
    data = samples(320, 0)
    wrong = Dataset("stripes", "train", data.patches, np.zeros_like(data.labels), ("a", "b", "c"))
    model = train_model(info(settings, UniformCodec(4)), UniformCodec(4), wrong, wrong, tmp_path)[0].model
    shown = samples(120, 2)
    with open_accelerator(exported, "emulator") as accelerator:
        taught = accelerator.classify(shown.patches).labels
    assert (predict(model, UniformCodec(4).encode, shown.patches) == taught).mean() > 0.6


def test_a_run_teaches_with_its_own_encoding(tmp_path: Path) -> None:
    settings = config(codec="uniform:8", schedule={"epochs": 3, "batch": 32, "learning_rate": 0.005})
    model = trained(tmp_path, settings, UniformCodec(8)).model
    patches = samples(40, 3).patches
    teacher = load_teacher(tmp_path, info(config(), UniformCodec(4)))
    expected = np.asarray(model(UniformCodec(8).encode(patches).astype(np.float32)))
    assert teacher.codec == UniformCodec(8)
    np.testing.assert_allclose(teacher.logits(teacher.codec.encode(patches)), expected, rtol=1e-4, atol=1e-4)


def test_a_warm_up_is_what_a_run_hands_over(tmp_path: Path) -> None:
    settings = config(schedule={"epochs": 1, "float_epochs": 2, "batch": 32, "learning_rate": 0.005})
    data = Dataset("stripes", "train", samples(320, 0).patches, samples(320, 0).labels, ("a", "b", "c"))
    train_model(info(settings, UniformCodec(4)), UniformCodec(4), data, data, tmp_path)
    start = load_start(tmp_path, info(config(), UniformCodec(4)))
    assert not any("scale" in variable.name for variable in start.variables)
    assert evaluate(start, UniformCodec(4).encode, samples(60, 1)) == evaluate(
        run(tmp_path, settings).load_best("float"), UniformCodec(4).encode, samples(60, 1)
    )


def test_the_first_layers_of_another_task_are_where_training_starts(exported: Bundle, tmp_path: Path) -> None:
    settings = config(start=str(exported.path), schedule=LITTLE, codec="uniform:8")
    data = Dataset("stripes", "train", samples(320, 0).patches, samples(320, 0).labels, ("x", "y", "z", "w"))
    codec = UniformCodec(8)
    described = info(settings, codec).model_copy(update={"classes": data.classes})
    started = integers(train_model(described, codec, data, data, tmp_path / "b")[0].model)
    there = integers(restored(exported))
    assert started.keys() == there.keys()
    *first, last = there
    for name in first:
        np.testing.assert_array_equal(started[name], there[name])
    assert (started[last].shape[-1], there[last].shape[-1]) == (4, 3)


def test_a_teacher_of_other_classes_is_refused(exported: Bundle, tmp_path: Path) -> None:
    described = info(config(), UniformCodec(4))
    save_trained(tmp_path, described, described.build())
    other = described.model_copy(update={"classes": ("c", "b", "a")})
    for source in (tmp_path, exported.path):
        with pytest.raises(ConfigError, match="does not fit"):
            load_teacher(source, other)


def test_another_architecture_is_refused(exported: Bundle, tmp_path: Path) -> None:
    settings = config(start=str(exported.path), architecture={"kind": "vgg", "widths": [8, "M", 8, "M"]})
    with pytest.raises(ConfigError, match="weights to start from: layer conv1"):
        trained(tmp_path / "b", settings, UniformCodec(4))
