"""From a configuration to verified predictions, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitswath.models.data.synthetic import CLASSES, synthetic_patches

CONFIG = """
name: small
data: {name: synthetic, limit: 300, size: 32}
codec: %s
architecture: {kind: vgg, widths: [8, M, 16, M, 16, M]}
widths: {weights: 4, activations: 4}
schedule: {epochs: 3, batch: 50, learning_rate: 0.004}
"""


def bitswath(*arguments: object, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bitswath", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, cwd=cwd, env={**os.environ, "COLUMNS": "200"}
    )
    assert done.returncode == code, f"{command} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(CONFIG % "uniform:4")
    bitswath("train", folder / "small.yaml", "-o", folder / "run")
    bitswath("export", folder / "run", "-o", folder / "small.bsw")
    return folder / "small.bsw"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of classes with 60 synthetic test patches."""
    folder = tmp_path_factory.mktemp("images")
    patches, labels = synthetic_patches(range(60), "test", size=32)
    for index, (patch, label) in enumerate(zip(patches, labels)):
        (folder / CLASSES[label]).mkdir(exist_ok=True)
        Image.fromarray(patch).save(folder / CLASSES[label] / f"{index}.png")
    return folder


def test_the_manifest_says_what_was_measured(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    for split in ("val", "test"):
        found = manifest["accuracy"][split]
        assert found["accuracy"] == pytest.approx(found["correct"] / found["patches"])
        assert found["interval"][0] < found["accuracy"] < found["interval"][1]
    assert manifest["provenance"]["source"]["training"]["name"] == "small"


def test_classify_a_folder(bundle: Path, images: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("figures.json", "all.csv", "matrix.png")}
    done = bitswath(
        "classify", bundle, images, "--json", files["figures.json"], "--predictions", files["all.csv"],
        "--confusion", files["matrix.png"],
    )  # fmt: skip
    figures = json.loads(files["figures.json"].read_text())
    assert figures["patches"] == 60
    assert figures["bytes_per_patch"] == 32 * 32 * 3 * 4 / 8
    assert figures["patches_per_s"] > 0
    rows = [line.split(",") for line in files["all.csv"].read_text().splitlines()[1:]]
    assert figures["accuracy"] == pytest.approx(np.mean([predicted == true for _, predicted, true in rows]))
    assert all(name.split("/")[0] == true for name, _, true in rows)
    assert Image.open(files["matrix.png"]).size[0] > 300
    assert "patches/s" in done.stdout


def test_an_archive_gives_the_same_classes(bundle: Path, images: Path, tmp_path: Path) -> None:
    bitswath("compress", images, "--bundle", bundle, "-o", tmp_path / "packed.bsa")
    for source, target in ((images, "a.csv"), (tmp_path / "packed.bsa", "b.csv")):
        bitswath("classify", bundle, source, "--predictions", tmp_path / target)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_compress_for_a_bundle_takes_only_what_it_classifies(bundle: Path, images: Path, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "small.png")
    done = bitswath("compress", tmp_path, "--bundle", bundle, "-o", tmp_path / "x.bsa", code=1)
    assert "small.png" in done.stderr
    assert not (tmp_path / "x.bsa").exists()


def test_a_codec_is_fitted_to_the_training_split_of_another_folder(images: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "splits" / split).mkdir(parents=True)
        for folder in list(images.iterdir())[:2]:
            (tmp_path / "splits" / split / folder.name).symlink_to(folder)
    bitswath("compress", images, "--codec", "companded:2", "--fit", images, "-o", tmp_path / "a.bsa")
    bitswath("compress", images, "--codec", "companded:2", "-o", tmp_path / "b.bsa")
    assert (tmp_path / "a.bsa").read_bytes() == (tmp_path / "b.bsa").read_bytes()


def test_names_with_brackets_are_printed_as_they_are(bundle: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "odd[").mkdir()
    (tmp_path / "odd[" / "[red]a[").write_bytes(b"")
    (tmp_path / "odd[" / "tile[red].png").write_bytes(next(images.rglob("*.png")).read_bytes())
    (tmp_path / "odd[" / "[").mkdir()
    (tmp_path / "odd[" / "[" / "b].png").write_bytes(next(images.rglob("*.png")).read_bytes())
    printed = bitswath("classify", bundle, tmp_path / "odd[").stdout
    assert "tile[red].png: " in printed
    assert "[/b].png: " in printed


def test_outputs_are_checked_before_the_work(bundle: Path, images: Path, tmp_path: Path) -> None:
    for option, value, reason in (
        ("--confusion", "c.gif", "png, svg, pdf"),
        ("--predictions", "none/p.csv", "none"),
        ("--record", "val", "--record"),
    ):
        done = bitswath(
            "classify", bundle, images, "--json", tmp_path / "out.json", "--split", "test", option, value,
            code=1, cwd=tmp_path,
        )  # fmt: skip
        assert reason in done.stderr
        assert list(tmp_path.iterdir()) == []


def test_a_single_image_is_named_with_its_class(bundle: Path, images: Path) -> None:
    image = next(images.rglob("*.png"))
    done = bitswath("classify", bundle, image)
    assert image.name in done.stdout
    assert any(name in done.stdout for name in CLASSES)


def test_verify_proves_equality(bundle: Path) -> None:
    done = bitswath("verify", bundle, "--frames", 4)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("EQUAL: small")
    for pair in ("Keras = QONNX", "QONNX = network", "network = emulator"):
        assert pair in done.stdout


def test_info_reads_bundles_and_archives(bundle: Path, images: Path, tmp_path: Path) -> None:
    assert "uint8 images 32 x 32 x 3" in bitswath("info", bundle).stdout
    bitswath("compress", images, "--codec", "palette:3:ordered", "-o", tmp_path / "p.bsa")
    facts = json.loads(bitswath("info", tmp_path / "p.bsa", "--json").stdout)
    assert facts["bytes per patch"] == 32 * 32 * 3 / 8
    assert facts["patches"] == 60


def test_a_palette_goes_through_the_whole_flow(tmp_path: Path) -> None:
    (tmp_path / "palette.yaml").write_text((CONFIG % "palette:4").replace("epochs: 3", "epochs: 1"))
    bitswath("train", tmp_path / "palette.yaml", "-o", tmp_path / "run")
    bitswath("export", tmp_path / "run", "-o", tmp_path / "palette.bsw")
    assert bitswath("verify", tmp_path / "palette.bsw", "--frames", 2).stdout.splitlines()[-1].startswith("EQUAL")


def test_bad_images_stop_the_run_or_are_listed(bundle: Path, images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for index, path in enumerate(sorted(images.rglob("*.png"))[:3]):
        (folder / f"{index}.png").write_bytes(path.read_bytes())
    (folder / "torn.png").write_bytes(next(images.rglob("*.png")).read_bytes()[:200])
    Image.new("L", (32, 32)).save(folder / "grey.png")
    Image.new("RGB", (16, 32)).save(folder / "small.png")
    stopped = bitswath("classify", bundle, folder, "--json", tmp_path / "out.json", code=1)
    assert stopped.stderr.count("\n") == 1
    assert "grey.png" in stopped.stderr
    assert not (tmp_path / "out.json").exists()
    listed = bitswath("classify", bundle, folder, "--skip-bad", "--json", tmp_path / "out.json")
    assert {item["name"] for item in json.loads((tmp_path / "out.json").read_text())["skipped"]} == {
        "torn.png", "grey.png", "small.png",
    }  # fmt: skip
    assert all(name in listed.stdout for name in ("torn.png", "grey.png", "small.png"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("classify", "none.bsw", "."), "none.bsw"),
        (("info", "nothing.bsa"), "nothing.bsa"),
        (("train", "none.yaml", "-o", "run"), "none.yaml"),
        (("export", "none.onnx", "-o", "x.bsw"), "none.onnx"),
        (("verify", "none.bsw"), "none.bsw"),
        (("compress", ".", "--codec", "palette:9"), "palette:9"),
    ],
)
def test_errors_are_one_line_that_names_the_cause(arguments: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    done = bitswath(*arguments, code=1, cwd=tmp_path)
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_byte_in_a_bundle_is_found(bundle: Path, images: Path, tmp_path: Path) -> None:
    import shutil

    damaged = tmp_path / "damaged.bsw"
    shutil.copytree(bundle, damaged)
    content = bytearray((damaged / "network.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "network.safetensors").write_bytes(content)
    done = bitswath("classify", damaged, images, code=1)
    assert "network.safetensors" in done.stderr
    assert "SHA-256" in done.stderr


def test_a_qonnx_file_becomes_a_bundle(bundle: Path, images: Path, tmp_path: Path) -> None:
    options = ("--classes", ",".join(CLASSES), "--codec", "uniform:4")
    bitswath("export", bundle / "model.onnx", "-o", tmp_path / "again.bsw", *options)
    for source, target in ((bundle, "a.csv"), (tmp_path / "again.bsw", "b.csv")):
        bitswath("classify", source, images, "--predictions", tmp_path / target)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
