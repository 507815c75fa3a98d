"""The zoo: trained bundles that come with bitswath, each with its configuration, training log and card.

``zoo:NAME`` names one wherever a bundle's path is taken. They are in ``models/zoo`` of the source tree, and in the
installed package.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from bitswath.errors import BundleError

__all__ = ["PREFIX", "located", "refuse_writing", "zoo_folder", "zoo_names", "zoo_path"]

PREFIX = "zoo:"

_BUNDLES = "*.bsw"


def zoo_folder() -> Path:
    """Where the zoo is. Raises `BundleError` if this installation has none."""
    found = importlib.util.find_spec("bitswath.models")  # finds the folder, imports nothing of it
    for place in (found and found.submodule_search_locations) or ():
        folder = Path(place) / "zoo"
        if folder.is_dir():
            return folder
    raise BundleError("this installation has no zoo: bitswath/models/zoo is missing; install bitswath again")


def zoo_names(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the bundles in the zoo, or in another folder like it."""
    return tuple(sorted(path.stem for path in (folder or zoo_folder()).glob(_BUNDLES)))


def zoo_path(name: str) -> Path:
    """The folder of the bundle of this name. Raises `BundleError` that names those there are."""
    names = zoo_names()
    if name not in names:
        raise BundleError(f"{name!r}: no such model in the zoo; there are {', '.join(names) or 'none'}")
    return zoo_folder() / _BUNDLES.replace("*", name)


def located(path: str | Path) -> Path:
    """A path as it is, ``zoo:NAME`` as the path of that bundle. Raises `BundleError` for an unknown name."""
    text = str(path)
    return zoo_path(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else Path(path)


def refuse_writing(path: str | Path) -> None:
    """Raises `BundleError` for ``zoo:NAME``, whose bundle stays as it came."""
    text = str(path)
    if text.startswith(PREFIX):
        name = text.removeprefix(PREFIX)
        raise BundleError(f"{text}: is not written to; copy it first, 'bitswath zoo {name} -o {name}.bsw'")
