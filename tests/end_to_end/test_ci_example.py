"""The example of docs/ci.md holds as it stands there: its test passes on a good bundle and fails on another."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitswath.bundle.bundle import load_bundle, save_bundle
from bitswath.codecs.uniform import UniformCodec
from tests.paths import ROOT

ZOO = ROOT / "models" / "zoo" / "synthetic-u4-w4a4.bsw"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What somebody's repository holds, with random images and the predictions written down for them."""
    (python,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(), re.DOTALL)
    (tmp_path / "test_classifier.py").write_text(python)
    bundle, rng = load_bundle(ZOO), np.random.default_rng(0)
    (tmp_path / "model.bsw").symlink_to(ZOO)
    for label in bundle.classes[:3]:
        folder = tmp_path / "golden" / label
        folder.mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, bundle.manifest.input.patch_shape, np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    made = run(tmp_path, "bitswath", "classify", "model.bsw", "golden", "--predictions", "golden.csv")
    assert made.returncode == 0, made.stderr
    return tmp_path


def test_it_passes_on_what_was_written_down(repository: Path) -> None:
    done = run(repository, "pytest", "-q", "test_classifier.py", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_it_fails_when_the_model_says_something_else(repository: Path) -> None:
    bundle = load_bundle(ZOO)
    (repository / "model.bsw").unlink()
    save_bundle(
        repository / "model.bsw",
        network=bundle.network,
        codec=UniformCodec(4, dither="ordered"),
        patch_shape=bundle.manifest.input.patch_shape,
        classes=tuple(reversed(bundle.classes)),
    )
    done = run(repository, "pytest", "-q", "test_classifier.py", "-p", "no:cacheprovider")
    assert done.returncode == 1
    assert "1 failed, 2 passed" in done.stdout
