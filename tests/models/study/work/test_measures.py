"""What needs no training is what numpy, PIL and the formats' own readers say."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitswath.codecs.companded import CompandedCodec
from bitswath.codecs.kinds import fit_codec, parse_codec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import ContainerError
from bitswath.imagery.code_files import parse_container, read
from bitswath.models.data.datasets import load_dataset
from bitswath.models.nets.config import DataConfig
from bitswath.models.study.lossy.formats import parse_lossy
from bitswath.models.study.lossy.payloads import fitted_head
from bitswath.models.study.plan.cells import ContainerCell, Imagery, ImageryCell
from bitswath.models.study.work.measures import measure_container, measure_imagery, stored_as
from bitswath.models.study.work.patches import Shelf

COUNT, SIZE = 60, 24
DATA = DataConfig(name="synthetic", limit=COUNT, size=SIZE)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("study"))


def split(name: str) -> np.ndarray:
    return load_dataset("synthetic", name, limit=COUNT, size=SIZE).patches


def imagery(codec: str, **more: Any) -> Imagery:
    return Imagery(data=DATA, codec=codec, **more)


def error_of(original: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((original.astype(float) - other.astype(float)) ** 2)))


@pytest.mark.parametrize(("codec", "bits_per_pixel"), [("uniform:3", 9), ("companded:2:ordered", 6), ("palette:3", 3)])
def test_a_codec_is_fitted_to_training_patches_and_measured_on_others(
    shelf: Shelf, codec: str, bits_per_pixel: int
) -> None:
    found = measure_imagery(ImageryCell(imagery=imagery(codec), patches=COUNT), shelf)
    made = {
        "uniform:3": lambda: UniformCodec(3),
        "companded:2:ordered": lambda: CompandedCodec.fit(split("train"), 2, "ordered"),
        "palette:3": lambda: PaletteCodec.fit(split("train"), 3),
    }[codec]()
    assert found["codec"] == made.to_dict()
    assert found["link_bytes"] == -(-SIZE * SIZE * bits_per_pixel // 8)
    assert found["code_bits_per_pixel"] == bits_per_pixel
    assert found["psnr_db"] == pytest.approx(error_of(split("val"), made.decode(made.encode(split("val")))))
    assert found["encode_patches_per_s"] > 0
    assert found["decode_patches_per_s"] > 0


def test_patches_through_jpeg_are_those_that_pil_reads(shelf: Shelf) -> None:
    ours = shelf.split(imagery("uniform:8", source="jpeg:25:420"), "val").patches
    sizes = []
    for patch, jpeg in zip(split("val"), ours):
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "JPEG", quality=25, subsampling="4:2:0")
        with Image.open(file) as image:
            np.testing.assert_array_equal(np.asarray(image), jpeg)
        sizes.append(file.tell())
    found = measure_imagery(ImageryCell(imagery=imagery("uniform:4", source="jpeg:25:420"), patches=COUNT), shelf)
    assert found["source_bytes"] == pytest.approx(np.mean(sizes), rel=0.02)
    assert found["psnr_db"] == pytest.approx(error_of(split("val"), ours & 0xF0 | 8))


@pytest.mark.parametrize("source", ["webp:20", "jpeg2000:30", "jpegxl:8", "avif:30", "jpeg:30:420"])
def test_bytes_of_files_are_told_as_they_are_and_without_what_they_share(shelf: Shelf, source: str) -> None:
    chosen = parse_lossy(source)
    files = [chosen.encode(patch) for patch in split("val")]
    found = measure_imagery(ImageryCell(imagery=imagery("uniform:8", source=source), patches=COUNT), shelf)
    sizes = sorted(map(len, files))
    assert found["source_bytes"] == pytest.approx(np.mean(sizes))
    assert (found["source_bytes_p99"], found["source_bytes_max"]) == (sizes[-1], sizes[-1])
    head = fitted_head(chosen, split("train"))
    assert found["source_payload_bytes"] == pytest.approx(np.mean([len(head.payload(file)) for file in files]))
    assert found["source_payload_bytes_max"] <= found["source_bytes_max"]
    assert found["psnr_db"] == pytest.approx(error_of(split("val"), np.stack([chosen.decode(f) for f in files])))


@pytest.mark.parametrize("codec", ["transform:B=90", "transform:30"])
def test_compressed_frames_have_the_bytes_that_are_sent(shelf: Shelf, codec: str) -> None:
    found = measure_imagery(ImageryCell(imagery=imagery(codec), patches=COUNT), shelf)
    made = fit_codec(parse_codec(codec), split("train"))
    sizes = [int.from_bytes(made.encode_packed(patch)[:2].tobytes(), "little") for patch in split("val")]
    assert found["link_bytes"] == pytest.approx(np.mean(sizes))
    assert found["link_bytes_max"] == max(sizes) >= found["link_bytes_p99"] >= np.median(sizes)
    assert min(sizes) < max(sizes)
    assert found["code_bits_per_pixel"] == pytest.approx(8 * np.mean(sizes) / SIZE**2)
    assert found["psnr_db"] == pytest.approx(error_of(split("val"), made.decode(made.encode(split("val")))))
    assert found["decode_patches_per_s"] > 0


@pytest.mark.parametrize("container", ["png", "tiff:deflate", "bmp", "ppm", "webp", "jpeg2000"])
@pytest.mark.parametrize("codec", ["uniform:2", "palette:2"])
def test_a_lossless_file_holds_what_was_coded(container: str, codec: str) -> None:
    patches = split("val")[:4]
    made = UniformCodec(2) if codec == "uniform:2" else PaletteCodec.fit(split("train"), 2)
    stored = stored_as(parse_container(container), made, patches)
    back = np.stack([read(file, stored.bits) for file in stored.files(parse_container(container))])
    codes = made.encode(patches)
    expected = codes if stored.holds.startswith("codes") else made.decode(codes)
    np.testing.assert_array_equal(back, expected)
    assert (stored.palette is not None) == (stored.holds == "codes and palette")


def test_an_indexed_png_shows_the_palettes_colours() -> None:
    patches = split("val")[:2]
    made = PaletteCodec.fit(split("train"), 4)
    stored = stored_as(parse_container("png"), made, patches)
    for file, patch in zip(stored.files(parse_container("png")), patches):
        with Image.open(io.BytesIO(file)) as image:
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), made.decode(made.encode(patch)))


def test_a_container_is_measured_by_its_files(shelf: Shelf) -> None:
    cell = ContainerCell(imagery=imagery("uniform:8"), container="png", patches=COUNT)
    found = measure_container(cell, shelf)
    sizes = []
    for patch in split("val"):
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "PNG", optimize=True)
        sizes.append(file.tell())
    assert found["bytes_per_patch"] == pytest.approx(np.mean(sizes), rel=1e-9)
    assert found["file_bits_per_pixel"] == pytest.approx(8 * np.mean(sizes) / SIZE**2)
    assert "psnr_db" not in found


def test_a_lossy_container_says_what_it_leaves_of_the_original(shelf: Shelf) -> None:
    found = measure_container(
        ContainerCell(imagery=imagery("palette:4"), container="jpeg:10:420", patches=COUNT), shelf
    )
    plain = measure_imagery(ImageryCell(imagery=imagery("palette:4"), patches=COUNT), shelf)
    assert found["holds"] == "decoded patches"
    assert found["psnr_db"] < plain["psnr_db"]
    assert found["ssim"] < plain["ssim"]


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    many = Imagery(data=DataConfig(name="synthetic", limit=20, size=16, bands=5), codec="uniform:4")
    with pytest.raises(ContainerError, match="5"):
        measure_container(ContainerCell(imagery=many, container="png", patches=4), Shelf(tmp_path))


def test_patches_are_decoded_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shelf.split(imagery("uniform:8"), "train")
    monkeypatch.setattr("bitswath.models.study.work.patches.load_configured", None)
    again = shelf.split(imagery("companded:2"), "train")
    np.testing.assert_array_equal(first.patches, split("train"))
    assert again.digest == first.digest == load_dataset("synthetic", "train", limit=COUNT, size=SIZE).digest
    assert not again.patches.flags.writeable
