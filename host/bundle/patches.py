"""What users hand over, as the patches (N, H, W, C) of a bundle's input."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitswath.bundle.manifest import InputInfo
from bitswath.errors import InputError

__all__ = ["as_patches", "batched", "one_array"]

Array = NDArray[Any]


def as_patches(entry: InputInfo, patches: ArrayLike) -> Array:
    """Patches (N, H, W, C) of the input's dtype, from those or one of them, vectors (N, F) or (F,), signals (N, L, C)
    or (L, C).

    Reals of another width become float32, as the model takes them. Raises `InputError` for others, with what to do.
    """
    array = one_array(patches, "patches")
    if array.dtype == bool and entry.patch_dtype == "uint8" and entry.codec.get("kind") == "integer":
        array = array.view(np.uint8)
    if entry.patch_dtype == "float32" and np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32, copy=False)
    if array.dtype.newbyteorder("=") != np.dtype(entry.patch_dtype):
        convert = "give them as float32" if entry.patch_dtype == "float32" else "pass the sensor's values unscaled"
        raise InputError(f"expected {_wanted(entry)}, got {array.dtype} {array.shape}; {convert}")
    array = array.astype(entry.patch_dtype, copy=False)
    for shape in (entry.patch_shape, entry.sample_shape):
        if array.shape == shape or (array.ndim == len(shape) + 1 and array.shape[1:] == shape):
            return array.reshape(-1, *entry.patch_shape)
    raise InputError(f"expected {_wanted(entry)}, got {_misfit(array.shape, entry.sample_shape)}")


def one_array(values: ArrayLike, what: str) -> Array:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(f"expected {what} of one shape in one array, got {type(values).__name__} ({error})") from error


def batched(shape: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, shape))})"


def _wanted(entry: InputInfo) -> str:
    return f"{entry.patch_dtype} patches {batched(entry.sample_shape)} or one of {entry.sample_shape}"


def _misfit(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What came, and what to do about it."""
    if len(wanted) == 1:
        return f"shape {shape}; give {wanted[0]} features a vector, in the order of the model's input"
    if len(wanted) == 2:
        turned = shape[-2:] == wanted[::-1]
        return f"shape {shape}; {'swap the last two axes: ' * turned}time comes first, channels last"
    if len(shape) == 4 and shape[1:3] == wanted[:2]:
        return f"{shape[3]} bands; select the bands this bundle was made for"
    return f"shape {shape}; crop or resample the patches to fit"
