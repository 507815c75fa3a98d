"""A configuration is read whole, or refused naming every wrong key."""

from pathlib import Path

import pytest

from bitswath.errors import ConfigError
from bitswath.models.config import load_config

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
