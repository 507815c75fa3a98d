"""Classify real or synthetic patches with a bundle of the zoo, then map a scene made of them, and say what that took.

Run by ``scripts/demo``; the map needs the extra ``scene``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import bitswath as bs
from bitswath.errors import ImageError
from bitswath.evaluation.confusion import save_confusion_picture
from bitswath.evaluation.report import Report, class_table, confusion_table
from bitswath.imagery.code_files import parse_container, write
from bitswath.imagery.images import open_images
from bitswath.scenes.products.preview import save_preview
from bitswath.scenes.synthetic import Land, write_synthetic

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "models" / "zoo"
EUROSAT = "eurosat_rgb.zip"
PLACES = (os.environ.get("BITSWATH_DATA"), ROOT.parent / "shared" / "data", ROOT / "data")
SCENE_SIDE = 4096
TEXTURES = 32
"""Patches of each class that the scene is made of."""

SAMPLED = 200
"""Patches whose size in a file format is averaged."""


@dataclass(frozen=True)
class Patches:
    what: str
    bundle: Path
    patches: NDArray[Any]
    labels: NDArray[np.int64]
    file_bytes: float | None
    decode_s: float | None


def real_patches() -> Patches | None:
    """The EuroSAT test split, if its zip is in one of the usual places."""
    found = next((path for place in PLACES if place and (path := Path(place) / EUROSAT).is_file()), None)
    bundle = ZOO / "eurosat-u4-w4a4.bsw"
    if found is None or not bundle.is_dir():
        return None
    started = time.perf_counter()
    source = open_images(found, split="test", classes=bs.load_bundle(bundle).classes)
    batches = list(source)
    decode_s = time.perf_counter() - started
    sizes = [len(source.read(name)) for name, _ in source.items]
    labels = [batch.labels for batch in batches if batch.labels is not None]
    patches = np.concatenate([batch.patches for batch in batches])
    return Patches("EuroSAT RGB, test split", bundle, patches, np.concatenate(labels), float(np.mean(sizes)), decode_s)


def synthetic_patches() -> Patches:
    from bitswath.models.data import synthetic

    patches, labels = synthetic.synthetic_patches(range(1000), "test")
    what = f"synthetic land cover (EuroSAT is not here: put {EUROSAT} into a folder named by BITSWATH_DATA)"
    return Patches(what, ZOO / "synthetic-u4-w4a4.bsw", patches, labels, None, None)


def sizes(patches: NDArray[Any], codes: NDArray[np.uint8], bits: int, frame_bytes: int) -> dict[str, float]:
    """Mean bytes per patch in several forms."""
    chosen = np.linspace(0, len(patches) - 1, min(SAMPLED, len(patches))).astype(int)

    def mean(container: str, values: NDArray[Any], width: int) -> float:
        return float(np.mean([len(write(parse_container(container), values[index], width)) for index in chosen]))

    return {
        "8-bit samples, raw": float(patches[0].nbytes),
        "8-bit PNG": mean("png", patches, 8),
        "8-bit JPEG, quality 75": mean("jpeg:75", patches, 8),
        f"{bits}-bit codes, PNG": mean("png", codes, bits),
        f"{bits}-bit codes, packed (on the link)": float(frame_bytes),
    }


def mapped(accelerator: bs.Accelerator, data: Patches, preview: Path) -> dict[str, float]:
    """Map a synthetic scene that looks like the patches; draws it, and says what that took and how much is right."""
    import rasterio

    count = min(TEXTURES, int(np.bincount(data.labels).min()))
    textures = np.stack([data.patches[data.labels == label][:count] for label in range(len(accelerator.classes))])
    land = Land(SCENE_SIDE, SCENE_SIDE, accelerator.classes, seed=3, textures=textures, feature=320)
    with tempfile.TemporaryDirectory(prefix="bitswath-demo-") as folder:
        scene, truth, output = (Path(folder) / name for name in ("scene.tif", "truth.tif", "map.tif"))
        write_synthetic(scene, land, truth=truth)
        made = accelerator.map(scene, output)
        save_preview(made, preview)
        with rasterio.open(truth) as known, rasterio.open(output) as found:
            labels, right = found.read(1), known.read(1)
    both = (labels != 255) & (right != 255)
    share = float((labels == right)[both].mean())
    return {
        "windows": made.windows,
        "seconds": made.seconds,
        "windows_per_s": made.windows / made.seconds,
        "right": share,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--picture", type=Path, default=ROOT / "demo-confusion.png", help="where the matrix is drawn")
    parser.add_argument("--preview", type=Path, default=ROOT / "demo-map.png", help="where scene and map are drawn")
    arguments = parser.parse_args()
    console = Console(width=max(Console().width, 118))
    try:
        data = real_patches() or synthetic_patches()
    except ImageError as error:
        raise SystemExit(f"demo: {error}") from error
    bundle = bs.load_bundle(data.bundle)
    console.print(f"[bold]{bundle.name}[/] on {data.what}: {len(data.patches)} patches", highlight=False)

    with bs.open(bundle) as accelerator:
        accelerator.classify(data.patches[:64])
        started = time.perf_counter()
        result = accelerator.classify(data.patches)
        classify_s = time.perf_counter() - started
        whole = mapped(accelerator, data, arguments.preview)
    report = Report.of(data.labels, result.labels, bundle.classes)
    console.print(class_table(report))
    console.print(confusion_table(report))
    save_confusion_picture(report, arguments.picture, bundle.name)

    codes = bundle.codec.encode(data.patches)
    by_form = sizes(data.patches, codes, bundle.codec.bits, bundle.manifest.input.frame_bytes)
    if data.file_bytes is not None:
        by_form = {"as published (JPEG file)": data.file_bytes, **by_form}
    table = Table("form", "bytes per patch", "against raw", title="size")
    for form, size in by_form.items():
        table.add_row(form, f"{size:,.0f}", f"{by_form['8-bit samples, raw'] / size:.1f}x")
    console.print(table)

    low, high = report.interval
    rate = len(data.patches) / classify_s
    console.print(f"accuracy {100 * report.accuracy:.2f} % (95 %: {100 * low:.2f}-{100 * high:.2f})", highlight=False)
    decode = "" if data.decode_s is None else f"; decoding the files took {data.decode_s:.1f} s more"
    console.print(f"{rate:,.0f} patches/s from samples to labels on {os.cpu_count()} cores{decode}", highlight=False)
    console.print(f"confusion matrix drawn in {os.path.relpath(arguments.picture)}", highlight=False)
    console.print(
        f"a synthetic scene of {SCENE_SIDE:,} x {SCENE_SIDE:,} pixels of such patches: {whole['windows']:,} windows,"
        f" {whole['seconds']:.1f} s, {100 * whole['right']:.1f} % of the pixels right; drawn in"
        f" {os.path.relpath(arguments.preview)}",
        highlight=False,
    )
    if arguments.json:
        facts = {
            "date": datetime.date.today().isoformat(),
            "bundle": bundle.name,
            "data": data.what,
            **report.to_dict(),
            "patches_per_s": rate,
            "bytes_per_patch": bundle.manifest.input.frame_bytes,
            "bytes_by_form": by_form,
            "scene": whole,
            "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
        }
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
