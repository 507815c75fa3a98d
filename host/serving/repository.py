"""The models that are served: by name and version, loaded from folders and loaded again when these change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from bitswath.accelerator import Accelerator
from bitswath.bundle.bundle import Bundle, load_bundle
from bitswath.bundle.zoo import located
from bitswath.errors import BitswathError, BundleError
from bitswath.serving.refusals import RequestError, busy
from bitswath.serving.scheduling.model import Model
from bitswath.serving.settings import Settings
from bitswath.serving.statistics import Statistics

__all__ = ["DevicesOf", "Entry", "Repository", "places"]

DevicesOf = Callable[[Bundle], dict[str, Callable[[], Accelerator]]]
"""What opens each device for a bundle, by the device's name."""

_Stamp = tuple[int, int, int]
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_NAME = re.compile(r"[^/\x00-\x1f]{1,256}")
_REOPENING_S = 30.0
_log = logging.getLogger("bitswath.serving")


@dataclass(eq=False)
class Entry:
    """A version of a model: where its bundle is, and what serves it, if anything does."""

    name: str
    version: str
    path: Path
    model: Model | None = None
    reason: str = ""
    statistics: Statistics = field(default_factory=Statistics)
    stamp: _Stamp | None = None
    available: asyncio.Event = field(default_factory=asyncio.Event)
    promised: bool = False
    """Whether it was in service once, so that the server is not ready without it."""

    @property
    def ready(self) -> bool:
        return self.model is not None and self.model.ready


def places(paths: Sequence[str], names: dict[str, str]) -> dict[tuple[str, str], Path]:
    """By name and version, where bundles are: a path is a bundle's, ``zoo:NAME``, or a folder's that has one bundle
    below each of its versions' numbers. `names` remembers what a bundle was called when it was first looked at.

    Raises `BundleError` for anything else, and where two have one name.
    """
    found: dict[tuple[str, str], Path] = {}
    for path in paths:
        folder = located(path)
        versions = [inner for inner in folder.iterdir() if _VERSION.fullmatch(inner.name)] if folder.is_dir() else []
        if versions and not (folder / "manifest.json").is_file():
            named = {(folder.absolute().name, inner.name): inner for inner in versions}
        else:
            named = {(names.setdefault(path, names.get(path) or load_bundle(path).name), "1"): folder}
        for (name, version), place in named.items():
            if not _NAME.fullmatch(name):
                raise BundleError(f"{place}: expected a name that fits into an address, got {name[:80]!r}")
            if (name, version) in found:
                raise BundleError(
                    f"{place}: there is a model {name!r} already, {found[name, version]}; give it another name"
                )
            found[name, version] = place
    return found


