"""Ten thousand damaged model files end in one clear line each, or are still models."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from bitswath.errors import LoweringError
from bitswath.models.lowering import lower
from tests.models.damage import spoiled
from tests.models.random_graphs import BLOCKS, random_graph

FILES, PARTS, MODELS = 10_000, 8, 60


@cache
def sound() -> tuple[ModelProto, ...]:
    rng = np.random.default_rng(0)
    blocks = sorted(BLOCKS)
    return tuple(random_graph([str(b) for b in rng.choice(blocks, 3)], seed).model for seed in range(MODELS))


@pytest.mark.parametrize("part", range(PARTS))
def test_damaged_files_have_typed_errors(tmp_path: Path, part: int) -> None:
    path, refused = tmp_path / "damaged.onnx", 0
    warnings.simplefilter("ignore")
    for number in range(part, FILES, PARTS):
        path.write_bytes(spoiled(sound()[number % MODELS], np.random.default_rng(number)))
        try:
            lower(path)
        except LoweringError as error:
            refused += 1
            assert "\n" not in str(error), f"file {number}: {error}"
        except Exception as error:
            raise AssertionError(f"file {number}: {type(error).__name__}: {error}") from error
    assert 0.5 < refused * PARTS / FILES < 0.95
