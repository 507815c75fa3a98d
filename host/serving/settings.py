"""How a server is set up: what it takes from one request, from one client and from all, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bitswath.imagery.fit import AS_THEY_ARE, Fit

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """`host`, `port`, `grpc_port` (None: no gRPC), `tls_cert`, `tls_key`, `token_file`: who may come, and how.

    Of a batch for a device: `max_batch` frames at most, for which the first waits `max_delay_us` at most. `max_queue`:
    frames that wait for one model, beyond which requests are refused; of one client half of them.
    `max_request_bytes` of a request, `max_json_bytes` of the JSON in it, `max_memory_bytes` of all requests' bodies
    together, `max_pixels` of an image, `max_connections`. Seconds: `header_timeout_s` and `body_timeout_s` until a
    request is there, `request_timeout_s` until it is answered, unless it says less, `drain_timeout_s` for what is
    under way at the end, `watch_s` between looks at the bundles' folders (0: none). `fit`: what every image is brought
    to. `thumbnails`: whether the page shows what came last. `meter`, `rails`: as `open_meter` and `chosen_rails` take.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    grpc_port: int | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None
    max_batch: int = 64
    max_delay_us: int = 0
    max_queue: int = 8192
    max_request_bytes: int = 64 << 20
    max_json_bytes: int = 8 << 20
    max_memory_bytes: int = 256 << 20
    max_pixels: int = 1 << 24
    max_connections: int = 1024
    header_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    request_timeout_s: float = 60.0
    drain_timeout_s: float = 30.0
    watch_s: float = 2.0
    fit: Fit = AS_THEY_ARE
    thumbnails: bool = True
    meter: str | None = None
    rails: tuple[str, ...] = ()
