"""Data sets in the layouts of multi-spectral EuroSAT and of AID, by command line: compress, train, export, classify."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from bitswath.codecs.archive import open_archive
from bitswath.commands import classify, compress
from bitswath.models.commands import export, train
from bitswath.models.data.synthetic import CLASSES, synthetic_patches

NETWORK = "architecture: {kind: vgg, widths: [8, M, 8, M], head: pool}\nschedule: {epochs: 1, batch: 20}\n"


COMMANDS = {"train": train, "export": export, "compress": compress, "classify": classify}


def bitswath(name: str, *arguments: object) -> str:
    command = COMMANDS[name].command
    done = CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def multispectral(path: Path) -> Path:
    """As the sample of EuroSAT MS: train/ and test/ alone, TIFFs of 13 bands of 16 bits."""
    with zipfile.ZipFile(path, "w") as file:
        for split, count in (("train", 80), ("test", 20)):
            patches, labels = synthetic_patches(range(count), split, size=16, bands=13, depth=16)
            for index, (patch, label) in enumerate(zip(patches, labels)):
                stored = io.BytesIO()
                tifffile.imwrite(stored, patch, photometric="minisblack", planarconfig="contig")
                file.writestr(f"{split}/{CLASSES[label]}/{CLASSES[label]}_{index}.tif", stored.getvalue())
    return path


def of_many_sizes(path: Path) -> Path:
    """As AID and UC Merced: JPEGs, some of fewer pixels than the others, and what a desktop leaves in a zip."""
    with zipfile.ZipFile(path, "w") as file:
        for split, count in (("train", 40), ("val", 10), ("test", 20)):
            for index in range(count):
                (patch,), (label,) = synthetic_patches([index], split, size=20 - index % 3)
                stored = io.BytesIO()
                image = Image.fromarray(patch)
                (image.convert("CMYK") if index % 5 == 0 else image).save(stored, "JPEG", quality=95)
                file.writestr(f"set/{split}/{CLASSES[label]}/{index}.jpg", stored.getvalue())
                file.writestr(f"__MACOSX/set/{split}/{CLASSES[label]}/._{index}.jpg", b"\0\5\x16\7")
    return path


@pytest.mark.parametrize(
    ("make", "options", "shape", "fit"),
    [
        (multispectral, "", (16, 16, 13), ()),
        (of_many_sizes, ", resize: 20, crop: [16, 16]", (16, 16, 3), ("--resize", "20", "--crop", "16x16")),
    ],
    ids=["multi-spectral", "of many sizes"],
)
def test_a_set_goes_from_its_zip_to_classes(
    tmp_path: Path, make: object, options: str, shape: tuple[int, ...], fit: tuple[str, ...]
) -> None:
    assert callable(make)
    data = make(tmp_path / "set.zip")
    (tmp_path / "a.yaml").write_text(f"name: a\ndata: {{name: {data}{options}}}\ncodec: companded:4\n{NETWORK}")
    bitswath("train", tmp_path / "a.yaml", "-o", tmp_path / "run")
    exported = bitswath("export", tmp_path / "run", "-o", tmp_path / "a.bsw")
    measured = dict(re.findall(r"^(val|test): (\S+) % of", exported, re.MULTILINE))
    bundle = tmp_path / "a.bsw"
    bitswath("compress", data, "--split", "test", "--bundle", bundle, *fit, "-o", tmp_path / "a.bsa")
    assert open_archive(tmp_path / "a.bsa").codec.decode(open_archive(tmp_path / "a.bsa").codes()).shape == (20, *shape)
    figures = {}
    for path, given in ((data, ("--split", "test", *fit)), (tmp_path / "a.bsa", ())):
        bitswath("classify", bundle, path, *given, "--json", tmp_path / "figures.json")
        figures[path] = json.loads((tmp_path / "figures.json").read_text())["accuracy"]
    assert set(measured) == {"val", "test"}
    assert float(measured["test"]) == pytest.approx(100 * figures[data], abs=0.01)
    assert figures[data] == figures[tmp_path / "a.bsa"]
    notes = json.loads((tmp_path / "run" / "model.json").read_text())["notes"]
    told = ["has no val: 10 of the 80 images of train stand for it, 0.1 of each class, drawn by seed 0"]
    assert notes == (told if make is multispectral else [])
