"""What a configuration's architecture decides is in the network."""

from __future__ import annotations

import numpy as np
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


@pytest.mark.parametrize(("kind", "millions"), [("resnet8", 12.5), ("resnet20", 40.8)])
def test_published_networks_have_the_products_that_are_published(kind: str, millions: float) -> None:
    """MLPerf Tiny's and NN2FPGA's (arXiv 2309.15631) at 32 x 32 x 3 with ten classes."""
    model = build_model(ArchitectureConfig(kind=kind, head="pool"), InputSpec((32, 32, 3), 8), 10)
    products = 0
    for layer in model.layers:
        if kernels := [weight for weight in layer.weights if "kernel" in weight.name]:
            places = layer.output_shape[1] * layer.output_shape[2] if len(layer.output_shape) == 4 else 1
            products += places * int(np.prod(kernels[0].shape))
    assert round(products / 1e6, 1) == millions
