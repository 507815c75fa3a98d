"""A thousand random graphs, as any tool may write them, give qonnx's own integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto
from qonnx.core.modelwrapper import ModelWrapper

from bitswath.models.lowering import lower
from tests import reference
from tests.models.graphs import random_codes, run_qonnx
from tests.models.random_graphs import BLOCKS, disguised, random_graph

EACH = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)


def assert_equal(model: ModelWrapper, given_as: ModelProto, seed: int) -> None:
    """Every tensor whose integers the network has, and the outputs."""
    lowered = lower(given_as)
    codes = random_codes(lowered, np.random.default_rng(seed), 1)
    computed = reference.interpret(lowered.network, codes)
    context = run_qonnx(model, lowered.reals(lowered.input, codes))
    for name, pair in lowered.tensors.items():
        near = computed[pair.tensor]
        np.testing.assert_array_equal(lowered.integers(name, context[name], near), near, err_msg=name)
    real = lowered.network.head.dequantize(computed[lowered.network.stages[-1].name]).reshape(-1)
    expected = [context[o.name] for o in lowered.outputs]
    flat = [e.transpose(0, 2, 3, 1) if e.ndim == 4 else e for e in expected]
    whole = np.concatenate([f.reshape(-1) for f in flat])
    np.testing.assert_allclose(real, whole, rtol=1e-5, atol=1e-5 * max(1, np.abs(whole).max()))


@pytest.mark.parametrize("part", range(4))
def test_random_graphs_equal_qonnx(part: int) -> None:
    @EACH
    @given(blocks=st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=4), seed=st.integers(0, 2**32 - 1))
    def check(blocks: list[str], seed: int) -> None:
        model = random_graph(blocks, seed + part)
        assert_equal(model, disguised(model, np.random.default_rng(seed)), seed)

    check()
