"""Whole scenes from file to map against the bare emulator, and a loop of ONNX Runtime and rasterio; their memory.

Scenes are synthetic land (a strip of 1,024 rows, repeated; the largest is a VRT of smaller ones), made once and kept in
.cache/ (1.2 GB); files, network and emulator are what a user has. A rate is windows a second, of the map in the time
from opening the scene to the finished cloud-optimized GeoTIFF; the bare emulator's is that of frames which lie in
memory.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_run import Options, Report, conditions, measure, options, publish
from bench_tables import Bar, Grid, bar_grid
from benchmark import CPU_CLOCK, Clock, Facts
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator
from bitswath.accelerator import open as open_accelerator
from bitswath.basics.files import scratch_path
from bitswath.bundle.bundle import Bundle, load_bundle, save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.network.network import INPUT, Conv, Dense, Head, MaxPool, Network, Stage, TensorSpec, Threshold
from bitswath.scenes.gdal import limit_cache, rasterio_module
from bitswath.scenes.settings import MapSettings
from bitswath.scenes.synthetic import Land

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "bench-scenes"
BUNDLE, SMALL = "zoo:eurosat-u4-w4a4", "zoo:synthetic-u4-w4a4"
TILE, LARGE, CROP = 10_980, 30_000, 2_048
STRIDE = 32
STRIP = 1024
READ_SIDE = 1024
BARE_FRAMES, BARE_RUNS = 512, 8
PEER_BATCH = 64
MEMORY_MB = 500

BARS = (
    Bar("3 bands of 8 bits, file to map, over the bare emulator", "rgb.of_bare", 0.8, "%"),
    Bar("13 bands of 16 bits, likewise", "multispectral.of_bare", 0.8, "%"),
    Bar("peak memory, 3 bands, 10,980 a side", "rgb.peak_mb", MEMORY_MB, "MB", at_most=True),
    Bar("peak memory, 13 bands, 10,980 a side", "multispectral.peak_mb", MEMORY_MB, "MB", at_most=True),
    Bar("peak memory, 3 bands, 30,000 a side", "memory.peak_mb", MEMORY_MB, "MB", at_most=True),
    Bar("over a loop of ONNX Runtime and rasterio, the same windows", "peer.over_peer", 3.0),
    Bar("pixels with that loop's label", "peer.same_labels", None, "%"),
)


def land(side: int, bands: int, dtype: str) -> Path:
    """A scene as cloud-optimized GeoTIFF, from the cache or made anew."""
    path = CACHE / f"{side}-{bands}-{dtype}.tif"
    if path.exists():
        return path
    rasterio = rasterio_module()
    limit_cache()
    print(f"Making {path.name}, once ...", file=sys.stderr)
    CACHE.mkdir(parents=True, exist_ok=True)
    classes = load_bundle(SMALL).classes
    strip, _ = Land(STRIP, side, classes, seed=1, bands=bands, dtype=dtype, holes=False).strip(0, min(STRIP, side))
    scratch = scratch_path(path)
    rows = scratch.with_suffix(".rows.tif")
    transform = rasterio.transform.from_origin(500_000, 5_300_000, 10, 10)
    profile = {"driver": "GTiff", "height": side, "width": side, "count": bands, "dtype": dtype, "crs": "EPSG:32633"}
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1}
    with rasterio.open(rows, "w", **profile, **tiles, transform=transform, interleave="pixel", bigtiff="yes") as file:
        for top in range(0, side, STRIP):
            lines = min(STRIP, side - top)
            window = rasterio.windows.Window(0, top, side, lines)
            file.write(strip[:lines].transpose(2, 0, 1), window=window)
    rasterio.shutil.copy(rows, scratch, driver="COG", compress="deflate", level=1, overviews="none", bigtiff="yes")
    rows.unlink()
    scratch.replace(path)
    return path


def mosaic(side: int, tile_side: int, bands: int, dtype: str) -> Path:
    """A scene as a VRT that repeats a smaller one."""
    path, tile = CACHE / f"{side}-{bands}-{dtype}.vrt", land(tile_side, bands, dtype)
    extent = f'xSize="{tile_side}" ySize="{tile_side}"'
    places = [(x, y) for y in range(0, side, tile_side) for x in range(0, side, tile_side)]
    kind, tiles = {"uint8": "Byte", "uint16": "UInt16"}[dtype], 'blockXSize="512" blockYSize="512"'
    written = ""
    for band in range(1, bands + 1):
        source = f'<SourceFilename relativeToVRT="1">{tile.name}</SourceFilename><SourceBand>{band}</SourceBand>'
        parts = "".join(
            f'<SimpleSource>{source}<SrcRect xOff="0" yOff="0" {extent}/><DstRect xOff="{x}" yOff="{y}" {extent}/>'
            "</SimpleSource>"
            for x, y in places
        )
        written += f'<VRTRasterBand dataType="{kind}" band="{band}" {tiles}>{parts}</VRTRasterBand>'
    place = "<SRS>EPSG:32633</SRS><GeoTransform>500000, 10, 0, 5300000, 0, -10</GeoTransform>"
    path.write_text(f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}">{place}{written}</VRTDataset>')
    return path


def multispectral_bundle() -> Bundle:
    """13 bands of 16 bits, 30 million multiply-accumulates, random weights."""
    path = CACHE / "multispectral.bsw"
    CACHE.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return load_bundle(path)
    rng = np.random.default_rng(0)
    stages: list[Stage] = []
    source, channels, side = INPUT, 13, 64
    for index, width in enumerate((16, 32, 64, 64)):
        weights = rng.integers(-7, 8, (width, 3, 3, channels))
        spread = 60 * np.sqrt(channels)
        steps = np.sort(rng.normal(0, spread, (width, 15)).astype(np.int64), axis=1)
        stages += [
            Conv(f"conv{index}", (source,), weights, pads=(1, 1, 1, 1)),
            Threshold(f"act{index}", (f"conv{index}",), steps),
            MaxPool(f"pool{index}", (f"act{index}",), (2, 2), (2, 2)),
        ]
        source, channels, side = f"pool{index}", width, side // 2
    stages.append(Dense("logits", (source,), rng.integers(-7, 8, (10, side * side * channels))))
    network = Network(TensorSpec((64, 64, 13), 0, 15), tuple(stages), Head(np.array([0.001]), np.zeros(1)))
    names = [f"class {number}" for number in range(10)]
    return save_bundle(path, network=network, codec=UniformCodec(4, depth=16), patch_shape=(64, 64, 13), classes=names)


def bare_rate(accelerator: Accelerator, frames: NDArray[np.uint8], clock: Clock) -> float:
    """Frames a second that the emulator makes of those in memory."""
    backend, started = accelerator.backend, clock()
    tickets = [backend.submit(frames) for _ in range(BARE_RUNS)]
    for ticket in tickets:
        backend.collect(ticket)
    return BARE_RUNS * len(frames) / (clock() - started)


def whole_scene(bundle: Bundle, scene: Path, chosen: Options, stride: int = STRIDE) -> Facts:
    """Rates of the map and of the bare emulator before and behind it, by the chosen clock and by the wall's; memory."""
    entry, output = bundle.manifest.input, CACHE / f"map of {scene.name}"
    rng = np.random.default_rng(1)
    patches = rng.integers(0, 256, (BARE_FRAMES, *entry.patch_shape), entry.patch_dtype)
    with open_accelerator(bundle, "emulator") as accelerator:
        frames = accelerator.encode(patches)
        del patches
        bare_rate(accelerator, frames, chosen.clock)
        bare = [bare_rate(accelerator, frames, chosen.clock)]
        started, wall = chosen.clock(), time.perf_counter()
        made = accelerator.map(scene, output, settings=MapSettings(stride=stride), overwrite=True)
        seconds, wall_s = chosen.clock() - started, time.perf_counter() - wall
        bare.append(bare_rate(accelerator, frames, chosen.clock))
    rate = made.windows / seconds
    gdal_cpu_s, scene_samples = reading(scene)
    return {
        "bundle": bundle.name,
        "macs": bundle.manifest.network.macs,
        "size": list(made.grid.shape),
        "stride": stride,
        "windows": made.windows,
        "seconds": wall_s,
        "windows_per_s": rate,
        "bare_windows_per_s": statistics.mean(bare),
        "of_bare": rate / statistics.mean(bare),
        "map_bytes": output.stat().st_size,
        "scene_bytes": scene.stat().st_size,
        "sample_bytes": scene_samples,
        "gdal_cpu_s": gdal_cpu_s,
    }


