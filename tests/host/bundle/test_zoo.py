"""The zoo by name: on the command line, in Python, from a source tree."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import bitswath as bs
from bitswath.builds.report import Counts, LinkReport, Report
from bitswath.bundle import zoo
from bitswath.bundle.cards import card
from bitswath.bundle.zoo_entry import BUILDS, Builds, read_entry
from bitswath.commands import classify, compress, info
from bitswath.commands import zoo as zoo_command
from bitswath.errors import BundleError, InputError
from tests.paths import ROOT

SMALL = "synthetic-u4-w4a4"


def said(*arguments: object) -> Result:
    return CliRunner().invoke(zoo_command.command, [*map(str, arguments)])


def test_its_names_are_the_bundles_in_the_source_tree() -> None:
    assert zoo.zoo_names() == tuple(sorted(path.stem for path in (ROOT / "models" / "zoo").glob("*.bsw")))
    assert SMALL in zoo.zoo_names()
    assert zoo.zoo_path(SMALL).samefile(ROOT / "models" / "zoo" / f"{SMALL}.bsw")


def test_a_path_stays_what_it_is() -> None:
    assert zoo.located("zoo/x.bsw") == Path("zoo/x.bsw")
    assert zoo.located(Path("x.bsw")) == Path("x.bsw")


@pytest.mark.parametrize("name", ["zoo:nope", "zoo:", "zoo:../zoo/" + SMALL, f"zoo:{SMALL}.bsw"])
def test_a_wrong_name_is_told_with_those_there_are(name: str) -> None:
    with pytest.raises(BundleError, match=f"no such model in the zoo; there are .*{SMALL}"):
        bs.load_bundle(name)


def test_nothing_is_written_to_a_name() -> None:
    bundle = bs.load_bundle(f"zoo:{SMALL}")
    shape = bundle.manifest.input.patch_shape
    with pytest.raises(BundleError, match="not written to; copy it first"):
        bs.save_bundle(
            "zoo:mine", network=bundle.network, codec=bundle.codec, patch_shape=shape, classes=bundle.classes
        )


def test_an_installation_without_a_zoo_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BundleError, match=r"has no zoo.*install bitswath again"):
        zoo.zoo_names()


def test_open_takes_a_name() -> None:
    patches = np.random.default_rng(3).integers(0, 256, (2, 64, 64, 3), np.uint8)
    with bs.open(f"zoo:{SMALL}") as named, bs.open(zoo.zoo_path(SMALL)) as opened:
        np.testing.assert_array_equal(named.classify(patches).logits, opened.classify(patches).logits)


def test_commands_take_a_name(tmp_path: Path) -> None:
    bundle = bs.load_bundle(zoo.zoo_path(SMALL))
    folder = tmp_path / "images" / bundle.classes[0]
    folder.mkdir(parents=True)
    from PIL import Image

    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "a.png")
    calls = [
        (info.command, [f"zoo:{SMALL}"]),
        (compress.command, [str(tmp_path / "images"), "--bundle", f"zoo:{SMALL}", "-o", str(tmp_path / "a.bsa")]),
        (classify.command, [f"zoo:{SMALL}", str(tmp_path / "a.bsa")]),
    ]
    for command, arguments in calls:
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 0, done.output


def test_the_zoos_figures_are_not_overwritten(tmp_path: Path) -> None:
    before = (zoo.zoo_path(SMALL) / "manifest.json").read_bytes()
    done = CliRunner().invoke(classify.command, [f"zoo:{SMALL}", str(tmp_path), "--record", "test"])
    assert isinstance(done.exception, BundleError)
    assert "copy it first" in str(done.exception)
    assert (zoo.zoo_path(SMALL) / "manifest.json").read_bytes() == before


def test_the_list_names_each_with_its_accuracy() -> None:
    lines = said().output.splitlines()
    for name in zoo.zoo_names():
        (cells,) = (line.split() for line in lines if line.startswith(f" {name} "))
        found = bs.load_bundle(zoo.zoo_path(name)).manifest.accuracy["test"]
        low, high = found.interval
        assert cells[-4:-2] == [f"{100 * found.accuracy:.2f}", f"{100 * low:.2f}-{100 * high:.2f}"]


def test_json_lists_and_describes() -> None:
    listed = json.loads(said("--json").output)
    assert [entry["name"] for entry in listed] == list(zoo.zoo_names())
    one = json.loads(said(SMALL, "--json").output)
    assert one in listed
    manifest = bs.load_bundle(f"zoo:{SMALL}").manifest
    assert one["accuracy"]["test"]["correct"] == manifest.accuracy["test"].correct
    assert (one["codec"], one["widths"], one["link_bytes"], one["raw_bytes"]) == ("uniform:4", "W4A4", 6144, 12288)
    files = [path for path in zoo.zoo_path(SMALL).iterdir() if path.is_file()]
    assert one["bundle_bytes"] == sum(path.stat().st_size for path in files)


def test_the_parameters_are_those_of_the_architecture() -> None:
    """Four 3x3 convolutions of 8, 16, 32, 32 channels on 3 bands, ten classes behind 4 x 4 x 32 values."""
    one = json.loads(said(SMALL, "--json").output)
    assert one["parameters"] == 9 * (3 * 8 + 8 * 16 + 16 * 32 + 32 * 32) + 4 * 4 * 32 * 10
    assert one["thresholds"] == 15 * (8 + 16 + 32 + 32)


@pytest.mark.parametrize("name", zoo.zoo_names())
def test_one_is_described_by_its_card(name: str) -> None:
    assert said(name).output == said(f"zoo:{name}").output == zoo.zoo_path(name).with_suffix(".md").read_text()


def test_an_unknown_one_is_told() -> None:
    done = said("nope")
    assert isinstance(done.exception, BundleError)


def test_a_copy_is_a_bundle_of_its_own_without_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = tmp_path / "zoo" / f"{SMALL}.bsw"
    shutil.copytree(zoo.zoo_path(SMALL), built)
    (built / "hw" / "Pynq-Z2").mkdir(parents=True)
    monkeypatch.setattr(zoo_command, "zoo_path", lambda name: built)
    assert said(SMALL, "-o", tmp_path / "mine.bsw").exit_code == 0
    assert bs.load_bundle(tmp_path / "mine.bsw").manifest == bs.load_bundle(built).manifest
    assert not (tmp_path / "mine.bsw" / "hw").exists()
    assert isinstance(said(SMALL, "-o", tmp_path / "mine.bsw").exception, InputError)
    assert isinstance(said(SMALL, "-o", tmp_path / "no" / "mine.bsw").exception, InputError)
    assert isinstance(said("-o", tmp_path / "b.bsw").exception, InputError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.bsw", "zoo"]


def test_the_command_needs_the_base_install_only() -> None:
    script = (
        "import json, sys; sys.argv = ['bitswath', 'zoo', '--json'];"
        "from bitswath.cli import main; main(); print(json.dumps([*sys.modules]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert len(json.loads(done.stdout)) == len(zoo.zoo_names())
    brought = {name.partition(".")[0] for name in json.loads(done.stderr)}
    assert brought & {"yaml", "tensorflow", "tf_keras", "onnx", "qonnx", "matplotlib", "PIL"} == set()


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A bundle with nothing beside it."""
    path = tmp_path / f"{SMALL}.bsw"
    shutil.copytree(zoo.zoo_path(SMALL), path)
    return path


