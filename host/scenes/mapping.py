"""A scene to a map: strips classified and kept, then put together and written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.basics.files import check_outputs
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.errors import InputError, SceneError
from bitswath.scenes.assemble import NO_SCORE, SCORE_STEPS, assemble, label_type
from bitswath.scenes.gdal import opened
from bitswath.scenes.plan import Plan, plan_of
from bitswath.scenes.products.cog import Look, cog_writers, names_beside
from bitswath.scenes.products.colours import Colour, class_colours
from bitswath.scenes.products.made import Map, Outputs
from bitswath.scenes.settings import MapSettings, SceneSettings
from bitswath.scenes.sources.opening import Source, open_scene
from bitswath.scenes.sources.scene import Scene
from bitswath.scenes.strips import Strip, Strips, strips_beside
from bitswath.scenes.work import Classifier, Job, work
from bitswath.streaming.counters import Counters

__all__ = ["Worker", "is_made", "map_scene"]

_VERSION = 1
"""Of what strips hold: another one starts anew."""

_TAG = "BITSWATH_JOB"

Worker = Callable[[Job, Sequence[int], Callable[[int, Strip], None]], None]
"""Works on the strips of a job, handing over each with its number."""


def map_scene(
    classifier: Classifier | Bundle,
    source: Source | str | Path,
    output: Outputs | str | Path,
    *,
    scene: SceneSettings | None = None,
    settings: MapSettings | None = None,
    colours: dict[str, Colour] | None = None,
    overwrite: bool = False,
    resume: bool = True,
    skip_bad: bool = False,
    also: Sequence[Any] = (),
    progress: Callable[[Counters], None] = lambda counters: None,
    worker: Worker | None = None,
) -> Map:
    """Map a scene and write it.

    `classifier`: an accelerator; or a bundle, where a `worker` does the strips. What an interrupted
    run of the same bundle, scene and settings did is taken over, if `resume`. `also`: further accelerators that share
    the work. Raises `SceneError`, `InputError`, `BackendError`; then there is no output.
    """
    started = time.perf_counter()
    source = source if isinstance(source, Source) else Source((str(source),))
    outputs = output if isinstance(output, Outputs) else Outputs(Path(output))
    settings, reading = settings or MapSettings(), scene or SceneSettings()
    if worker is None and isinstance(classifier, Bundle):
        raise InputError("expected an accelerator, or a worker for the bundle's strips; open the bundle")
    _check_outputs(outputs, overwrite)
    bundle = classifier if isinstance(classifier, Bundle) else classifier.bundle
    entry = bundle.manifest.input
    found = open_scene(source, entry, reading)
    plan = plan_of(bundle, found, settings)
    job = Job(found, plan, settings.most_empty(entry.patch_shape[0] * entry.patch_shape[1]), skip_bad)
    facts = _facts(bundle, found, plan, settings)
    with strips_beside(outputs.labels, facts, resume=resume) as strips:
        before = strips.done
        todo = [number for number in range(len(plan.strips)) if number not in before]

        def keep(number: int, strip: Strip) -> None:
            strips.put(number, strip.to_bytes())

        if todo and worker is not None:
            worker(job, todo, keep)
        elif todo and not isinstance(classifier, Bundle):
            for number, strip in work(classifier, job, todo, also=also, progress=progress):
                keep(number, strip)
        classify_s = time.perf_counter() - started
        names = class_colours(bundle.classes, colours)
        counts, bad = _write(bundle, found, plan, settings, outputs, strips, names, facts)
    return Map(
        outputs,
        bundle,
        found,
        settings,
        plan.grid,
        names,
        counts,
        plan.windows,
        sum(plan.windows_of(number) for number in before),
        bad,
        found.notes,
        time.perf_counter() - started,
        classify_s,
    )


def is_made(bundle: Bundle, source: Source, output: Path, scene: SceneSettings, settings: MapSettings) -> bool:
    """Whether `output` is the map of a scene by the same bundle and settings."""
    if not output.is_file():
        return False
    found = open_scene(source, bundle.manifest.input, scene)
    digest = _digest(_facts(bundle, found, plan_of(bundle, found, settings), settings), settings)
    try:
        with opened(str(output)) as dataset:
            return bool(dataset.tags().get(_TAG) == digest)
    except SceneError:
        return False


def _check_outputs(outputs: Outputs, overwrite: bool) -> None:
    check_outputs(*outputs.paths)
    if twice := [path for path, count in Counter(path.absolute() for path in outputs.paths).items() if count > 1]:
        raise InputError(f"{twice[0]}: is named for two outputs; give each its own")
    for path in outputs.paths:
        if path.exists() and (not overwrite or not path.is_file()):
            raise InputError(f"{path}: exists and is not overwritten; --overwrite replaces it, or name another")


def _facts(bundle: Bundle, scene: Scene, plan: Plan, settings: MapSettings) -> dict[str, Any]:
    """What strips depend on."""
    return {
        "version": _VERSION,
        "network": bundle.manifest.files[NETWORK].sha256,
        "codec": bundle.codec.to_dict(),
        "scene": json.loads(json.dumps(asdict(replace(scene, notes=(), name="")))),
        "files": {path: _stamp(path) for path in scene.paths},
        "strips": [list(span) for span in plan.strips],
        "settings": settings.model_dump(exclude={"mode"}),
    }


def _digest(facts: dict[str, Any], settings: MapSettings) -> str:
    """Of all that a map depends on."""
    return hashlib.sha256(json.dumps([facts, settings.mode], sort_keys=True).encode()).hexdigest()


def _stamp(path: str) -> list[int]:
    """Size and time of a file; of one in a zip those of the zip, of one that is elsewhere nothing."""
    place = Path(path.removeprefix("/vsizip/"))
    for each in (place, *place.parents):
        with contextlib.suppress(OSError):
            if each.is_file():
                found = each.stat()
                return [found.st_size, found.st_mtime_ns]
    return []


def _write(
    bundle: Bundle,
    scene: Scene,
    plan: Plan,
    settings: MapSettings,
    outputs: Outputs,
    strips: Strips,
    colours: tuple[Colour, ...],
    facts: dict[str, Any],
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Writes all outputs; pixels of each class and nodata by row, and what was bad."""
    bad: list[str] = []

    def get(number: int) -> Strip:
        strip = strips.get(number)
        bad.extend(strip.bad)
        return strip

    looks = _looks(bundle, scene, settings, outputs, colours, facts)
    counts = np.zeros((plan.grid.height, plan.classes + 1), np.int64)
    kind = label_type(plan.classes)
    rows_of = assemble(
        plan, get, settings.mode, scores=outputs.scores is not None, confidence=outputs.confidence is not None
    )
    with cog_writers(looks, plan.grid, strips.folder) as writers:
        for rows in rows_of:
            writers[outputs.labels].write(rows.labels)
            if outputs.scores is not None and rows.scores is not None:
                writers[outputs.scores].write(rows.scores)
            if outputs.confidence is not None and rows.confidence is not None:
                writers[outputs.confidence].write(rows.confidence)
            for line, labels in enumerate(rows.labels, rows.top):
                found = np.bincount(labels, minlength=plan.classes)
                counts[line, :-1] = found[: plan.classes]
                counts[line, -1] = len(labels) - counts[line, :-1].sum()
    if kind == np.uint8:
        names_beside(outputs.labels, bundle.classes, colours)
    return counts, tuple(bad)


def _looks(
    bundle: Bundle,
    scene: Scene,
    settings: MapSettings,
    outputs: Outputs,
    colours: tuple[Colour, ...],
    facts: dict[str, Any],
) -> dict[Path, Look]:
    tags = {
        "BITSWATH_BUNDLE": bundle.name,
        "BITSWATH_MODE": settings.mode,
        _TAG: _digest(facts, settings),
        **({"TIFFTAG_DATETIME": scene.taken} if scene.taken else {}),
    }
    kind = label_type(len(bundle.classes))
    names = {f"CLASS_{index}": name for index, name in enumerate(bundle.classes)}
    looks = {
        outputs.labels: Look(
            str(kind), int(np.iinfo(kind).max), ("class",), "mode", colours, tags=tags, band_tags=names
        )
    }
    for path, bands in ((outputs.scores, bundle.classes), (outputs.confidence, ("confidence",))):
        if path is not None:
            looks[path] = Look("uint8", NO_SCORE, bands, "average", scale=1 / SCORE_STEPS, tags=tags)
    return looks