def reading(scene: Path) -> tuple[float, int]:
    """Seconds of one core that GDAL takes to read all of a scene, as we have it read, and the bytes of its samples."""
    rasterio, total, started = rasterio_module(), 0, time.process_time()
    with rasterio.open(scene) as file:
        for top in range(0, file.height, READ_SIDE):
            for left in range(0, file.width, READ_SIDE):
                height, width = min(READ_SIDE, file.height - top), min(READ_SIDE, file.width - left)
                samples = np.empty((height, width, file.count), file.dtypes[0])
                file.read(window=rasterio.windows.Window(left, top, width, height), out=samples.transpose(2, 0, 1))
                total += samples.nbytes
    return time.process_time() - started, total


def scene_of(name: str) -> Path:
    """Of a section, from the cache or made anew."""
    if name == "memory":
        return mosaic(LARGE, TILE, 3, "uint8")
    return land(TILE, 13, "uint16") if name == "multispectral" else land(TILE, 3, "uint8")


def alone(name: str, chosen: Options) -> Facts:
    """A section in a process of its own, whose peak memory is that of the section: its scene is made before."""
    scene_of(name)
    cpu = ["--cpu-time"] if chosen.clock is CPU_CLOCK else []
    command = [sys.executable, __file__, "--alone", name, *cpu]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Facts = json.loads(done.stdout.splitlines()[-1])
    return {name: found}


