"""``bitswath bench`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bitswath.commands.bench import command
from bitswath.errors import BackendError, InputError
from tests.host.bench import slow_device

QUICK = ("--patches", "3", "--queries", "4", "--stream-s", "0")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return slow_device.bundle(tmp_path).path


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_latency_goes_to_a_table_a_file_and_a_picture(bundle: Path, tmp_path: Path) -> None:
    files = ("--json", tmp_path / "facts.json", "--plot", tmp_path / "facts.svg")
    done = bench(bundle, "--what", "latency", *QUICK, *files)
    assert done.exit_code == 0, done.output
    assert "patch to label" in done.output and "no image file to label: 3 random patches" in done.output
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["latency"]["percentiles"]["device"]["queries"] == 4 and facts["backend"]["name"] == "emulator"
    assert "energy" not in facts and (tmp_path / "facts.svg").stat().st_size > 1000


def test_energy_without_such_a_meter_says_why(bundle: Path, tmp_path: Path) -> None:
    done = bench(bundle, "--what", "energy", "--meter", "wattmeter", *QUICK, "--json", tmp_path / "facts.json")
    assert done.exit_code == 0 and "no energy: no meter 'wattmeter'" in done.output
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["energy"] is None and "wattmeter" in facts["absent"]["energy"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--what", "speed"), InputError),
        (("--backend", "gpu"), BackendError),
        (("--plot", "x.gif"), InputError),
        (("--json", "none/x.json"), InputError),
        (("--queries", "0", "--what", "latency"), InputError),
        (("--board", "Pynq-Z2"), BackendError),
    ],
)
def test_what_cannot_be_is_told_before_the_work(
    bundle: Path, arguments: tuple[str, ...], error: type[Exception]
) -> None:
    assert isinstance(bench(bundle, *QUICK, *arguments).exception, error)