class Repository:
    """Models of `paths` on devices that `devices_of` names. Used in one event loop."""

    def __init__(self, paths: Sequence[str], devices_of: DevicesOf, settings: Settings) -> None:
        self._paths, self._devices_of, self._settings = tuple(paths), devices_of, settings
        self._entries: dict[tuple[str, str], Entry] = {}
        self._names: dict[str, str] = {}
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Load everything; raises the first error, with nothing left open."""
        try:
            for (name, version), path in places(self._paths, self._names).items():
                entry = self._entries[name, version] = Entry(name, version, path)
                await self._load(entry)
        except BaseException:
            await self.close(0.0)
            raise

    async def refresh(self, *, force: bool = False) -> None:
        """Look at the folders again: load what changed (with `force` everything) and new versions, and let go of those
        that are gone. What fails is said and leaves what was there in service."""
        async with self._changing:
            try:
                found = await asyncio.to_thread(places, self._paths, self._names)
            except (BitswathError, OSError) as error:
                _log.error("models cannot be looked for", extra={"reason": str(error)})
                return
            for (name, version), path in found.items():
                entry = self._entries.setdefault((name, version), Entry(name, version, path))
                if force or entry.stamp != _stamp(path):
                    try:
                        await self._load(entry)
                    except (BitswathError, OSError) as error:
                        self._not_loaded(entry, str(error))
            for key in self._entries.keys() - found.keys():
                await self._retire(self._entries.pop(key).model)
                _log.info("model unloaded", extra={"model": key[0], "version": key[1]})

    async def model_of(self, entry: Entry) -> Model:
        """What serves an entry, to be used within ``with`` at once; waited for while a device changes its bundle.

        Raises `RequestError` 503 if it cannot be had at the moment.
        """
        if entry.model is None and not entry.reason:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(entry.available.wait(), _REOPENING_S)
        if entry.model is None:
            raise busy(f"model {entry.name!r} is not loaded: {entry.reason or 'it is being loaded'}", 5)
        return entry.model

    def find(self, name: str, version: str = "") -> Entry:
        """`version`: "" for the highest that is loaded. Raises `RequestError` 404."""
        if (name, version) in self._entries:
            return self._entries[name, version]
        named = [entry for entry in self._entries.values() if entry.name == name]
        if not named:
            known = ", ".join(sorted({entry.name for entry in self.entries}))
            raise RequestError(HTTPStatus.NOT_FOUND, f"no model {name[:80]!r}; there are {known[:200] or 'none'}")
        if version:
            listed = ", ".join(self.versions(name))
            raise RequestError(HTTPStatus.NOT_FOUND, f"model {name!r} has no version {version[:40]!r}; it has {listed}")
        return max(named, key=lambda entry: (entry.model is not None, int(entry.version)))

    def versions(self, name: str) -> list[str]:
        """In ascending order."""
        return sorted((entry.version for entry in self.entries if entry.name == name), key=int)

    def index(self, *, ready: bool) -> list[dict[str, str]]:
        """`$repository_index_response` of Triton's extension; with `ready` of what is."""
        told = {True: "READY", False: "UNAVAILABLE"}
        return [
            {
                "name": entry.name,
                "version": entry.version,
                "state": told[entry.ready],
                "reason": "" if entry.ready else entry.reason,
            }
            for entry in self.entries
            if entry.ready or not ready
        ]

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    @property
    def ready(self) -> bool:
        return all(entry.ready for entry in self.entries if entry.promised)

    async def close(self, timeout_s: float) -> None:
        """Answer what waits, within the time, and close every device."""
        models = [entry.model for entry in self.entries if entry.model is not None]
        await asyncio.gather(*(asyncio.to_thread(model.close, timeout_s) for model in models))

    async def _load(self, entry: Entry) -> None:
        """Put what is in its folder in service. Where its devices can be opened once only, requests wait meanwhile."""
        stamp = _stamp(entry.path)
        bundle = await asyncio.to_thread(load_bundle, entry.path)
        loop = asyncio.get_running_loop()
        model = Model(self._devices_of(bundle), self._settings, entry.statistics, loop)
        old = entry.model
        if old is not None and old.exclusive:
            entry.available.clear()
            entry.model = None
            await self._retire(old)
            old = None
        await asyncio.to_thread(model.start)
        entry.model, entry.reason, entry.stamp, entry.promised = model, "", stamp, True
        entry.available.set()
        _log.info("model loaded", extra={"model": entry.name, "version": entry.version, "path": str(entry.path)})
        await self._retire(old)

    def _not_loaded(self, entry: Entry, reason: str) -> None:
        """One that is in service stays as it is until its folder changes again; another one is tried again."""
        entry.stamp = None if entry.model is None else _stamp(entry.path)
        if reason != entry.reason:
            told = {"model": entry.name, "version": entry.version, "reason": reason}
            _log.error("model not loaded", extra=told)
        entry.reason = reason

    async def _retire(self, model: Model | None) -> None:
        """Close a model once nobody uses it any more."""
        if model is None:
            return
        deadline = asyncio.get_running_loop().time() + self._settings.drain_timeout_s
        while model.users and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(model.close, 1.0)


def _stamp(path: Path) -> _Stamp | None:
    """What differs after a folder was swapped or its manifest written."""
    try:
        found = (path / "manifest.json").stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
