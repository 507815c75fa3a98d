"""A configuration is read whole, or refused naming every wrong key."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from bitswath.errors import ConfigError
from bitswath.models.nets.config import load_config, read_config

YAML = """
name: trial
data: {name: synthetic, limit: 100}
codec: companded:2:ordered
architecture: {kind: vgg, widths: [8, M, 16], head: pool}
widths: {weights: 3, activations: 2, layers: {fc: {weights: 8}}}
schedule: {epochs: 3, precision: bfloat16}
"""

TOML = """
name = "trial"
codec = "companded:2:ordered"
data = {name = "synthetic", limit = 100}
architecture = {kind = "vgg", widths = [8, "M", 16], head = "pool"}
widths = {weights = 3, activations = 2, layers = {fc = {weights = 8}}}
schedule = {epochs = 3, precision = "bfloat16"}
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    yaml, toml = written(tmp_path, "a.yaml", YAML), written(tmp_path, "a.toml", TOML)
    config = load_config(yaml)
    assert config == load_config(toml)
    assert config.architecture.widths == (8, "M", 16)
    assert config.widths.layers["fc"].weights == 8


def test_toml_is_read_on_python_3_10_whose_library_has_no_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = pytest.importorskip("tomllib", reason="this is 3.10: the test above says it")
    monkeypatch.setattr(sys, "version_info", (3, 10, 13))
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", parser)  # the same parser, under the name it has on PyPI
    assert load_config(written(tmp_path, "a.toml", TOML)) == load_config(written(tmp_path, "a.yaml", YAML))


def test_the_parser_of_toml_comes_with_train_where_python_has_none() -> None:
    project = read_config(Path("pyproject.toml"))["project"]
    (parser,) = (
        wanted for one in project["optional-dependencies"]["train"] if (wanted := Requirement(one)).name == "tomli"
    )
    assert parser.marker is not None
    assert [parser.marker.evaluate({"python_version": version}) for version in ("3.10", "3.11", "3.13")] == [
        True,
        False,
        False,
    ]


def test_a_size_is_a_pair_or_the_side_of_a_square(tmp_path: Path) -> None:
    sizes = YAML.replace("limit: 100", "resize: 128, crop: [96, 120]")
    data = load_config(written(tmp_path, "a.yaml", sizes)).data
    assert (data.resize, data.crop, data.val_share) == ((128, 128), (96, 120), 0.1)
    for wrong in ("resize: 0", "crop: [1, 2, 3]", "resize: true", "val_share: 1"):
        with pytest.raises(ConfigError, match=f"data.{wrong.split(':')[0]}"):
            load_config(written(tmp_path, "a.yaml", YAML.replace("limit: 100", wrong)))


def test_every_wrong_key_is_named(tmp_path: Path) -> None:
    text = YAML.replace("epochs: 3", "epochs: 0, epoks: 3").replace("weights: 3", "weights: 9")
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, "a.yaml", text))
    message = str(caught.value)
    assert "\n" not in message
    for key in ("schedule.epochs", "schedule.epoks", "widths.weights", "a.yaml"):
        assert key in message


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.yaml", "a: [", "not valid YAML"),
        ("a.toml", "a = ", "not valid TOML"),
        ("a.yaml", "- 1", "expected a table"),
        ("a.json", "{}", "expected a .yaml, .yml or .toml"),
        ("a.yaml", YAML + "distill: {teacher: float}", "float_epochs"),
        ("a.yaml", YAML.replace("name: trial", "name: ../trial"), "name"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_config(written(tmp_path, name, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_config(tmp_path / "none.yaml")
