"""A small bundle, its images, and a slow device among the backends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitswath.bench import subject
from bitswath.bundle.bundle import Bundle
from tests.host.bench import slow_device


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr(subject, "BACKENDS", slow_device.install())
    return slow_device.bundle(tmp_path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(6):
        patch = np.random.default_rng(index).integers(0, 256, slow_device.SHAPE, np.uint8)
        Image.fromarray(patch).save(folder / f"{index}.png")
    return folder
