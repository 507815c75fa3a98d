"""Series, reference lines and costs are of honest networks of one seed and one setting."""

from __future__ import annotations

from bitswath.models.study.report.facts.pairs import companding_pairs, dither_pairs
from bitswath.models.study.report.facts.select import (
    at,
    costs,
    dithers_of,
    eight_bit,
    float_network,
    main_setting,
    pareto_front,
    series_of,
)
from tests.models.study.report.rows import STUDY, container, imagery, network, results, trained


def test_the_main_setting_is_the_one_most_codecs_were_tried_with() -> None:
    found = results(*STUDY)
    main = main_setting(found)
    assert str(main) == "vgg W4A4"
    reference, whole = eight_bit(found, main), float_network(found, main)
    assert reference is not None
    assert whole is not None
    assert (reference.score.correct, whole.score.correct) == (965, 970)


def test_leaking_and_recompressed_networks_are_in_no_series() -> None:
    found = results(*STUDY, network("palette:1", 990, codebook="per_class"))
    codecs = [n.codec for n in at(found, main_setting(found))]
    assert codecs == [
        "uniform:8",
        "uniform:1",
        "companded:1",
        "companded:1:ordered",
        "companded:2:ordered",
        "palette:2",
    ]
    assert {n.leaks for pair in dither_pairs(found) for n in (pair.first, pair.second)} == {False}
    assert all(not cost.network.leaks for cost in costs(found))


def test_a_leaking_study_alone_has_no_setting() -> None:
    assert main_setting(results(network("palette:1", 990, codebook="per_class"))) is None


def test_series_go_from_few_bits_to_many_plain_ones_first() -> None:
    found = results(*STUDY)
    series = series_of(at(found, main_setting(found)))
    assert list(series) == [("uniform", None), ("companded", None), ("companded", "ordered"), ("palette", None)]
    assert [n.bits for n in series["companded", "ordered"]] == [1, 2]


def test_other_seeds_are_not_mixed_in() -> None:
    found = results(
        network("companded:1", 800, seed=1), network("companded:1", 700, seed=0), network("uniform:1", 700, seed=1)
    )
    assert companding_pairs(found) == []
    assert [n.score.correct for n in at(found, main_setting(found))] == [700]


def test_codes_cost_their_frame_or_their_smallest_lossless_file() -> None:
    found = {(cost.how, cost.label): cost.bytes_per_patch for cost in costs(results(*STUDY))}
    assert found["link", "companded:2:ordered packed"] == 3072
    assert found["file", "companded:2:ordered in webp"] == 800
    assert found["file", "palette:2 in png"] == 400
    assert found["lossy", "JPEG 75"] == 1800
    assert ("file", "companded:2:ordered in jpeg:75:420") not in found


def test_a_palette_may_be_kept_as_its_colours_where_they_tell_its_codes() -> None:
    def smallest(*colours: tuple[int, int, int]) -> str:
        facts = {**imagery("palette:1"), "measures": {"codec": {"colours": colours}}}
        files = container("palette:1", "png", 300), container("palette:1", "webp", 200, "decoded patches")
        return costs(results(network("palette:1", 900), facts, *files))[0].label

    assert smallest((0, 0, 0), (9, 9, 9)) == "palette:1 in webp, as colours"
    assert smallest((9, 9, 9), (9, 9, 9)) == "palette:1 in png"


def test_the_front_is_what_no_other_point_beats() -> None:
    points = costs(results(*STUDY))
    front = pareto_front(points)
    beaten = [
        p for p in points
        if any(
            q.bytes_per_patch <= p.bytes_per_patch and q.network.score.accuracy >= p.network.score.accuracy
            and (q.bytes_per_patch, q.network.score.accuracy) != (p.bytes_per_patch, p.network.score.accuracy)
            for q in points
        )
    ]  # fmt: skip
    assert [p for p in points if p not in beaten] == front
    assert [p.label for p in front] == [
        "palette:2 in png",
        "JPEG 10",
        "companded:2:ordered in webp",
        "uniform:8 packed",
    ]


def test_of_several_recipes_the_one_most_networks_have_is_compared() -> None:
    short, long = {"epochs": 12, "seed": 0}, {"epochs": 16, "seed": 0}
    found = results(
        trained(network("uniform:1", 650), schedule=short),
        trained(network("uniform:1", 700), schedule=long),
        trained(network("uniform:1:ordered", 800), schedule=long),
        trained(network("uniform:2", 900), schedule=long),
    )
    assert sorted(n.score.correct for n in at(found, main_setting(found))) == [700, 800, 900]
    (pair,) = dither_pairs(found)
    assert (pair.second.score.correct, pair.where) == (700, "uniform 1 bit")


def test_recipes_are_the_same_whatever_seed_and_codec_they_start_from() -> None:
    rows = []
    for seed, codec in enumerate(("uniform:1", "uniform:2")):
        origin = network(codec, 900, widths=None, seed=seed, origin=True)
        rows += [origin, trained(network(codec, 800, seed=seed), start={"cell": origin["digest"], "weights": True})]
    rows.append(network("uniform:1", 700, seed=3))
    recipes = [n.recipe for n in results(*rows).networks if n.setting.weights]
    assert recipes[0] == recipes[1] != recipes[2]


def test_a_float_network_of_another_architecture_is_no_reference() -> None:
    found = results(network("uniform:8", 960), network("uniform:8", 970, widths=None, architecture="resnet"))
    assert float_network(found, main_setting(found)) is None


def test_dithers_are_listed_ordered_first() -> None:
    blue = {**network("uniform:1", 850), "dither": "blue16", "codec": "uniform:1:blue16"}
    assert dithers_of(results(blue, network("uniform:1:ordered", 800))) == ["ordered", "blue16"]
