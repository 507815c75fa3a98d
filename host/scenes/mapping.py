"""A scene to a map: strips classified and kept, put together and written as they come."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from bitswath.basics.files import check_outputs
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.errors import InputError, SceneError
from bitswath.scenes.assemble import assemble
from bitswath.scenes.gdal import opened
from bitswath.scenes.plan import plan_of
from bitswath.scenes.products.colours import Colour, class_colours
from bitswath.scenes.products.made import Map, Outputs
from bitswath.scenes.products.rasters import write_rasters
from bitswath.scenes.settings import MapSettings, SceneSettings
from bitswath.scenes.sources.opening import Source, open_scene
from bitswath.scenes.sources.scene import Scene
from bitswath.scenes.strips import Strip, strips_beside
from bitswath.scenes.work import Classifier, Job, work
from bitswath.streaming.counters import Counters

__all__ = ["Worker", "is_made", "map_scene"]

_VERSION = 1
"""Of what strips hold: another one starts anew."""

_TAG = "BITSWATH_JOB"

Worker = Callable[[Job, Sequence[int]], Generator[tuple[int, Strip], None, None]]
"""Works on the strips of a job; gives each with its number, in any order."""


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
    settings, worker = settings or MapSettings(), worker or _own_worker(classifier, also, progress)
    bundle = classifier if isinstance(classifier, Bundle) else classifier.bundle
    _check_outputs(outputs, overwrite)
    job = _job(bundle, source, scene or SceneSettings(), settings, skip_bad)
    facts, names, plan = _facts(bundle, job, settings), class_colours(bundle.classes, colours), job.plan
    with strips_beside(outputs.labels, facts, resume=resume) as strips:
        todo = [number for number in range(len(plan.strips)) if number not in strips.done]
        with contextlib.closing(worker(job, todo)) as fresh:
            asked = {"scores": outputs.scores is not None, "confidence": outputs.confidence is not None}
            rows = assemble(plan, strips.drawn(fresh), settings.mode, **asked)
            tags = _tags(bundle, job.scene, settings, facts)
            counts = write_rasters(rows, bundle, outputs, plan.grid, names, tags, strips.folder)
    return Map(
        outputs,
        bundle,
        job.scene,
        settings,
        plan.grid,
        names,
        counts,
        plan.windows,
        plan.windows - sum(map(plan.windows_of, todo)),
        tuple(strips.bad),
        job.scene.notes,
        time.perf_counter() - started,
    )


def is_made(bundle: Bundle, source: Source, output: Path, scene: SceneSettings, settings: MapSettings) -> bool:
    """Whether `output` is the map of a scene by the same bundle and settings."""
    if not output.is_file():
        return False
    digest = _digest(_facts(bundle, _job(bundle, source, scene, settings), settings), settings)
    try:
        with opened(str(output)) as dataset:
            return bool(dataset.tags().get(_TAG) == digest)
    except SceneError:
        return False


def _own_worker(classifier: Classifier | Bundle, also: Sequence[Any], progress: Callable[[Counters], None]) -> Worker:
    if isinstance(classifier, Bundle):
        raise InputError("expected an accelerator, or a worker for the bundle's strips; open the bundle")
    return partial(work, classifier, also=also, progress=progress)


def _job(bundle: Bundle, source: Source, scene: SceneSettings, settings: MapSettings, skip_bad: bool = False) -> Job:
    entry = bundle.manifest.input
    found = open_scene(source, entry, scene)
    most_empty = settings.most_empty(entry.patch_shape[0] * entry.patch_shape[1])
    return Job(found, plan_of(bundle, found, settings), most_empty, skip_bad)


def _check_outputs(outputs: Outputs, overwrite: bool) -> None:
    check_outputs(*outputs.paths)
    if twice := [path for path, count in Counter(path.absolute() for path in outputs.paths).items() if count > 1]:
        raise InputError(f"{twice[0]}: is named for two outputs; give each its own")
    for path in outputs.paths:
        if path.exists() and (not overwrite or not path.is_file()):
            raise InputError(f"{path}: exists and is not overwritten; --overwrite replaces it, or name another")


def _facts(bundle: Bundle, job: Job, settings: MapSettings) -> dict[str, Any]:
    """What strips depend on."""
    return {
        "version": _VERSION,
        "network": bundle.manifest.files[NETWORK].sha256,
        "codec": bundle.codec.to_dict(),
        "scene": json.loads(json.dumps(asdict(replace(job.scene, notes=(), name="")))),
        "files": {path: _stamp(path) for path in job.scene.paths},
        "strips": [list(span) for span in job.plan.strips],
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


def _tags(bundle: Bundle, scene: Scene, settings: MapSettings, facts: dict[str, Any]) -> dict[str, str]:
    return {
        "BITSWATH_BUNDLE": bundle.name,
        "BITSWATH_MODE": settings.mode,
        _TAG: _digest(facts, settings),
        **({"TIFFTAG_DATETIME": scene.taken} if scene.taken else {}),
    }
