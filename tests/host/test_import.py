"""What importing bitswath costs."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import bitswath
from bitswath.renamed import RENAMED

HEAVY = {"tensorflow", "tf_keras", "torch", "onnx", "onnxruntime", "qonnx", "finn", "sklearn", "scipy"}
WHEN_NEEDED = {"matplotlib", "imagecodecs", "PIL", "tifffile", "click", "rich"}


def packages_after(code: str) -> set[str]:
    """Top-level packages outside the standard library that a fresh interpreter holds after `code`."""
    script = f"import json, sys; before = set(sys.modules); {code}; print(json.dumps([*set(sys.modules) - before]))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    modules = {name.partition(".")[0] for name in json.loads(told.stdout)}
    modules -= {"cython_runtime"}  # no package: numpy 1.26 registers the name
    return {name for name in modules if name not in sys.stdlib_module_names and not name.startswith("_")}


def test_the_import_brings_nothing_but_bitswath() -> None:
    assert packages_after("import bitswath") == {"bitswath"}


def test_numbers_need_numpy_only() -> None:
    assert packages_after("import bitswath; bitswath.pack, bitswath.Network, bitswath.Report") == {"bitswath", "numpy"}


def test_opening_needs_no_picture_or_training_library() -> None:
    brought = packages_after("import bitswath; bitswath.open, bitswath.load_bundle, bitswath.UniformCodec")
    assert brought & (HEAVY | WHEN_NEEDED) == set()


@pytest.mark.parametrize("name", bitswath.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(bitswath, name) is not None
    assert name in dir(bitswath)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        _ = bitswath.opne  # type: ignore[attr-defined]


@pytest.mark.parametrize("old", RENAMED)
def test_documented_modules_are_found_under_their_old_names(old: str) -> None:
    if old.startswith("bitswath.models.arch"):
        pytest.importorskip("tf_keras", reason="the training extra is not installed")
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is {RENAMED[old]} now"):
        module = importlib.import_module(old)
    assert module is sys.modules[RENAMED[old]]
