"""What is measured: which patches, on which bundle and backend."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitswath.bench.subject import conditions, load_inputs, opened
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.errors import BackendError, ImageError, InputError
from tests.host.bench.slow_device import SHAPE


def test_random_patches_are_the_same_each_time_and_have_no_files(bundle: Bundle) -> None:
    inputs = load_inputs(bundle, 3)
    assert inputs.patches.shape == (3, *SHAPE) and inputs.patches.dtype == np.uint8
    assert inputs.files is None and inputs.source == "3 random patches"
    np.testing.assert_array_equal(inputs.patches, load_inputs(bundle, 3).patches)


def test_images_come_with_the_files_they_were_decoded_from(bundle: Bundle, images: Path) -> None:
    inputs = load_inputs(bundle, 4, images)
    assert inputs.source == "4 images of images" and inputs.files is not None and len(inputs.files) == 4
    for patch, file in zip(inputs.patches, inputs.files):
        np.testing.assert_array_equal(patch, np.asarray(Image.open(io.BytesIO(file))))
    assert len(load_inputs(bundle, 100, images).patches) == 6


def test_images_are_drawn_evenly_over_all_classes(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "classes"
    for label in range(3):
        (folder / f"class{label}").mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", SHAPE[1::-1], (label, index, 0)).save(folder / f"class{label}" / f"{index}.png")
    for count in (3, 6, 29):
        inputs = load_inputs(bundle, count, folder)
        assert len(inputs.patches) == count and inputs.files is not None and len(inputs.files) == count
        drawn = np.bincount(inputs.patches[:, 0, 0, 0], minlength=3)
        assert drawn.max() - drawn.min() <= 1
    (folder / "class0" / "more.gif").write_bytes(b"-")
    assert load_inputs(bundle, 3, folder).notes == ("files left out that are no images by their names: 1 .gif",)


def test_images_of_another_size_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    Image.new("RGB", (9, 8)).save(tmp_path / "wide.png")
    with pytest.raises(ImageError, match="8 x 9 x 3"):
        load_inputs(bundle, 1, tmp_path / "wide.png")


def test_no_patches_are_refused(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="1 or more patches, got 0"):
        load_inputs(bundle, 0)


def test_conditions_name_bundle_backend_machine_and_versions(bundle: Bundle) -> None:
    with opened(bundle, "emulator", threads=1) as subject:
        told = conditions(subject, load_inputs(bundle, 1))
    assert told["bundle"] == {"name": "small", "digest": bundle.manifest.files[NETWORK].sha256}
    assert told["backend"] == {
        "name": "emulator",
        "board": None,
        "clock_hz": None,
        "packing_bits": 4,
        "folded": False,
    }
    assert {"processor", "cores"} <= told["machine"].keys() and {"bitswath", "numpy"} <= told["versions"].keys()


def test_an_unknown_backend_is_told_with_those_there_are(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match="emulator, rtl, pynq"), opened(bundle, "gpu"):
        pass


def test_the_device_is_closed_whatever_happens(bundle: Bundle) -> None:
    with pytest.raises(ZeroDivisionError), opened(bundle, "slow") as subject:
        device = subject.bare
        _ = 1 / 0
    assert device.closed  # type: ignore[attr-defined]
