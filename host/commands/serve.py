"""``bitswath serve``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import click

from bitswath.accelerator import Accelerator
from bitswath.accelerator import open as open_accelerator
from bitswath.backends.kinds import best
from bitswath.basics.console import say
from bitswath.bundle.bundle import Bundle
from bitswath.commands.sizes import crop_option, resize_option
from bitswath.errors import InputError
from bitswath.imagery.fit import Fit, Size
from bitswath.serving.settings import Settings

__all__ = ["command"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_DEFAULTS = Settings()


def _option(name: str, help_: str, kind: Any = None) -> Callable[[Any], Any]:
    """An option of `Settings`' field of that name, with its default."""
    default = getattr(_DEFAULTS, name)
    return click.option(
        f"--{name.replace('_', '-')}", default=default, show_default=default is not None, type=kind, help=help_
    )


@click.command("serve")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True)
@click.option("--backend", default="auto", show_default=True, help="emulator, rtl, pynq or auto.")
@click.option("--board", help="Which board's build, for a backend of hardware; needless if there is one.")
@click.option("--bitstream", type=click.Path(path_type=Path), help="A bitstream's folder or archive, such as FINN's.")
@click.option("--device", "devices", multiple=True, help="Card by number or PCIe address; may be repeated.")
@click.option("--copies", default=1, show_default=True, type=click.IntRange(1, 64), help="Emulators or simulators.")
@click.option("--threads", type=click.IntRange(1), help="Of each emulator or simulator.")
@_option("host", "Address to listen at; the default is for this machine alone.")
@_option("port", "For HTTP; 0 for one that is free.", click.IntRange(0, 65535))
@_option("grpc_port", "For gRPC, too; 0 for one that is free.", click.IntRange(0, 65535))
@_option("token_file", "Only who sends a token of this file is answered; read again when it changes.", _FILE)
@_option("tls_cert", "Certificate chain, PEM.", _FILE)
@_option("tls_key", "Its key, PEM.", _FILE)
@_option("max_batch", "Frames that go to a device in one piece, at most.", click.IntRange(1))
@_option("max_delay_us", "How long a device that is free waits for more.", click.IntRange(0, 1_000_000))
@_option("max_queue", "Frames that wait for a model, at most; half of them of one client.", click.IntRange(1))
@_option("max_request_bytes", "Of a request's body, at most.", click.IntRange(1))
@_option("max_json_bytes", "Of JSON in it, at most.", click.IntRange(1))
@_option("max_memory_bytes", "Of all bodies at hand, at most.", click.IntRange(1))
@_option("max_pixels", "Of an image, at most.", click.IntRange(1))
@_option("max_connections", "At once, at most.", click.IntRange(1))
@_option("header_timeout_s", "Until a request's head is there.", click.FloatRange(0.1))
@_option("body_timeout_s", "Until its body is.", click.FloatRange(0.1))
@_option("request_timeout_s", "Until it is answered, unless it says less.", click.FloatRange(0.001))
@_option("drain_timeout_s", "For what is under way at the end.", click.FloatRange(0))
@_option("watch_s", "Between looks at the bundles' folders; 0 for none.", click.FloatRange(0))
@resize_option
@crop_option
@click.option("--thumbnails/--no-thumbnails", default=True, show_default=True, help="Whether the page shows patches.")
@_option("meter", "Power meter by name or kind: hwmon, pynq, xrt, rapl. Else the best there is.")
@click.option("--rail", "rails", multiple=True, help="Rail of the meter to add up; may be repeated.")
@click.option("--log", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"]))
def command(
    bundles: tuple[str, ...],
    backend: str,
    board: str | None,
    bitstream: Path | None,
    devices: tuple[str, ...],
    copies: int,
    threads: int | None,
    resize: Size | None,
    crop: Size | None,
    log: str,
    **given: Any,
) -> None:
    """Answer Open Inference Protocol requests with BUNDLES: bundles, zoo:NAMEs, or folders of versions 1, 2, ..."""
    if (given["tls_cert"] is None) != (given["tls_key"] is None):
        raise InputError("expected --tls-cert and --tls-key together")
    from bitswath.serving.logs import log_as_json
    from bitswath.serving.run import serve

    log_as_json(log)
    known = {field.name for field in fields(Settings)}
    settings = Settings(**{name: value for name, value in given.items() if name in known}, fit=Fit(resize, crop))
    options = {"board": board, "bitstream": bitstream, "threads": threads}
    chosen = {name: value for name, value in options.items() if value is not None}
    devices_of = partial(_devices_of, backend=backend, devices=devices, copies=copies, options=chosen)
    asyncio.run(serve(bundles, devices_of, settings, started=_say_where))


def _devices_of(
    bundle: Bundle, *, backend: str, devices: tuple[str, ...], copies: int, options: dict[str, Any]
) -> dict[str, Callable[[], Accelerator]]:
    """A device for each that was named, else as many copies of the backend as were asked for."""
    kind = best(bundle, dict(options)) if backend == "auto" else backend
    if devices:
        named = {device: {**options, "device": int(device) if device.isdigit() else device} for device in devices}
    else:
        named = {kind if copies == 1 else f"{kind}-{number}": options for number in range(copies)}
    return {name: partial(open_accelerator, bundle, kind, **chosen) for name, chosen in named.items()}


def _say_where(http: str, grpc: str | None) -> None:
    say(f"serving at {http}{f', gRPC at {grpc}' if grpc else ''}")
