"""What a model takes, and how it becomes frames: patches, codes, frames as they are, or image files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle
from bitswath.bundle.patches import as_patches
from bitswath.codecs.packing import pack, stated_lengths
from bitswath.errors import ImageError, InputError
from bitswath.imagery.decode import decode_image
from bitswath.imagery.fit import AS_THEY_ARE, Fit
from bitswath.imagery.samples import no_larger
from bitswath.serving.protocol.tensors import BYTES, Tensor, datatype_of

__all__ = ["Input", "as_frames", "inputs_of"]

Frames = NDArray[np.uint8]
_USUAL_BANDS = 4


@dataclass(frozen=True)
class Input:
    """A tensor that a model takes. `shape`: -1 stands for how many."""

    name: str
    datatype: str
    shape: tuple[int, ...]


def inputs_of(bundle: Bundle) -> tuple[Input, ...]:
    """All of which a request gives one."""
    entry, compressed = bundle.manifest.input, bundle.codec.compressed
    patches = Input("patches", datatype_of(np.dtype(entry.patch_dtype)), (-1, *entry.sample_shape))
    codes = Input("codes", "UINT8", (-1, *entry.code_shape))
    frames = Input("frames", BYTES, (-1,)) if compressed else Input("frames", "UINT8", (-1, entry.frame_bytes))
    image = Input("image", BYTES, (-1,))
    is_image = entry.layout == "image"
    return (patches, *(() if compressed else (codes,)), frames, *((image,) if is_image else ()))


def as_frames(
    bundle: Bundle, inputs: tuple[Tensor, ...], known: tuple[Input, ...], *, fit: Fit, max_pixels: int
) -> Frames:
    """The codec's frames (n, W) of a request's one input, which is of those `known` (`inputs_of`).

    Raises `InputError`, `CodecError`, `PackingError`, `ImageError`.
    """
    names = [entry.name for entry in known]
    if len(inputs) != 1 or inputs[0].name not in names:
        given = ", ".join(tensor.name[:40] for tensor in inputs) or "none"
        raise InputError(f"expected one input of {', '.join(names)}, got {given}")
    (tensor,) = inputs
    _check(known[names.index(tensor.name)], tensor)
    if tensor.name == "image":
        return _images(bundle, tensor, fit, max_pixels)
    make: Callable[[Bundle, Tensor], Frames] = {"patches": _patches, "codes": _codes, "frames": _frames}[tensor.name]
    return make(bundle, tensor)


def _check(known: Input, tensor: Tensor) -> None:
    if tensor.datatype != known.datatype:
        raise InputError(f"{known.name}: expected {known.datatype}, got {tensor.datatype}")
    fits = len(tensor.shape) == len(known.shape) and tensor.shape[1:] == known.shape[1:]
    if not fits or tensor.shape[0] < 1:
        raise InputError(f"{known.name}: expected shape {list(known.shape)}, one or more, got {list(tensor.shape)}")


def _patches(bundle: Bundle, tensor: Tensor) -> Frames:
    array = tensor.array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError("patches: expected finite numbers, got NaN or infinity")
    return bundle.codec.encode_packed(as_patches(bundle.manifest.input, array))


def _codes(bundle: Bundle, tensor: Tensor) -> Frames:
    return pack(np.ascontiguousarray(tensor.array), bundle.codec.bits)


def _frames(bundle: Bundle, tensor: Tensor) -> Frames:
    if not bundle.codec.compressed:
        return np.asarray(tensor.array, np.uint8)
    lengths = [len(item) for item in tensor.data]
    longest = bundle.manifest.input.frame_bytes
    if min(lengths) < 2 or max(lengths) > longest:
        raise InputError(f"frames: expected 2 to {longest} bytes each, got {min(lengths)} to {max(lengths)}")
    rows = np.zeros((len(lengths), max(lengths)), np.uint8)
    for row, item in zip(rows, tensor.data):
        row[: len(item)] = np.frombuffer(item, np.uint8)
    wrong = np.flatnonzero(stated_lengths(rows) != lengths)
    if wrong.size:
        index = int(wrong[0])
        raise InputError(f"frames: frame {index} has {lengths[index]} bytes and begins with another length")
    return rows


def _images(bundle: Bundle, tensor: Tensor, fit: Fit, max_pixels: int) -> Frames:
    entry = bundle.manifest.input
    if tensor.parameters.get("resize") is True and fit == AS_THEY_ARE:
        fit = Fit(resize=entry.patch_shape[:2])
    patches, bands = [], entry.patch_shape[2]
    for index, item in enumerate(tensor.data):
        try:
            with no_larger(max_pixels * max(bands, _USUAL_BANDS)):
                patch = fit(decode_image(bytes(item), bands, entry.patch_dtype))
            if patch.shape != entry.patch_shape:
                size = " x ".join(map(str, patch.shape))
                raise ImageError(f"is {size}; expected {' x '.join(map(str, entry.patch_shape))}, or give resize")
        except ImageError as error:
            raise ImageError(f"image {index}: {error}") from error
        patches.append(patch)
    return bundle.codec.encode_packed(np.stack(patches))