def one(name: str, chosen: Options) -> Facts:
    """In that process."""
    scene = scene_of(name)
    if name == "rgb":
        facts = whole_scene(load_bundle(BUNDLE), scene, chosen)
    elif name == "multispectral":
        facts = whole_scene(multispectral_bundle(), scene, chosen)
    else:
        facts = whole_scene(load_bundle(SMALL), scene, chosen, stride=64)
    return {**facts, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}


def peer(chosen: Options) -> Facts:
    """A loop as users write it, on the same part of a scene in turns with ours; labels compared."""
    bundle, rasterio = load_bundle(BUNDLE), rasterio_module()
    scene = CACHE / f"{CROP}-3-uint8.tif"
    land(CROP, 3, "uint8")
    loop = peer_loop(bundle, scene)
    ours, theirs, labels = [], [], np.zeros((0, 0), np.uint8)
    with open_accelerator(bundle, "emulator") as accelerator:
        for _ in range(max(2, min(chosen.rounds, 3))):
            started = chosen.clock()
            made = accelerator.map(scene, CACHE / "crop.tif", settings=MapSettings(stride=STRIDE), overwrite=True)
            ours.append(made.windows / (chosen.clock() - started))
            started = chosen.clock()
            labels = loop()
            theirs.append(made.windows / (chosen.clock() - started))
    with rasterio.open(CACHE / "crop.tif") as file:
        same = float((file.read(1) == labels).mean())
    return {
        "peer": {
            "windows": made.windows,
            "windows_per_s": statistics.median(ours),
            "peer_windows_per_s": statistics.median(theirs),
            "over_peer": statistics.median(ours) / statistics.median(theirs),
            "same_labels": same,
        }
    }


