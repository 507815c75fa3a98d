"""Palettes fitted by class give labels away; one palette of the training split does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from bitswath.codecs.palette import PaletteCodec
from bitswath.errors import InputError
from bitswath.models.data.datasets import Dataset
from bitswath.models.nets.config import DataConfig
from bitswath.models.study.plan.cells import Imagery, ImageryCell
from bitswath.models.study.work.leak import nearest_palette
from bitswath.models.study.work.measures import measure_imagery
from bitswath.models.study.work.patches import Shelf, class_palettes, recoloured

SEED = 3


def noise(count: int, classes: int, seed: int) -> Dataset:
    """Greys of any brightness with a tint that varies far more from patch to patch than from class to class."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    tints = 8 * np.random.default_rng(0).normal(size=(classes, 3))[labels] + rng.normal(0, 20, (count, 3))
    greys = rng.uniform(60, 200, (count, 16, 16, 1))
    patches = np.clip(greys + tints[:, None, None] + rng.normal(0, 5, (count, 16, 16, 3)), 0, 255).astype(np.uint8)
    return Dataset("noise", "val", patches, labels.astype(np.int64), tuple("abcdefgh"[:classes]))


def accuracy(patches: np.ndarray, labels: np.ndarray, palettes: tuple[PaletteCodec, ...]) -> float:
    return float((nearest_palette(patches, palettes) == labels).mean())


@pytest.mark.parametrize("bits", [1, 2])
def test_the_rule_reads_the_label_off_class_palettes_and_not_off_a_shared_one(bits: int) -> None:
    train, val = noise(600, 5, SEED), noise(600, 5, SEED + 1)
    known = class_palettes(train, bits)
    leaking = recoloured(val, class_palettes(val, bits))
    shared = PaletteCodec.fit(train.patches, bits)
    honest = shared.decode(shared.encode(val.patches))
    assert accuracy(leaking.patches, val.labels, known) > accuracy(honest, val.labels, known) + 0.3


def test_the_rule_is_that_of_an_independent_nearest_neighbour() -> None:
    train, val = noise(60, 3, SEED), noise(12, 3, SEED + 1)
    palettes = class_palettes(train, 3)
    expected = []
    for patch in val.patches:
        pixels = patch.reshape(-1, 3).astype(float)
        means = []
        for palette in palettes:
            search = NearestNeighbors(n_neighbors=1).fit(np.array(palette.colours, float))
            means.append(search.kneighbors(pixels)[0].mean())
        expected.append(int(np.argmin(means)))
    assert nearest_palette(val.patches, palettes).tolist() == expected


def test_recolouring_gives_each_patch_colours_of_its_own_class_alone() -> None:
    val = noise(30, 3, SEED)
    palettes = class_palettes(val, 2)
    for patch, label in zip(recoloured(val, palettes).patches, val.labels):
        shown = {tuple(pixel) for pixel in patch.reshape(-1, 3).tolist()}
        assert shown <= set(palettes[label].colours)


def test_a_class_without_patches_gets_the_colours_of_all() -> None:
    val = noise(20, 2, SEED)
    odd = Dataset("noise", "val", val.patches, np.zeros(20, np.int64), ("a", "b"))
    assert class_palettes(odd, 2)[1] == PaletteCodec.fit(val.patches, 2)


def test_a_study_shows_the_leak_beside_the_honest_palette(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    honest = Imagery(data=DataConfig(name="synthetic", limit=300, size=24), codec="palette:2")
    leaking = honest.model_copy(update={"codebook": "per_class"})
    found = measure_imagery(ImageryCell(imagery=leaking, patches=200), shelf)
    rule = found["palette_rule"]
    assert rule["per_class"]["interval"][0] > rule["shared"]["interval"][1]
    assert rule["per_class"]["accuracy"] > rule["unquantized"]["accuracy"]
    assert found["code_bits_per_pixel"] == 24
    other = measure_imagery(ImageryCell(imagery=honest, patches=200), shelf)
    assert "palette_rule" not in other
    assert other["code_bits_per_pixel"] == 2


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(InputError):
        nearest_palette(np.zeros((2, 4, 4, 3), np.uint8), ())
