"""Bands of raster files, and which of them a bundle wants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bitswath.errors import SceneError

__all__ = ["Channel", "channels_of", "chosen"]

_SHOWN = 13
_SENTINEL = re.compile(r"^(?:BAND)?B?0*(\d{1,2}A?)$")


@dataclass(frozen=True)
class Channel:
    """Band number `band` (from 1) of the raster at `path`; `names`: what it is called, the first to be shown.

    `nodata`: what its file says; `declared`: scale and offset that its file, or product, states.
    """

    path: str
    band: int
    names: tuple[str, ...]
    dtype: str
    nodata: float | None = None
    declared: tuple[float, float] = (1.0, 0.0)

    @property
    def title(self) -> str:
        return self.names[0] if self.names else str(self.band)

    def is_called(self, name: str) -> bool:
        return _plain(name) in map(_plain, self.names)


def channels_of(dataset: Any, names: Sequence[str] = ()) -> list[Channel]:
    """Those of an open raster, alpha left out; `names`: further ones of its first band."""
    interpretations = [getattr(each, "name", "") for each in dataset.colorinterp]
    found = []
    for band in dataset.indexes:
        about = interpretations[band - 1]
        if about == "alpha":
            continue
        called = [dataset.descriptions[band - 1] or "", *(names if band == 1 else ())]
        called += [about] if about in ("red", "green", "blue") else []
        found.append(
            Channel(
                dataset.name,
                band,
                tuple(name for name in called if name),
                dataset.dtypes[band - 1],
                dataset.nodatavals[band - 1],
                (dataset.scales[band - 1], dataset.offsets[band - 1]),
            )
        )
    return found


def chosen(
    channels: Sequence[Channel], count: int, wanted: Sequence[str] | None, asked: Sequence[str] | None, name: str
) -> tuple[Channel, ...]:
    """`count` channels in the bundle's order: those `asked` for by name or number, else those of the names that the
    bundle wants, else all, where there are as many.

    Raises `SceneError` that says what there is and what is wanted.
    """
    titles = [f"{number} ({channel.title})" for number, channel in enumerate(channels, 1)]
    there = ", ".join(titles[:_SHOWN]) + (f" and {len(titles) - _SHOWN} more" if len(titles) > _SHOWN else "")
    need = ", ".join(wanted) if wanted else f"{count} bands"
    if asked is not None:
        picked = tuple(_asked(channels, each, there, name) for each in asked)
        if len(picked) != count:
            raise SceneError(f"{name}: expected {count} bands ({need}) for the bundle, --bands gives {len(picked)}")
        _check_order(picked, wanted or (), name)
        return picked
    named = [channel for channel in channels if channel.names]
    if wanted and named:
        picked_or_not = [next((one for one in named if one.is_called(each)), None) for each in wanted]
        found = tuple(one for one in picked_or_not if one is not None)
        if len(found) == count:
            return found
        raise SceneError(f"{name}: the bundle takes {need}, the scene has {there}; choose with --bands")
    if len(channels) != count:
        listed = f"{len(channels)} bands: {there}"
        raise SceneError(f"{name}: the bundle takes {need}, the scene has {listed}; choose with --bands")
    return tuple(channels)


def _asked(channels: Sequence[Channel], asked: str, there: str, name: str) -> Channel:
    if found := [channel for channel in channels if channel.is_called(asked)]:
        return found[0]
    if asked.isdecimal() and 1 <= int(asked) <= len(channels):
        return channels[int(asked) - 1]
    raise SceneError(f"{name}: has no band {asked!r}, there are {there}")


def _check_order(picked: Sequence[Channel], wanted: Sequence[str], name: str) -> None:
    """Bands that are the bundle's, in another order: blue for red is not seen in a map."""
    for place, (channel, want) in enumerate(zip(picked, wanted), 1):
        other = next((each for each in wanted if each != want and channel.is_called(each)), None)
        if other is not None and not channel.is_called(want):
            raise SceneError(f"{name}: --bands gives {other!r} at place {place}, where the bundle takes {want!r}")


def _plain(name: str) -> str:
    """ "b4", "B04" and "band 4" are one name."""
    upper = re.sub(r"[\s_-]", "", name).upper()
    numbered = _SENTINEL.match(upper)
    return f"B{numbered[1]:0>{3 if numbered[1].endswith('A') else 2}}" if numbered and not upper.isdecimal() else upper