def peer_loop(bundle: Bundle, scene: Path) -> Callable[[], NDArray[np.uint8]]:
    """Windows by rasterio, ONNX Runtime on the bundle's QONNX as QCDQ on all cores, probabilities summed in numpy."""
    from peers import onnx_path, qcdq_peer

    rasterio, cores = rasterio_module(), 2
    runtime = qcdq_peer(onnx_path(bundle), PEER_BATCH, threads=cores)
    starts = [*range(0, CROP - 63, STRIDE)]

    def loop() -> NDArray[np.uint8]:
        sums = np.zeros((len(bundle.classes), CROP, CROP), np.float32)
        places = [(top, left) for top in starts for left in starts]
        with rasterio.open(scene) as file:
            for first in range(0, len(places), PEER_BATCH):
                part = places[first : first + PEER_BATCH]
                windows = [file.read(window=rasterio.windows.Window(left, top, 64, 64)) for top, left in part]
                batch = np.zeros((PEER_BATCH, 64, 64, 3), np.uint8)
                batch[: len(part)] = np.stack(windows).transpose(0, 2, 3, 1)
                logits = runtime.run(runtime.feed(bundle.codec.encode(batch)))[: len(part)]
                odds = np.exp(logits - logits.max(axis=1, keepdims=True))
                odds /= odds.sum(axis=1, keepdims=True)
                for (top, left), each in zip(part, odds):
                    sums[:, top : top + 64, left : left + 64] += each[:, None, None]
        return np.asarray(sums.argmax(axis=0), np.uint8)

    return loop


def report(facts: Facts) -> Report:
    """Of whatever was measured."""
    tables = [bar_grid("Measured and wanted", BARS, facts)]
    rows = []
    for name in ("rgb", "multispectral", "memory"):
        if name in facts:
            of: dict[str, Any] = facts[name]
            height, width = of["size"]
            bare = f"{of['bare_windows_per_s']:,.0f}" if "bare_windows_per_s" in of else ""
            peak = f"{of['peak_mb']:,.0f} MB" if "peak_mb" in of else ""
            work = f"{of['macs'] / 1e6:.0f} M", str(of["stride"]), f"{of['windows']:,}", f"{of['seconds']:,.0f}"
            rows.append((f"{height:,} x {width:,}", of["bundle"], *work, f"{of['windows_per_s']:,.0f}", bare, peak))
    columns = ("scene", "bundle", "MACs", "stride", "windows", "wall s", "windows/s", "bare windows/s", "peak memory")
    if rows:
        tables.append(Grid("Scenes", columns, tuple(rows)))
    sentences = []
    for name, bands in (("rgb", "3 bands"), ("multispectral", "13 bands")):
        if name in facts:
            of = facts[name]
            sentences.append(
                f"The scene of {bands} holds {of['sample_bytes'] / 1e9:.1f} GB, deflated, its bands interleaved, to "
                f"{of['scene_bytes'] / 1e6:,.0f} MB; GDAL alone takes {of['gdal_cpu_s']:.1f} s of one core to read it."
            )
    if "memory" in facts:
        sentences.append(
            "The scene of 30,000 pixels a side is a VRT of nine tiles, mapped with a small network, for its memory."
        )
    if "peer" in facts:
        of = facts["peer"]
        sentences.append(
            f"The loop reads {of['windows']:,} windows of a scene of {CROP:,} pixels a side with rasterio, runs ONNX "
            f"Runtime on both cores and sums probabilities in numpy: {of['peer_windows_per_s']:,.0f} windows/s, ours "
            f"{of['windows_per_s']:,.0f}."
        )
    return Report("Whole scenes", tuple(tables), tuple(sentences))


SECTIONS: dict[str, Callable[[Options], Facts]] = {
    "rgb": lambda chosen: alone("rgb", chosen),
    "multispectral": lambda chosen: alone("multispectral", chosen),
    "memory": lambda chosen: alone("memory", chosen),
    "peer": peer,
}


def main() -> None:
    if "--alone" in sys.argv:
        at = sys.argv.index("--alone")
        name = sys.argv[at + 1]
        del sys.argv[at : at + 2]
        print(json.dumps(one(name, options(__doc__, SECTIONS))))
        return
    chosen = options(__doc__, SECTIONS)
    facts = conditions(chosen, "numpy", "rasterio", "onnxruntime")
    measure(SECTIONS, chosen, facts, chosen)
    publish(report(facts), facts, chosen)


if __name__ == "__main__":
    main()
