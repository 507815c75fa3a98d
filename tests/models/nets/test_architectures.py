"""What a configuration's architecture decides is in the network."""

from __future__ import annotations

import pytest

from bitswath.models.nets.architectures import InputSpec, build_model
from bitswath.models.nets.config import ArchitectureConfig
from tests.models.small import ARCHITECTURES


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_stem_of_one_pixel_changes_the_first_convolution_alone(name: str) -> None:
    size = 32 if name == "vgg16" else 12
    usual, small = (
        build_model(ARCHITECTURES[name].model_copy(update=stem), InputSpec((size, size, 3), 4), 5)
        for stem in ({}, {"stem_kernel": 1})
    )
    shapes = [[tuple(variable.shape) for variable in model.trainable_variables] for model in (usual, small)]
    different = [(before, after) for before, after in zip(*shapes, strict=True) if before != after]
    ((before, after),) = different
    assert (before[:2], after[:2]) == ((3, 3), (1, 1))
    assert before[2:] == after[2:] == shapes[0][0][2:]
    assert usual.output_shape == small.output_shape


def test_a_stem_is_three_pixels_unless_said() -> None:
    assert ArchitectureConfig().stem_kernel == 3
