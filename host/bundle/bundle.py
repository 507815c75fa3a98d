"""An accelerator on disk: the folder ``name.bsw/``.

``manifest.json`` describes it and lists the digest of every other file: ``network.safetensors``,
``model.onnx`` (QONNX, optional) and what boards add below ``hw/``. A bundle is written beside its
final place and moved there whole; it is read only if every digest and every shape agrees.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.basics.files import scratch_path, sha256_of, swap_folders, sync_folder, write_atomic, write_synced
from bitswath.basics.schema import build, parse_json
from bitswath.builds.folder import FAILED, HARDWARE
from bitswath.bundle.manifest import (
    SCHEMA_VERSION,
    FileEntry,
    InputInfo,
    Layout,
    Manifest,
    ModelInput,
    NetworkInfo,
    OutputInfo,
    Provenance,
    Sensor,
    Source,
    SplitAccuracy,
)
from bitswath.bundle.zoo import located, refuse_writing
from bitswath.codecs.base import SAMPLE_TYPES, Codec
from bitswath.codecs.kinds import codec_from_dict
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BitswathError, BundleError, CodecError, NetworkError
from bitswath.network.file import load_network, network_bytes
from bitswath.network.network import ArgMax, Network

__all__ = ["SUFFIX", "Bundle", "how_pixels_enter", "load_bundle", "save_bundle", "update_accuracy"]

SUFFIX = ".bsw"
MANIFEST = "manifest.json"
NETWORK = "network.safetensors"
MODEL = "model.onnx"

_MAX_MANIFEST_BYTES = 16 << 20
_MAX_PATCH_VALUES = 1 << 28


@dataclass(frozen=True, eq=False)
class Bundle:
    """A checked bundle. `path` is its folder."""

    path: Path
    manifest: Manifest
    network: Network
    codec: Codec

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.manifest.classes

    @property
    def onnx_path(self) -> Path | None:
        """The QONNX model, if the bundle has one."""
        return self.path / MODEL if MODEL in self.manifest.files else None

    @property
    def unpacking(self) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None:
        """Compressed frames (N, W) to codes (N, H, W, C'), or None where frames are packed codes."""
        if not self.codec.compressed:
            return None
        return partial(self.codec.unpack, patch_shape=self.manifest.input.patch_shape)


def save_bundle(
    path: str | Path,
    *,
    network: Network,
    codec: Codec,
    patch_shape: Sequence[int],
    classes: Sequence[str],
    layout: Layout = "image",
    outputs: Sequence[OutputInfo] = (),
    onnx_model: bytes | str | Path | None = None,
    model_input: ModelInput | None = None,
    sensor: Sensor | None = None,
    provenance: Source | Mapping[str, Any] | None = None,
    accuracy: Mapping[str, SplitAccuracy | tuple[int, int]] | None = None,
    name: str | None = None,
) -> Bundle:
    """Write a bundle to the folder `path` and return it as loaded; a bundle there is replaced.

    `patch_shape`: (H, W, C) of the raw patches, `layout` what they are to users; `outputs`: if there are several, what
    lies one behind the other in the network's last tensor; `onnx_model`: a QONNX file or its bytes, read as
    `model_input` says; `sensor`: whose images they are, for scenes; `provenance`: what `Source` holds; `accuracy`: by
    split, (correct, patches); `name`: by default the folder's. The result is checked as by `load_bundle` before it
    takes its place, so a failure leaves what was there. Raises `BundleError`, `NetworkError`, `PackingError`,
    `CodecError`.
    """
    refuse_writing(path)
    path = Path(os.path.realpath(path))
    _check_target(path)
    contents = {NETWORK: network_bytes(network)}
    if onnx_model is not None:
        with _os_errors(path, "read"):
            contents[MODEL] = onnx_model if isinstance(onnx_model, bytes) else Path(onnx_model).read_bytes()
    code_shape = tuple(codec.code_shape(_triple(patch_shape)))
    entry = build(
        InputInfo,
        BundleError,
        patch_shape=_triple(patch_shape),
        patch_dtype=str(codec.dtype),
        layout=layout,
        codec=codec.to_dict(),
        code_shape=code_shape,
        bits=codec.bits,
        frame_bytes=codec.frame_bytes(_triple(patch_shape)),
        model=model_input or ModelInput(),
        sensor=sensor,
    )
    source = provenance if isinstance(provenance, Source) else build(Source, BundleError, **dict(provenance or {}))
    manifest = build(
        Manifest,
        BundleError,
        name=name or path.name.removesuffix(SUFFIX),
        input=entry,
        classes=tuple(map(str, classes)),
        network=NetworkInfo.of(network),
        files={file: FileEntry(sha256=_sha256(data), bytes=len(data)) for file, data in contents.items()},
        provenance=Provenance(source=source),
        accuracy={split: _measured(split, value) for split, value in (accuracy or {}).items()},
        outputs=tuple(outputs),
    )
    return _publish(path, {**contents, MANIFEST: _manifest_bytes(manifest)})


def load_bundle(path: str | Path) -> Bundle:
    """Read and check a bundle: a folder's, or ``zoo:NAME`` (see `bitswath.bundle.zoo`).

    Raises `BundleError` that names the file and what is wrong with it, or the models that the zoo has.
    """
    path = located(path)
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise BundleError(f"{path}: expected a bundle folder, found {found}; 'bitswath export' makes one")
    with _os_errors(path, "read"):
        manifest = _read_manifest(path)
        _check_files(path, manifest)
        codec = _codec(path, manifest)
        try:
            network = load_network(path / NETWORK)
        except NetworkError as error:
            raise BundleError(str(error)) from error
    _check_agreement(path, manifest, network, codec)
    return Bundle(path.absolute(), manifest, network, codec)


def update_accuracy(bundle: Bundle, split: str, correct: int, total: int) -> Bundle:
    """Store a measured accuracy in the bundle's manifest, atomically, and return the bundle with it.

    Raises `BundleError` if the bundle on disk is no longer the one in hand, or cannot be written.
    """
    with _os_errors(bundle.path, "read"):
        current = _read_manifest(bundle.path)
    if current.files != bundle.manifest.files or current.input != bundle.manifest.input:
        raise BundleError(f"{bundle.path}: was replaced since it was opened; load it again and measure again")
    accuracy = {**current.accuracy, split: _measured(split, (correct, total))}
    values = {field: getattr(current, field) for field in Manifest.model_fields}
    manifest = build(Manifest, BundleError, **{**values, "accuracy": accuracy})
    with _os_errors(bundle.path, "written"):
        write_atomic(bundle.path / MANIFEST, _manifest_bytes(manifest))
    return replace(bundle, manifest=manifest)


def how_pixels_enter(bundle: Bundle) -> str:
    """One line: what a raw pixel, or another sample, becomes, and what the model behind is fed."""
    codec, entry = bundle.codec, bundle.manifest.input
    model, pixels = entry.model, entry.layout == "image" and codec.dtype in SAMPLE_TYPES
    line = f"{codec.dtype} pixels enter as {codec.summary}" if pixels else f"{entry.described} enter as {codec.summary}"
    if model.scale is None and model.offset is None:
        return line
    scale, offset = (
        ", ".join(f"{v:.6g}" for v in values) for values in (model.scale or (1.0,), model.offset or (0.0,))
    )
    coded = isinstance(codec, UniformCodec) and codec.bits < codec.depth
    what = "code" if coded else "pixel" if pixels else "value"
    return f"{line}; the model is fed {scale} * {what} + {offset}"


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{path}: is missing, so {folder.name} is no bundle; 'bitswath export' makes one")
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise BundleError(f"{path}: expected at most {_MAX_MANIFEST_BYTES} bytes, found {path.stat().st_size}")
    content = path.read_bytes()
    try:
        version = json.loads(content).get("schema_version")
    except (ValueError, RecursionError, AttributeError) as error:
        raise BundleError(f"{path}: not a JSON object ({error})") from None
    if version != SCHEMA_VERSION or type(version) is not int:
        raise BundleError(
            f"{path}: schema version {version!r:.40} is unknown, this bitswath reads version {SCHEMA_VERSION};"
            " update bitswath or export the bundle again"
        )
    try:
        return parse_json(Manifest, content, BundleError)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None


def _check_files(folder: Path, manifest: Manifest) -> None:
    if NETWORK not in manifest.files:
        raise BundleError(f"{folder / MANIFEST}: files: {NETWORK!r} is not listed")
    root = folder.resolve()
    for relative, entry in manifest.files.items():
        path = folder / relative
        if relative == MANIFEST or not path.resolve().is_relative_to(root):
            raise BundleError(f"{path}: must not be listed, it lies outside the bundle or is the manifest itself")
        if not path.is_file():
            raise BundleError(f"{path}: is missing; restore the bundle or export it again")
        if path.stat().st_size != entry.bytes:
            raise BundleError(f"{path}: expected {entry.bytes} bytes, found {path.stat().st_size}; restore the bundle")
        if sha256_of(path) != entry.sha256:
            raise BundleError(f"{path}: its SHA-256 differs from the manifest's, the file is damaged; restore it")
    _check_unlisted(folder, manifest)


def _check_unlisted(folder: Path, manifest: Manifest) -> None:
    """Files nobody vouches for: allowed below hw/, where builds work, and hidden ones of the system."""
    for base, folders, files in os.walk(folder):
        inside = Path(base).relative_to(folder)
        folders[:] = [name for name in folders if not name.startswith(".") and (inside / name).parts != (HARDWARE,)]
        for name in files:
            relative = (inside / name).as_posix()
            if relative not in manifest.files and relative != MANIFEST and not name.startswith("."):
                raise BundleError(f"{folder / relative}: is not listed in the manifest; move it out of the bundle")


def _codec(folder: Path, manifest: Manifest) -> Codec:
    try:
        return codec_from_dict(dict(manifest.input.codec))
    except CodecError as error:
        raise BundleError(f"{folder / MANIFEST}: input.codec: {error}") from error


def _check_agreement(folder: Path, manifest: Manifest, network: Network, codec: Codec) -> None:
    """Codec, network and manifest describe one accelerator."""
    entry, path = manifest.input, folder / MANIFEST
    if math.prod(entry.patch_shape) > _MAX_PATCH_VALUES:
        raise BundleError(f"{path}: input.patch_shape: {entry.patch_shape} is more than {_MAX_PATCH_VALUES} values")
    try:
        code_shape = tuple(codec.code_shape(entry.patch_shape))
        length = codec.frame_bytes(entry.patch_shape)
    except BitswathError as error:
        raise BundleError(f"{path}: input.patch_shape: {error}") from error
    size = network.output.size
    agreed: list[tuple[str, object, str, object]] = [
        ("input.patch_dtype", entry.patch_dtype, "codec", str(codec.dtype)),
        ("input.bits", entry.bits, "codec", codec.bits),
        ("input.code_shape", entry.code_shape, "codec", code_shape),
        ("input.frame_bytes", entry.frame_bytes, "codec", length),
        ("input.code_shape", entry.code_shape, "network", _seen_as(network.input.shape, code_shape)),
        ("input.bits", f"codes 0..{2**codec.bits - 1}", "network", f"codes {network.input.lo}..{network.input.hi}"),
        ("classes", len(manifest.classes), "network", _class_count(manifest, network)),
        ("outputs", sum(math.prod(o.shape) for o in manifest.outputs) or size, "network", size),
        ("network", manifest.network, "network", NetworkInfo.of(network)),
    ]
    for what, declared, other, actual in agreed:
        if declared != actual:
            raise BundleError(f"{path}: {what}: says {declared}, the {other} says {actual}; export the bundle again")


def _seen_as(shape: tuple[int, ...], code_shape: tuple[int, ...]) -> tuple[int, ...]:
    """A flat network input as an image where its order is beyond doubt: with one band or one pixel."""
    unambiguous = code_shape[2] == 1 or code_shape[:2] == (1, 1)
    return code_shape if unambiguous and shape == (math.prod(code_shape),) else shape


def _class_count(manifest: Manifest, network: Network) -> int:
    """Classes told apart by the network's last tensor, of several outputs by the first."""
    last = network.stages[-1]
    if isinstance(last, ArgMax):
        return network.tensors[last.inputs[0]].size
    return manifest.outputs[0].shape[-1] if manifest.outputs else network.output.shape[-1]


def _check_target(path: Path) -> None:
    if not path.parent.is_dir():
        raise BundleError(f"{path}: cannot be written, the folder {path.parent} does not exist; create it first")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    try:
        _check_unlisted(path, _read_manifest(path))
    except BundleError as error:
        raise BundleError(f"{path}: exists and is no bundle, it is not overwritten ({error})") from error
    if any(not build.name.endswith(FAILED) for build in (path / HARDWARE).glob("*")):
        raise BundleError(f"{path}: holds builds below {HARDWARE}/, it is not overwritten; move or delete it first")


def _publish(path: Path, contents: Mapping[str, bytes]) -> Bundle:
    """Write a folder beside `path`, check it, and put it in place."""
    scratch = scratch_path(path)
    try:
        with _os_errors(path, "written"):
            scratch.mkdir()
            for name, data in contents.items():
                write_synced(scratch / name, data)
            sync_folder(scratch)
            bundle = load_bundle(scratch)
            swap_folders(scratch, path)
    except BundleError as error:
        raise BundleError(str(error).replace(str(scratch), str(path))) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sync_folder(path.parent)
    return replace(bundle, path=path)


def _manifest_bytes(manifest: Manifest) -> bytes:
    return (manifest.model_dump_json(indent=2) + "\n").encode()


def _measured(split: str, value: SplitAccuracy | tuple[int, int]) -> SplitAccuracy:
    if isinstance(value, SplitAccuracy):
        return value
    try:
        return SplitAccuracy.of(*map(int, value))
    except (TypeError, ValueError) as error:
        raise BundleError(f"accuracy of {split!r}: {error}") from error


@contextlib.contextmanager
def _os_errors(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleError(f"{error.filename or path}: cannot be {done} ({error.strerror})") from error


def _triple(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise BundleError(f"expected a patch shape (height, width, bands), got {tuple(shape)}")
    height, width, bands = map(int, shape)
    return height, width, bands


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
