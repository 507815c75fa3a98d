"""Training learns, resumes where it stopped, and leaves a model that can be loaded."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import ConfigError, TrainingError
from bitswath.models.data.datasets import Dataset
from bitswath.models.nets.architectures import InputSpec
from bitswath.models.nets.config import TrainConfig, parse_config
from bitswath.models.nets.quantizers import keras
from bitswath.models.training.fit import train_model
from bitswath.models.training.train import Samples, TrainingRun, evaluate, float_variables
from bitswath.models.training.trained import ModelInfo, load_trained, save_trained

SPEC = InputSpec((16, 16, 3), 4)


def config(**sections: object) -> TrainConfig:
    raw = {
        "name": "trial",
        "data": {"name": "synthetic"},
        "architecture": {"kind": "vgg", "widths": [8, "M", 16, "M"]},
        "schedule": {"epochs": 3, "batch": 32, "learning_rate": 0.005},
    }
    return parse_config({**raw, **sections}, "test")


def info(settings: TrainConfig, codec: UniformCodec) -> ModelInfo:
    return ModelInfo(
        config=settings,
        codec=codec.to_dict(),
        patch_shape=(16, 16, 3),
        classes=("a", "b", "c"),
        dataset="synthetic",
        dataset_digest="sha256:0",
    )


def samples(count: int, seed: int) -> Samples:
    """Three classes told apart by the direction of their stripes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    y, x = np.mgrid[:16, :16]
    waves = np.stack([np.sin(0.9 * x), np.sin(0.9 * (x + y)), np.sin(0.4 * x) * np.sin(0.4 * y)])
    noise = rng.normal(0, 10, (count, 16, 16, 3))
    patches = np.clip(128 + 70 * waves[labels][..., np.newaxis] + noise, 0, 255).astype(np.uint8)
    return Samples(patches, labels.astype(np.int64))


def run(folder: Path, settings: TrainConfig, **options: object) -> TrainingRun:
    return TrainingRun(settings, SPEC, 3, UniformCodec(4), folder, **options)  # type: ignore[arg-type]


def test_a_small_network_learns_stripes(tmp_path: Path) -> None:
    losses: list[float] = []
    trial = run(tmp_path, config(), report=lambda phase, epoch, metrics: losses.append(metrics["loss"]))
    model = trial.fit(samples(320, 0), samples(60, 1))
    assert losses == sorted(losses, reverse=True)
    assert evaluate(model, trial.codec.encode, samples(120, 2)) > 0.7


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_interrupted_run_ends_where_an_unbroken_one_does(tmp_path: Path, precision: str) -> None:
    settings = config(schedule={"epochs": 3, "batch": 32, "precision": precision, "label_smoothing": 0.1})
    train, val = samples(96, 0), samples(30, 1)

    class InterruptError(Exception):
        pass

    def stop(phase: str, epoch: int, metrics: dict[str, float]) -> None:
        if epoch == 2:
            raise InterruptError

    whole = run(tmp_path / "whole", settings)
    whole.fit(train, val)
    with pytest.raises(InterruptError):
        run(tmp_path / "broken", settings, report=stop).fit(train, val)
    resumed = run(tmp_path / "broken", settings)
    resumed.fit(train, val)
    epochs = [line.split('"epoch": ')[1][0] for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()]
    assert epochs == ["1", "2", "3"]
    logs = [
        [line.split("elapsed")[0] for line in (tmp_path / name / "log.jsonl").open()] for name in ("whole", "broken")
    ]
    assert logs[0] == logs[1]


def test_a_float_warm_up_teaches_the_quantized_network(tmp_path: Path) -> None:
    settings = config(
        schedule={"epochs": 2, "float_epochs": 2, "batch": 32, "learning_rate": 0.005},
        distill={"teacher": "float", "weight": 0.5},
    )
    trial = run(tmp_path, settings)
    model = trial.fit(samples(320, 0), samples(60, 1))
    assert (tmp_path / "float.weights.h5").exists()
    assert evaluate(model, trial.codec.encode, samples(120, 2)) > 0.6


def test_the_warm_up_hands_over_its_kernels(tmp_path: Path) -> None:
    settings = config(
        schedule={"epochs": 1, "float_epochs": 1, "batch": 32, "learning_rate": 1e-12, "warmup_epochs": 0}
    )
    trial = run(tmp_path, settings)
    quantized = float_variables(trial.fit(samples(64, 0), samples(30, 1)))
    warm = float_variables(trial.load_best("float"))
    assert set(quantized) == set(warm) == {"conv0", "bn0", "conv1", "bn1", "fc"}
    for name in ("conv0", "conv1", "fc"):
        np.testing.assert_allclose(quantized[name][0], warm[name][0], atol=1e-6)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"epoch 1.*learning_rate"):
        run(tmp_path, config(schedule={"epochs": 2, "batch": 16, "learning_rate": 1e30, "warmup_epochs": 0})).fit(
            samples(64, 0), samples(30, 1)
        )


def test_a_run_that_never_gets_one_right_still_leaves_a_model(tmp_path: Path) -> None:
    val = samples(30, 1)
    never = Samples(val.patches, np.full_like(val.labels, 99))
    trial = run(tmp_path, config(schedule={"epochs": 1, "batch": 32}))
    assert evaluate(trial.fit(samples(64, 0), never), trial.codec.encode, never) == 0


