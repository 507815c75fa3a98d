"""What a network's last integers mean: labels, images of labels, several outputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import bitswath as bs
from bitswath.bundle.answers import how_it_answers
from bitswath.bundle.manifest import OutputInfo
from bitswath.commands import classify
from bitswath.errors import BundleError, InputError
from bitswath.network.network import INPUT, Concat, Conv, Dense, Head, Network, Take, TensorSpec
from tests import reference

CLASSES = ("water", "forest", "town")


def scores(rng: np.random.Generator, head: Head) -> Network:
    conv = Conv("scores", (INPUT,), rng.integers(-3, 4, (3, 3, 3, 2)), (2, 2), (1, 1, 1, 1))
    return Network(TensorSpec((8, 6, 2), 0, 15), (conv,), head)


def two_outputs(rng: np.random.Generator) -> Network:
    stages = (
        Dense("classes", (INPUT,), rng.integers(-3, 4, (3, 96))),
        Conv("image", (INPUT,), rng.integers(-3, 4, (2, 1, 1, 2))),
        Take("flat", ("image",), (96,), np.arange(96)),
        Concat("both", ("classes", "flat")),
    )
    scale = np.concatenate([[1.0, -2.0, 0.5], np.full(96, 0.25)])
    return Network(TensorSpec((8, 6, 2), 0, 15), stages, Head(scale, np.arange(99.0)))


def saved(path: Path, network: Network, **options: object) -> bs.Bundle:
    codec = bs.UniformCodec(4)
    return bs.save_bundle(path, network=network, codec=codec, patch_shape=(8, 6, 2), classes=CLASSES, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("offset", [0.0, [1.0, -40.0, 25.5]])
def test_an_image_of_scores_gives_a_class_a_pixel(tmp_path: Path, softmax: bool, offset: object) -> None:
    rng = np.random.default_rng(1)
    network = scores(rng, Head(np.full(1, 0.5), np.atleast_1d(np.asarray(offset)), softmax))
    bundle = saved(tmp_path / "dense.bsw", network)
    patches = rng.integers(0, 256, (5, 8, 6, 2), np.uint8)
    with bs.open(bundle) as accelerator:
        result = accelerator.classify(patches)
        (streamed,) = accelerator.stream([patches])
    values = reference.output(network, patches >> 4) * 0.5 + np.asarray(offset)
    assert isinstance(result, bs.DenseResult)
    np.testing.assert_array_equal(result.labels, values.argmax(axis=-1))
    assert result.labels.dtype == np.uint8
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    expected = exponentials / exponentials.sum(axis=-1, keepdims=True) if softmax else values
    np.testing.assert_allclose(result.logits, expected, rtol=1e-5, atol=1e-30)
    np.testing.assert_array_equal(result.counts.sum(axis=1), 12)
    most = [np.bincount(labels.reshape(-1), minlength=3).argmax() for labels in result.labels]
    assert result.names == [CLASSES[label] for label in most]
    np.testing.assert_array_equal(streamed.labels, result.labels)
    assert how_it_answers(bundle) == "one of 3 classes for each of 4 x 3 pixels"


def test_several_outputs_have_results_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    network = two_outputs(rng)
    outputs = (OutputInfo(name="classes", shape=(3,)), OutputInfo(name="image", shape=(8, 6, 2)))
    bundle = saved(tmp_path / "both.bsw", network, outputs=outputs)
    patches = rng.integers(0, 256, (4, 8, 6, 2), np.uint8)
    with bs.open(bs.load_bundle(bundle.path)) as accelerator:
        result = accelerator.classify(patches)
    tensors = reference.interpret(network, patches >> 4)
    logits = tensors["classes"] * [1.0, -2.0, 0.5] + np.arange(3)
    np.testing.assert_allclose(result.logits, logits)
    np.testing.assert_array_equal(result.labels, logits.argmax(axis=1))
    assert list(result.outputs) == ["classes", "image"]
    image = result.outputs["image"]
    real = tensors["image"] * 0.25 + np.arange(3, 99).reshape(8, 6, 2)
    assert isinstance(image, bs.DenseResult)
    np.testing.assert_allclose(image.logits, real)
    np.testing.assert_array_equal(image.labels, real.argmax(axis=-1))
    assert image.classes == ("0", "1")
    assert "2 outputs: classes (3), image (8 x 6 x 2)" in how_it_answers(bundle)


@pytest.mark.parametrize("shapes", [[(3,)], [(3,), (95,)], [(2,), (97,)]])
def test_outputs_that_do_not_fit_the_network_are_refused(tmp_path: Path, shapes: list[tuple[int, ...]]) -> None:
    outputs = [OutputInfo(name=str(i), shape=shape) for i, shape in enumerate(shapes)]  # type: ignore[arg-type]
    with pytest.raises(BundleError, match=r"outputs|classes"):
        saved(tmp_path / "wrong.bsw", two_outputs(np.random.default_rng(0)), outputs=outputs)


def test_a_large_image_of_scores_is_cut_into_small_chunks(tmp_path: Path) -> None:
    network = Network(TensorSpec((256, 256, 1), 0, 1), (Conv("scores", (INPUT,), np.arange(64).reshape(64, 1, 1, 1)),))
    path = tmp_path / "large.bsw"
    names = [str(i) for i in range(64)]
    bs.save_bundle(path, network=network, codec=bs.UniformCodec(1), patch_shape=(256, 256, 1), classes=names)
    with bs.open(path) as accelerator:
        assert accelerator.chunk == 2


def test_maps_of_classes_are_written_beside_each_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    network = scores(rng, Head())
    bundle = saved(tmp_path / "dense.bsw", network)
    patches = rng.integers(0, 256, (3, 8, 6, 2), np.uint8)
    np.save(tmp_path / "patches.npy", patches)
    given = [str(bundle.path), str(tmp_path / "patches.npy"), "--maps", str(tmp_path / "maps")]
    run = CliRunner().invoke(classify.command, [*given, "--json", str(tmp_path / "j")])
    assert run.exit_code == 0, run.output
    labels = reference.output(network, patches >> 4).argmax(axis=-1)
    files = sorted((tmp_path / "maps").rglob("*.png"))
    assert len(files) == 3
    for file, expected in zip(files, labels):
        np.testing.assert_array_equal(np.asarray(Image.open(file)), expected)
    counts = np.bincount(labels.reshape(-1), minlength=3)
    assert json.loads((tmp_path / "j").read_text())["pixels"] == dict(zip(CLASSES, counts.tolist()))
    assert f"water: {100 * counts[0] / 36:.2f} % of the pixels" in run.output
    again = CliRunner().invoke(classify.command, given)
    assert isinstance(again.exception, InputError)
    assert "expected an empty folder" in str(again.exception)


def test_maps_of_a_bundle_that_has_none_are_refused(tmp_path: Path) -> None:
    network = Network(TensorSpec((8, 6, 2), 0, 15), (Dense("scores", (INPUT,), np.ones((3, 96), int)),))
    bundle = saved(tmp_path / "flat.bsw", network)
    np.save(tmp_path / "patches.npy", np.zeros((1, 8, 6, 2), np.uint8))
    run = CliRunner().invoke(
        classify.command, [str(bundle.path), str(tmp_path / "patches.npy"), "--maps", str(tmp_path / "maps")]
    )
    assert isinstance(run.exception, InputError)
    assert "gives a class a patch, none a pixel" in str(run.exception)


def test_logits_are_those_of_their_own_patches_whenever_they_are_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    network = scores(rng, Head(np.full(1, 0.5)))
    patches = rng.integers(0, 256, (3, 2, 8, 6, 2), np.uint8)
    with bs.open(saved(tmp_path / "dense.bsw", network)) as accelerator:
        results = [*accelerator.stream(list(patches)), *map(accelerator.classify, patches)]
    for result, seen in zip(results, (*patches, *patches)):
        np.testing.assert_array_equal(result.logits, reference.output(network, seen >> 4) * 0.5)
        assert result.logits is result.logits, "made once"
