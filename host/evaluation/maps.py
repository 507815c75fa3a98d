"""Label maps as pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from bitswath.accelerator import DenseResult, Result
from bitswath.basics.files import write_atomic
from bitswath.errors import InputError

__all__ = ["save_maps"]


def save_maps(folder: Path, names: Sequence[str], result: Result) -> None:
    """Write the labels of each patch as a PNG of its name below `folder`: a pixel is the number of its class, of
    8 bits, or of 16 for more than 256 classes.

    Raises `InputError` if the result has no class for each pixel, or a name leads out of the folder.
    """
    if not isinstance(result, DenseResult):
        raise InputError("expected a class for each pixel, got one for each patch")
    for name, labels in zip(names, result.labels):
        inside = PurePosixPath(name.replace("\\", "/").lstrip("/"))
        if ".." in inside.parts:
            raise InputError(f"{name}: leads out of the folder of the maps")
        path = folder / inside.with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = io.BytesIO()
        Image.fromarray(labels).save(picture, "PNG")
        write_atomic(path, picture.getvalue())