def test_a_network_that_is_not_quantized_has_one_phase(tmp_path: Path) -> None:
    settings = config(widths="float", schedule={"epochs": 2, "batch": 32, "learning_rate": 0.005})
    phases: list[str] = []
    trial = run(tmp_path, settings, report=lambda phase, epoch, metrics: phases.append(phase))
    model = trial.fit(samples(320, 0), samples(60, 1))
    assert phases == ["float", "float"]
    assert not any("scale" in variable.name for variable in model.variables)
    described = info(settings, UniformCodec(4))
    save_trained(tmp_path, described, model)
    again = load_trained(tmp_path)
    assert evaluate(again.model, trial.codec.encode, samples(60, 1)) == evaluate(
        model, trial.codec.encode, samples(60, 1)
    )


def test_a_configuration_names_the_run_to_start_from(tmp_path: Path) -> None:
    first = config(widths="float", schedule={"epochs": 1, "batch": 32})
    save_trained(
        tmp_path / "a", info(first, UniformCodec(4)), run(tmp_path / "a", first).fit(samples(64, 0), samples(30, 1))
    )
    later = config(
        start=str(tmp_path / "a"), schedule={"epochs": 1, "batch": 32, "learning_rate": 1e-12, "warmup_epochs": 0}
    )
    data = Dataset("stripes", "train", samples(64, 0).patches, samples(64, 0).labels, ("a", "b", "c"))
    trained, _ = train_model(info(later, UniformCodec(4)), UniformCodec(4), data, data, tmp_path / "b")
    started, there = float_variables(trained.model), float_variables(load_trained(tmp_path / "a").model)
    for name in ("conv0", "conv1", "fc"):
        np.testing.assert_allclose(started[name][0], there[name][0], atol=1e-6)


def test_bfloat16_is_what_passes_between_layers_alone(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    trial = run(tmp_path, config(schedule={"epochs": 1, "precision": "bfloat16"}))
    for phase in ("float", "quantized"):
        narrow = trial.build(phase, training=True)
        assert {variable.dtype.name for variable in narrow.trainable_variables} == {"float32"}
        computing = {layer.compute_dtype for layer in narrow.layers if layer.name.endswith(("conv0", "bn0", "act0"))}
        assert computing == {"bfloat16"}
    narrow, full = trial.build("float", training=True), trial.build("float")
    full.set_weights(narrow.get_weights())
    codes = trial.codec.encode(samples(30, 0).patches).astype(np.float32)
    expected = np.asarray(full(codes))
    error = np.abs(np.asarray(narrow(codes), np.float32) - expected).mean() / np.abs(expected).mean()
    assert 0 < error < 8 * 2**-8  # eight roundings to bfloat16's eight digits


def test_a_run_of_an_older_release_goes_on(tmp_path: Path) -> None:
    settings = config(schedule={"epochs": 1, "batch": 32})
    run(tmp_path, settings).fit(samples(64, 0), samples(30, 1))
    older = json.loads((tmp_path / "config.json").read_text())
    del older["start"]
    (tmp_path / "config.json").write_text(json.dumps(older))
    run(tmp_path, settings).fit(samples(64, 0), samples(30, 1))
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 1


def test_other_data_do_not_take_over_a_folder(tmp_path: Path) -> None:
    settings = config(schedule={"epochs": 1, "batch": 32})
    run(tmp_path, settings).fit(samples(64, 0), samples(30, 1))
    with pytest.raises(ConfigError, match="other data"):
        run(tmp_path, settings).fit(samples(64, 5), samples(30, 1))


def test_a_refused_configuration_claims_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no layer conv9"):
        run(tmp_path / "new", config(widths={"layers": {"conv9": {"weights": 2}}})).fit(samples(64, 0), samples(30, 1))
    assert not (tmp_path / "new").exists()


def test_training_stops_early_when_validation_stalls(tmp_path: Path) -> None:
    settings = config(schedule={"epochs": 8, "batch": 32, "early_stop": 1, "learning_rate": 1e-9, "warmup_epochs": 0})
    epochs: list[int] = []
    run(tmp_path, settings, report=lambda phase, epoch, metrics: epochs.append(epoch)).fit(
        samples(64, 0), samples(30, 1)
    )
    assert epochs[-1] < 8


def test_another_configuration_does_not_take_over_a_folder(tmp_path: Path) -> None:
    run(tmp_path, config()).fit(samples(64, 0), samples(30, 1))
    with pytest.raises(ConfigError, match="another configuration"):
        run(tmp_path, config(widths={"weights": 2})).fit(samples(64, 0), samples(30, 1))


def test_a_saved_model_is_the_one_that_was_trained(tmp_path: Path) -> None:
    described = info(config(), UniformCodec(4))
    trial = run(tmp_path, described.config)
    model = trial.fit(samples(96, 0), samples(30, 1))
    save_trained(tmp_path, described, model)
    loaded = load_trained(tmp_path)
    assert loaded.info == described
    codes = UniformCodec(4).encode(samples(8, 3).patches).astype(np.float32)
    assert np.array_equal(loaded.model(codes), model(codes))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.json"):
        load_trained(tmp_path)
