"""Which driver a bundle's bitstream takes: pynq for boards, and cards that pynq 3.0 drives; XRT for other cards."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from pathlib import Path
from typing import Any, Literal

from bitswath.backends.base import check_decoder
from bitswath.backends.board.engines.dma import DmaBackend
from bitswath.backends.board.overlay import Overlay
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.builds.folder import build_folder
from bitswath.bundle.bundle import NETWORK, Bundle
from bitswath.errors import BackendError, BundleError, InputError, NetworkError
from bitswath.network.network import Network, labelled

__all__ = ["BITSTREAM", "open_board"]

BITSTREAM = "bitstream"
"""The folder of a build in which its bitstream lies."""

_PYNQ_ONLY = ("download", "clock_hz", "wait")


def open_board(
    bundle: Bundle, *, board: str | None = None, bitstream: str | Path | None = None, device: Any = None, **options: Any
) -> DmaBackend:
    """A bundle's network on a board or card.

    `bitstream`: what `load_overlay` takes, by default the folder of the bundle's build for `board`; `device`: a pynq
    Device, or a card's number or PCIe address; `options`: as `PynqBackend` and `XrtBackend` take them. Warns of what
    may make results wrong. Raises `BundleError`, `BackendError`, `DependencyError`, `InputError`.
    """
    overlay = _overlay(bundle, board, bitstream, device)
    network = _given_by(overlay, bundle.network)
    check_decoder(overlay.bitfile, overlay.input.compressed, overlay.input.codec, bundle.codec)
    overlay.check_fits(bundle.manifest.files[NETWORK].sha256, network, bundle.codec.bits)
    for doubt in (*overlay.doubts, _late(overlay, options.get("clock_hz")), *overlay.input_doubts(network)):
        if doubt:
            warnings.warn(f"{overlay.bitfile}: {doubt}", stacklevel=3)
    shape = network.output.shape
    if not overlay.is_alveo or _pynq_drives(device):
        from bitswath.backends.board.pynq import PynqBackend

        return PynqBackend(overlay, device=device, output_shape=shape, **options)
    from bitswath.backends.board.xrt import XrtBackend

    for name in _PYNQ_ONLY:
        if name in options:
            raise InputError(f"{name} is for boards; XRT drives {overlay.bitfile.name} on a card")
    return XrtBackend(overlay, device=0 if device is None else device, output_shape=shape, **options)


def _overlay(bundle: Bundle, board: str | None, bitstream: str | Path | None, device: Any) -> Overlay:
    if bitstream is not None:
        build = build_folder(bundle.path, board) if board is not None else None
        return load_overlay(bitstream, build, suffix=_suffix(device))
    build = build_folder(bundle.path, board)
    if not (build / BITSTREAM).is_dir():
        raise BackendError(
            f"{build}: has no bitstream; build with Vivado or Vitis on the path, or give one's folder with bitstream="
        )
    return load_overlay(build / BITSTREAM, build)


def _given_by(overlay: Overlay, network: Network) -> Network:
    """The network as far as the bitstream computes it: FINN puts a LabelSelect behind what ends in scores."""
    if overlay.network is not None or overlay.output.values != 1 or network.output.size == 1:
        return network
    try:
        return labelled(network)
    except NetworkError as error:
        raise BundleError(f"{overlay.bitfile}: gives a label, the bundle's network scores: {error}") from None


def _late(overlay: Overlay, clock_hz: float | None) -> str:
    """What may be wrong at the clock that is asked for, by default the overlay's; "" for nothing."""
    wanted_hz = overlay.clock_hz if clock_hz is None else clock_hz
    if overlay.timely_hz is None or wanted_hz is None or wanted_hz <= overlay.timely_hz:
        return ""
    return (
        f"timing was not met in its build, results may be wrong at {wanted_hz / 1e6:g} MHz; "
        f"open it with clock_hz={overlay.timely_hz / 1e6:g}e6 or less"
    )


def _suffix(device: Any) -> Literal["", ".bit", ".xclbin"]:
    """Of the bit file that the device takes, pynq's active one by default; "" if that is not known."""
    if isinstance(device, (int, str)):
        return ".xclbin"
    with contextlib.suppress(ImportError, RuntimeError, OSError):
        from pynq.pl_server.device import Device
        from pynq.pl_server.xrt_device import XrtDevice

        found = Device.active_device if device is None else device
        return ".xclbin" if type(found) is XrtDevice else ".bit"  # pynq's devices of boards inherit from it
    return ".xclbin" if importlib.util.find_spec("pyxrt") is not None else ""


def _pynq_drives(device: Any) -> bool:
    """Whether pynq itself drives cards here, as pynq 3.0 does; a card's number or address is XRT's."""
    if isinstance(device, (int, str)):
        return False
    try:
        from pynq.pl_server.device import Device
        from pynq.pl_server.xrt_device import XrtDevice
    except ImportError:
        return False
    return isinstance(device, Device) if device is not None else any(type(one) is XrtDevice for one in Device.devices)
