"""``bitswath compress`` to frames of varying length, and ``info`` of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bitswath.bundle.bundle import save_bundle
from bitswath.codecs.archive import open_archive
from bitswath.codecs.transform import TransformCodec
from bitswath.commands import classify, compress, info
from bitswath.errors import CodecError
from tests.host.codecs.transform.cases import psnr, smooth
from tests.host.kinds import linear

PATCHES = smooth(3, (40, 20, 33, 3))
CLASSES = ("Forest", "River")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in each of train and val."""
    root = tmp_path_factory.mktemp("images")
    for index, patch in enumerate(PATCHES):
        folder = root / ("train" if index < 28 else "val") / CLASSES[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(patch).save(folder / f"{index:02}.png")
    return root


def bitswath(name: str, *arguments: Any) -> str:
    command = {"classify": classify.command, "compress": compress.command, "info": info.command}[name]
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False).output


def test_a_budget_holds_from_folder_to_archive(images: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.bsa"
    said = bitswath("compress", images / "val", "--codec", "transform:B=200", "--fit", images, "-o", target)
    archive = open_archive(target)
    mean, longest = archive.lengths.mean(), archive.lengths.max()
    assert f"12 patches at {mean:.1f} bytes on average (99 % up to {longest}, all up to {longest})" in said
    assert f"{1980 / mean:.1f} times smaller than their 1980 bytes of samples" in said
    assert longest <= 200
    assert archive.codec == TransformCodec.fit(in_order(0, 28), budget=200)
    assert archive.names is not None and archive.names[0] == "Forest/28.png"
    assert archive.classes == CLASSES and archive.labels is not None and archive.labels.sum() == 6
    np.testing.assert_array_equal(archive.codes(), archive.codec.encode(in_order(28, 40)))
    assert psnr(archive.codes(), in_order(28, 40)) > 28


def in_order(start: int, stop: int) -> np.ndarray:
    """As they lie in the folder: class by class."""
    part = PATCHES[start:stop]
    return np.concatenate([part[::2], part[1::2]])


def test_info_says_what_frames_take(images: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.bsa"
    bitswath("compress", images, "--split", "train", "--codec", "transform:40:B=400", "-o", target)
    facts = json.loads(bitswath("info", target, "--json"))
    lengths = open_archive(target).lengths
    assert facts["codec"] == "transform:40:B=400"
    assert facts["bytes per patch"] == round(lengths.mean(), 1)
    assert facts["bytes per patch, most"] == lengths.max()
    assert facts["bytes per patch, p99"] == sorted(lengths)[-1]
    bitswath("compress", images, "--split", "train", "--codec", "uniform:4", "-o", target)
    facts = json.loads(bitswath("info", target, "--json"))
    assert facts["bytes per patch"] == 990 and "bytes per patch, most" not in facts


def test_large_patches_go_a_few_at_a_time(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("compress", images / "val", "--codec", "transform:30", "--fit", images / "train", "-o")
    bitswath(*arguments, tmp_path / "a.bsa")
    sizes: list[int] = []
    encode = TransformCodec.encode_packed

    def counted(self: TransformCodec, patches: np.ndarray, **options: Any) -> np.ndarray:
        sizes.append(len(patches))
        return encode(self, patches, **options)

    monkeypatch.setattr(TransformCodec, "encode_packed", counted)
    monkeypatch.setattr(compress, "BATCH_BYTES", 5 * PATCHES[0].nbytes)
    bitswath(*arguments, tmp_path / "b.bsa")
    assert sizes == [5, 5, 2]
    assert (tmp_path / "a.bsa").read_bytes() == (tmp_path / "b.bsa").read_bytes()
    monkeypatch.setattr(compress, "FIT_BYTES", 7 * PATCHES[0].nbytes)
    bitswath(*arguments, tmp_path / "c.bsa")
    few = np.concatenate([in_order(0, 28)[index * 28 // 7][None] for index in range(7)])
    assert open_archive(tmp_path / "c.bsa").codec == TransformCodec.fit(few, quality=30)


def test_a_bundle_classifies_the_archive_as_the_images(images: Path, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).integers(-7, 8, (2, 20 * 33 * 3))
    codec = TransformCodec.fit(in_order(0, 28), budget=150)
    made = save_bundle(
        tmp_path / "x.bsw",
        network=linear(weights, (20, 33, 3), 8),
        codec=codec,
        patch_shape=(20, 33, 3),
        classes=CLASSES,
    )
    bitswath("compress", images / "val", "--bundle", made.path, "-o", tmp_path / "x.bsa")
    figures = []
    for source in (images / "val", tmp_path / "x.bsa"):
        bitswath("classify", made.path, source, "--predictions", tmp_path / "a.csv", "--json", tmp_path / "a.json")
        rows = [line.split(",")[1] for line in (tmp_path / "a.csv").read_text().splitlines()[1:]]
        figures.append((rows, json.loads((tmp_path / "a.json").read_text())["bytes_per_patch"]))
    expected = codec.encode(in_order(28, 40)).reshape(12, -1).astype(int) @ weights.T
    assert figures[0][0] == [CLASSES[label] for label in expected.argmax(axis=1)]
    assert figures[0] == figures[1]
    assert figures[1][1] == pytest.approx(open_archive(tmp_path / "x.bsa").lengths.mean())


@pytest.mark.parametrize(
    ("codec", "reason"),
    [
        ("transform:B=5", "expected a budget of 6 to 65535 bytes, of which the header takes 5, got 5"),
        ("transform:B=7", "expected a budget of at least"),
        ("transform:99", "expected transform:QUALITY of 1 to 64"),
        ("transform", "expected transform:QUALITY of 1 to 64"),
    ],
)
def test_rates_that_cannot_be_are_a_line(images: Path, tmp_path: Path, codec: str, reason: str) -> None:
    with pytest.raises(CodecError, match=reason) as caught:
        bitswath("compress", images / "val", "--codec", codec, "-o", tmp_path / "x.bsa")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
