"""The object users hold: patches in, classes out, on whatever backend runs the bundle."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bitswath.backends.base import Backend, OnDevice, Shaped
from bitswath.backends.kinds import BACKENDS, best
from bitswath.bundle.answers import DenseResult, Result, answer
from bitswath.bundle.bundle import NETWORK, Bundle, load_bundle
from bitswath.bundle.patches import as_patches, batched, one_array
from bitswath.codecs.packing import pack, pack_folded
from bitswath.errors import BackendError, InputError
from bitswath.network.network import labelled
from bitswath.streaming.counters import Counters, Tally
from bitswath.streaming.lane import Lane, Prepare, Values, run
from bitswath.streaming.stream import Source, Stream

if TYPE_CHECKING:
    from bitswath.scenes.products.made import Map

__all__ = ["Accelerator", "DenseResult", "Result", "open"]

_CHUNK_BYTES = 32 << 20
_MAX_CHUNK = 256
_CHUNK_MACS = 1 << 36
_VALUE_BYTES = 4
_DEFAULT_TIMEOUT_S = 120.0
_Self = TypeVar("_Self", bound="Accelerator")
_Answer = TypeVar("_Answer")
_Array = NDArray[Any]


class Accelerator:
    """A bundle on a backend; made by `open`, to be closed, best by ``with``.

    Large inputs are cut into chunks of `chunk` patches, so that memory stays bounded, and chunks
    overlap: the host encodes and packs one while the device works on another.
    """

    def __init__(self, bundle: Bundle, backend: Backend, *, chunk: int | None = None, timeout_s: float | None) -> None:
        entry = bundle.manifest.input
        patch_bytes = int(np.prod(entry.patch_shape)) * np.dtype(entry.patch_dtype).itemsize
        self.bundle = bundle
        macs = max(bundle.manifest.network.macs, 1)
        held = max(1, backend.frames_in_flight // 2)
        room = _CHUNK_BYTES // max(patch_bytes, _VALUE_BYTES * bundle.network.output.size)
        self.chunk = max(1, min(chunk or min(_MAX_CHUNK, room, _CHUNK_MACS // macs), held))
        self.timeout_s = timeout_s
        self._backend: Backend | None = backend
        self._streams: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.bundle.classes

    @property
    def backend(self) -> Backend:
        """What runs the frames, for use without encoding, order and retry. Raises `BackendError` once closed."""
        if self._backend is None:
            raise self._closed_error()
        return self._backend

    def classify(self, patches: ArrayLike) -> Result:
        """Classes of raw patches (N, H, W, C) of the bundle's dtype, or of one patch (H, W, C).

        A bundle of signals takes (N, L, C) or (L, C) too, one of vectors (N, F) or (F,). Raises `InputError` if they do
        not fit the bundle's input, `CodecError`, `BackendError`.
        """
        return self._result(self._run(self._patches(patches), self.encode))

    def stream(
        self,
        batches: Source,
        *,
        also: Sequence[Accelerator] = (),
        total: int | None = None,
        progress: Callable[[Counters], None] | None = None,
    ) -> Stream[Result]:
        """A `Result` for each batch of patches, in order; batches may have any size and come from any iterable,
        for ``async for`` from an asynchronous one too.

        Batches are drawn, encoded and packed in threads while the device works on the ones before. `also`: further
        accelerators of the same network that share the work. `total`: patches in all, for the time left that
        `progress(counters)` may show after each batch. Closing the stream, or an error in it, leaves the
        accelerators ready for the next call. Raises `InputError` if `also` are of another bundle's network, or two
        of one device.
        """
        return self._streamed(batches, self._patches, Accelerator.encode, self._result, also, total, progress)

    def stream_integers(
        self,
        batches: Source,
        *,
        also: Sequence[Accelerator] = (),
        total: int | None = None,
        progress: Callable[[Counters], None] | None = None,
        copy: bool = True,
        frames: bool = False,
    ) -> Stream[Values]:
        """The same with the network's last integers (n, *output shape) for each batch, before its head; without `copy`
        what a generator gives is not copied, so that it may not fill the same array again. `frames`: batches are
        the codec's, as for `stream_frames`."""
        check, prepare = (self._frames, Accelerator._repack) if frames else (self._patches, Accelerator.encode)
        return self._streamed(batches, check, prepare, _as_it_is, also, total, progress, copy)

    def map(self, scene: str | Path, output: str | Path, **chosen: Any) -> Map:
        """Classify a whole scene, a GeoTIFF or what else GDAL reads, and write its map as a GeoTIFF.

        `chosen`: what `bitswath.scenes.mapping.map_scene` takes. Raises `SceneError`, `InputError`, `BackendError`, and
        `DependencyError` without the extra ``scene``.
        """
        from bitswath.scenes.mapping import map_scene

        return map_scene(self, scene, output, **chosen)

    def stream_frames(
        self,
        batches: Source,
        *,
        also: Sequence[Accelerator] = (),
        total: int | None = None,
        progress: Callable[[Counters], None] | None = None,
    ) -> Stream[Result]:
        """The same for batches of the codec's frames, uint8 (N, frame_bytes), such as an archive holds; compressed ones
        as rows filled up to the longest."""
        return self._streamed(batches, self._frames, Accelerator._repack, self._result, also, total, progress)

    def classify_frames(self, frames: ArrayLike) -> Result:
        """Classes of the codec's frames, uint8 (N, frame_bytes), such as an archive holds; see `stream_frames`."""
        return self._result(self._run(self._frames(frames), self._repack))

    def frames_lane(self, tally: Tally) -> Lane:
        """A lane that takes the codec's frames, as `stream_frames` does, for who joins and splits batches itself and
        checks them; chunks are to have at most `chunk` frames. Raises `BackendError` once closed."""
        return self._lane(self._repack, tally)

    def infer(self, codes: ArrayLike) -> NDArray[np.float32]:
        """The network's dequantized output, float32 (N, ...), for codes, uint8 (N, H, W, C'), of vectors (N, F) too.

        Equal to what the bundle's QONNX model gives for the same codes. Raises `InputError` for
        another shape or dtype, `PackingError` for codes wider than the input.
        """
        values = self._run(self._codes(codes), self.pack)
        return self.bundle.network.head.dequantize(values)

    def encode(self, patches: _Array) -> NDArray[np.uint8]:
        """Raw patches (N, H, W, C) to frames uint8 (N, ...) as the backend takes them. Raises `CodecError`."""
        codec, packing = self.bundle.codec, self.backend.packing
        dense = packing.group is None and packing.bits == codec.bits
        if packing.compressed if codec.compressed else dense:
            return codec.encode_packed(patches)
        return self.pack(codec.encode(patches))

    def pack(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Codes uint8 (N, H, W, C') to frames as the backend takes them: dense or folded. Raises `PackingError`, and
        `InputError` where it takes compressed ones, which are made of patches."""
        packing = self.backend.packing
        if packing.compressed:
            raise InputError(f"expected patches or compressed frames for {self.bundle.name}, got codes; encode patches")
        if packing.group is None:
            return pack(codes, packing.bits)
        rows = codes.reshape(len(codes), math.prod(codes.shape[1:]))  # in front of a dense layer groups span pixels
        return pack_folded(rows, packing.bits, packing.signed, packing.group)

    def close(self) -> None:
        """End its streams and release the backend; the accelerator cannot be used afterwards."""
        backend, self._backend = self._backend, None
        for stream in tuple(self._streams):
            stream.cancel(self._closed_error())
        if backend is not None:
            backend.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = type(self._backend).__name__ if self._backend else "closed"
        return f"<Accelerator {self.bundle.name!r} on {state}>"

    def _run(self, batch: _Array, prepare: Prepare) -> Values:
        return run(self._lane(prepare), batch, self.chunk)

    def _streamed(
        self,
        batches: Source,
        check: Callable[[ArrayLike], _Array],
        prepare: Callable[[Accelerator, _Array], NDArray[np.uint8]],
        finish: Callable[[Values], _Answer],
        also: Sequence[Accelerator],
        total: int | None,
        progress: Callable[[Counters], None] | None,
        copy: bool = True,
    ) -> Stream[_Answer]:
        tally, everyone = Tally(total), (self, *also)
        chunk = min(each.chunk for each in everyone)
        for other in also:
            self._check_equal(other)
        _check_devices(everyone)
        stream = Stream(
            [each._lane(partial(prepare, each), tally) for each in everyone],
            batches,
            chunk=chunk,
            joined=chunk,
            check=check,
            finish=finish,
            tally=tally,
            observe=progress,
            copy=copy,
        )
        for each in everyone:
            each._streams.add(stream)
        return stream

    def _lane(self, prepare: Prepare, tally: Tally | None = None) -> Lane:
        shape = self.bundle.network.output.shape
        return Lane(self.backend, prepare, output_shape=shape, timeout_s=self.timeout_s, tally=tally)

    def _check_equal(self, other: Accelerator) -> None:
        ours, theirs = self.bundle.manifest, other.bundle.manifest
        if ours.files[NETWORK] != theirs.files[NETWORK] or ours.input != theirs.input:
            raise InputError(f"expected accelerators of the network of {self.bundle.path}, got {other.bundle.path}")
        shapes = [one.bundle.network.output.shape for one in (self, other)]
        if shapes[0] != shapes[1]:
            raise InputError(f"expected accelerators that answer alike, got {shapes[0]} and {shapes[1]} a patch")

    @property
    def _device(self) -> Hashable:
        """Equal for two that cannot work at once."""
        return self.backend.device if isinstance(self.backend, OnDevice) else id(self.backend)

    def _closed_error(self) -> BackendError:
        return BackendError(f"accelerator {self.bundle.name!r} is closed; open the bundle again")

    def _repack(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The codec's frames as the backend takes them."""
        codec, packing = self.bundle.codec, self.backend.packing
        if packing.compressed if codec.compressed else packing.group is None:
            return frames
        return self.pack(codec.unpack(frames, self.bundle.manifest.input.patch_shape))

    def _patches(self, patches: ArrayLike) -> _Array:
        return as_patches(self.bundle.manifest.input, patches)

    def _codes(self, codes: ArrayLike) -> _Array:
        entry = self.bundle.manifest.input
        array = one_array(codes, "codes")
        flat = entry.layout == "flat" and array.ndim == 2
        shape = entry.code_shape[-1:] if flat else entry.code_shape
        if array.dtype != np.uint8 or array.shape[1:] != shape:
            raise InputError(
                f"expected uint8 codes {batched(entry.code_shape)}, got {array.dtype} {array.shape};"
                " encode patches with the bundle's codec"
            )
        return array.reshape(-1, *entry.code_shape)

    def _frames(self, frames: ArrayLike) -> _Array:
        entry = self.bundle.manifest.input
        array = one_array(frames, "frames")
        compressed = self.bundle.codec.compressed
        fits = array.ndim == 2 and (compressed or array.shape[1] == entry.frame_bytes)
        if array.dtype != np.uint8 or not fits:
            wanted = f"uint8 frames (N, {'bytes of the longest' if compressed else entry.frame_bytes})"
            raise InputError(
                f"expected {wanted}, got {array.dtype} {array.shape}; pack with the bundle's codec and bits"
            )
        return array

    def _result(self, values: _Array) -> Result:
        return answer(self.bundle, values)


def open(  # the name under which users find it: bs.open
    path: str | Path | Bundle,
    backend: str = "auto",
    *,
    chunk: int | None = None,
    timeout_s: float | None = _DEFAULT_TIMEOUT_S,
    **options: Any,
) -> Accelerator:
    """A bundle, or the folder of one, on a backend: "emulator", "rtl", "pynq" for a board or card, or "auto": a
    board's where this is one and the bundle has its bitstream, else the emulator.

    `chunk`: most patches at the device in one piece; `timeout_s`: after so long it counts as hung, from when it got a
    piece, or with the emulator and RTL, which show that they get on, from when they last did; None for never;
    `options`: the backend's own. Emulator: `threads`. RTL: `board`, whose build is simulated (needless
    if there is one build), `stall`, `seed`, `exact`, `threads`, `trace`, as `RtlBackend` takes them. Pynq: `board`,
    or `bitstream`, the folder or archive of one; `device`, `download`, `clock_hz`, `wait`, `frames_per_transfer`,
    `transfer_timeout_s`, as `PynqBackend` takes them.
    Raises `BundleError`, `BackendError`.
    """
    if chunk is not None and chunk < 1:
        raise InputError(f"expected a chunk of at least 1 patch, got {chunk}")
    if timeout_s is not None and not timeout_s > 0:
        raise InputError(f"expected timeout_s above 0 or None, got {timeout_s}")
    if backend not in ("auto", *BACKENDS):
        raise BackendError(f"expected a backend of auto, {', '.join(BACKENDS)}, got {backend!r}")
    bundle = path if isinstance(path, Bundle) else load_bundle(path)
    make = BACKENDS[best(bundle, options) if backend == "auto" else backend]
    made = make(bundle, dict(options))
    if isinstance(made, Shaped) and math.prod(made.output_shape) < bundle.network.output.size:
        bundle = replace(bundle, network=labelled(bundle.network))
    return Accelerator(bundle, made, chunk=chunk, timeout_s=timeout_s)


def _as_it_is(values: Values) -> Values:
    return values


def _check_devices(accelerators: Sequence[Accelerator]) -> None:
    seen: set[Hashable] = set()
    for each in accelerators:
        if each._device in seen:
            raise InputError(
                f"expected a device of its own for each accelerator, got {each!r} on one that the stream has already; "
                "leave it out, or open another device"
            )
        seen.add(each._device)
