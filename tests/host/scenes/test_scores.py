"""Sums and the largest of them, in the types that they fit."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.scenes.scores import FULL, down, largest, sum_type


@pytest.mark.parametrize("classes", [1, 2, 5, 16, 17, 300])
def test_the_smaller_type_holds_the_largest_sums(classes: int) -> None:
    """At the greatest weight that gets the small type, and one more, which does not."""
    bits = (classes - 1).bit_length()
    most = ((1 << 32) - 1) // ((FULL + 1) << bits)
    assert (sum_type(classes, most), sum_type(classes, most + 1)) == (np.uint32, np.int64)
    rng = np.random.default_rng(classes)
    for weight in (most, most + 1, 4096):
        sums = rng.integers(0, (FULL + 1) * weight, (classes + 1, 6, 50), endpoint=True)
        sums[:-1, :2] = (FULL + 1) * weight  # all alike: the first
        label, best = largest(sums.astype(sum_type(classes, weight)))
        np.testing.assert_array_equal(label, sums[:-1].argmax(axis=0))
        np.testing.assert_array_equal(best, sums[:-1].max(axis=0))


def test_rows_are_summed_by_weight() -> None:
    rng = np.random.default_rng(2)
    rows = rng.integers(0, 1 << 20, (3, 4, 7)).astype(np.uint32)
    out, scratch = np.empty((4, 5, 7), np.uint32), np.empty((4, 7), np.uint32)
    down([*rows], [3, 1, 20], out[:, 2], scratch)
    np.testing.assert_array_equal(out[:, 2], 3 * rows[0] + rows[1] + 20 * rows[2])
