"""Every kind of backend: by name, how one is made for a bundle. A new kind is added to `BACKENDS`."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable
from typing import Any

from bitswath.backends.base import Backend, check_decoder
from bitswath.builds.folder import HARDWARE
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.errors import BackendError

__all__ = ["BACKENDS", "best"]

_PYNQ_OPTIONS = (
    *("board", "bitstream", "device", "download", "clock_hz", "wait"),
    *("frames_per_transfer", "transfer_timeout_s"),
)
_DRIVERS = {".bit": ("pynq", ("armv7l", "aarch64")), ".xclbin": ("pyxrt", ("x86_64", "ppc64le", "aarch64"))}
"""By the bit file's ending, the module that drives it, and on which machines."""


def _emulator(bundle: Bundle, options: dict[str, Any]) -> Backend:
    _check_options("emulator", options, ("threads",))
    from bitswath.backends.emulator import EmulatorBackend

    return EmulatorBackend(bundle.network, bundle.codec.bits, unpack=bundle.unpacking, **options)


def _rtl(bundle: Bundle, options: dict[str, Any]) -> Backend:
    known = ("board", "stall", "seed", "exact", "threads", "trace", "frames_in_flight", "build_timeout_s")
    _check_options("rtl", options, known)
    from bitswath.backends.rtl.backend import RtlBackend
    from bitswath.builds.folder import build_folder, read_design

    folder = build_folder(bundle.path, options.pop("board", None))
    digest = bundle.manifest.files[NETWORK].sha256
    link = read_design(folder).input
    check_decoder(folder, link.compressed, link.codec, bundle.codec)
    return RtlBackend(folder, output_shape=bundle.network.output.shape, network=digest, **options)


def _pynq(bundle: Bundle, options: dict[str, Any]) -> Backend:
    known = ("board", "bitstream", "device", "download", "clock_hz", "wait")
    _check_options("pynq", options, (*known, "frames_per_transfer", "transfer_timeout_s"))
    from bitswath.backends.board.opening import open_board

    return open_board(bundle, **options)


BACKENDS: dict[str, Callable[[Bundle, dict[str, Any]], Backend]] = {
    "emulator": _emulator,
    "rtl": _rtl,
    "pynq": _pynq,
}
"""What `open` takes by name: each makes a backend for a bundle from the options left over."""


def best(bundle: Bundle, options: dict[str, Any]) -> str:
    """The board's backend for a bitstream that is given, and on a board (with pynq) or beside a card (with pyxrt) that
    the bundle has one for."""
    if options.get("bitstream") is not None:
        return "pynq"
    if not set(options) <= set(_PYNQ_OPTIONS):
        return "emulator"
    bits = {path.suffix for path in (bundle.path / HARDWARE).glob("*/bitstream/*") if path.suffix in _DRIVERS}
    for suffix in bits:
        module, machines = _DRIVERS[suffix]
        if platform.machine() in machines and importlib.util.find_spec(module) is not None:
            return "pynq"
    return "emulator"


def _check_options(backend: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in options:
        if name not in known:
            raise BackendError(f"backend {backend!r} has no option {name!r}; it takes {', '.join(known)}")