def test_a_bundle_alone_has_a_card(alone: Path) -> None:
    text = card(read_entry(alone))
    assert "| test | 96.78 % (96.36-97.14) | 7,742 of 8,000 |" in text
    assert "## Hardware" not in text


def test_a_network_of_another_tool_has_a_card(alone: Path) -> None:
    bundle = bs.load_bundle(alone)
    entry = bundle.manifest.input
    made = bs.save_bundle(
        alone.with_name("other.bsw"),
        network=bundle.network,
        codec=bundle.codec,
        patch_shape=entry.patch_shape,
        classes=bundle.classes,
    )
    text = card(read_entry(made.path))
    assert "| network | made by another tool |" in text
    assert "| weights and activations | W4A4 |" in text
    assert "Not measured." in text


def test_builds_beside_it_are_on_its_card(alone: Path) -> None:
    report = Report(
        name=SMALL,
        board="Pynq-Z2",
        part="xc7z020clg400-1",
        clock_hz=100e6,
        frames_per_s=1234.5,
        initiation_interval=81004.0,
        latency_cycles=190_000,
        checked_frames=4,
        limiting=None,
        input=LinkReport(width=64, frame_bytes=6144),
        output=LinkReport(width=64, frame_bytes=8),
        resources=Counts(lut=26_600, bram36=10.5),
        resources_from="sum of parts",
        parts=Counts(),
        available=Counts(lut=53_200, lutram=17_400, ff=106_400, bram36=140, dsp=220),
        stages=(),
        queues=(),
    )
    alone.with_suffix(BUILDS).write_text(Builds(builds=(report,)).model_dump_json())
    row = "| Pynq-Z2 | 100 | 1,234 | 1.90 ms | 26,600 (50 %) | 10.5 (8 %) | 0 (0 %) |"
    assert row in card(read_entry(alone)).splitlines()


@pytest.mark.parametrize("ending", [".log.jsonl", ".hw.json"])
def test_a_damaged_file_beside_it_is_named(alone: Path, ending: str) -> None:
    alone.with_suffix(ending).write_text("{")
    with pytest.raises(BundleError, match=ending):
        read_entry(alone)


def test_a_card_tells_how_images_came_to_their_size(tmp_path: Path) -> None:
    path = tmp_path / f"{SMALL}.bsw"
    shutil.copytree(zoo.zoo_path(SMALL), path)
    for suffix in (".yaml", ".log.jsonl"):
        shutil.copy(zoo.zoo_path(SMALL).with_suffix(suffix), tmp_path)
    manifest = json.loads((path / "manifest.json").read_text())
    training = manifest["provenance"]["source"]["training"]
    training["data"] |= {"name": "aid", "resize": [72, 80], "crop": [64, 64]}
    training["augment"] |= {"shift": 0, "zoom": 0.4}
    manifest["provenance"]["source"]["dataset"] = "aid"
    (path / "manifest.json").write_text(json.dumps(manifest))
    text = card(read_entry(path))
    assert "| patch | 64 x 64, 3 bands of uint8, images resized to 72 x 80, images cropped to 64 x 64 |" in text
    assert f"bitswath classify zoo:{SMALL} images/ --resize 72x80 --crop 64x64\n" in text
    assert "flips, rotations, zooms to 1.4 times" in text
    assert "| licence of the data | unclear: the images come from Google Earth" in text
