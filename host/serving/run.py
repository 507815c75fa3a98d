"""The server as a process: listening, reloading, and ending without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from bitswath.errors import ConfigError, DependencyError
from bitswath.serving.access import Access
from bitswath.serving.energy import Energy
from bitswath.serving.http.app import http_application
from bitswath.serving.http.wire import wire
from bitswath.serving.metrics import Metrics
from bitswath.serving.repository import DevicesOf, Repository
from bitswath.serving.service import Service
from bitswath.serving.settings import Settings

__all__ = ["serve"]

_LONGEST_HEAD = 64 << 10
_KEEP_ALIVE_S = 75
_log = logging.getLogger("bitswath.serving")


async def serve(
    paths: Sequence[str],
    devices_of: DevicesOf,
    settings: Settings,
    *,
    started: Callable[[str, str | None], None] = lambda http, grpc: None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve models until SIGTERM or SIGINT, or until `stop` is set, then answer what is under way. SIGHUP loads every
    bundle again.

    `started` is called with the addresses, of HTTP and of gRPC, once requests are taken. Raises `BundleError`,
    `BackendError`, `ConfigError`.
    """
    access, energy = Access(settings.token_file), Energy(settings.meter, settings.rails)
    repository = Repository(paths, devices_of, settings)
    service = Service(repository, settings)
    application = http_application(service, access, Metrics(repository, energy))
    server, listening = _server(application, settings), _bound(settings.host, settings.port)
    try:
        await repository.start()
    except BaseException:
        listening.close()
        raise
    energy.start()
    stop, reload = stop or asyncio.Event(), asyncio.Event()
    try:
        with _signals({signal.SIGTERM: stop.set, signal.SIGINT: stop.set, signal.SIGHUP: reload.set}):
            async with _grpc(service, access, settings) as port:
                place = None if port is None else f"{settings.host}:{port}"
                await _listen(server, listening, stop, reload, service, lambda address: started(address, place))
    finally:
        service.stopping = True
        energy.stop()
        await repository.close(settings.drain_timeout_s)
        service.close()
        _log.info("stopped")


def _server(application: ASGIApp, settings: Settings) -> uvicorn.Server:
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        http=wire(settings),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(settings.drain_timeout_s),
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    try:
        config.load()
    except OSError as error:
        raise ConfigError(f"{settings.tls_cert}: certificate and key cannot be used: {error}") from error
    return uvicorn.Server(config)


async def _listen(
    server: uvicorn.Server,
    listening: socket.socket,
    stop: asyncio.Event,
    reload: asyncio.Event,
    service: Service,
    started: Callable[[str], None],
) -> None:
    """Until `stop` is set; then nothing new is taken, and what is under way is answered."""
    settings = service.settings
    serving = asyncio.create_task(server._serve([listening]))  # `serve` would take the signals
    watching = asyncio.create_task(_watch(service, server, reload))
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        port = listening.getsockname()[1]
        scheme = "https" if settings.tls_cert else "http"
        started(f"{scheme}://{settings.host}:{port}")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        service.stopping = True
        _log.info("stopping", extra={"connections": len(server.server_state.connections)})
        server.should_exit = True
        await serving
    finally:
        watching.cancel()


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)  # with its protocol named asyncio sends small answers at once
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise ConfigError(f"{host}:{port}: cannot listen there: {error.strerror}") from error
    return bound


async def _watch(service: Service, server: uvicorn.Server, reload: asyncio.Event) -> None:
    """Load what changed in the bundles' folders, and everything on SIGHUP, the certificate too."""
    pause_s = service.settings.watch_s or None
    while True:
        asked = True
        try:
            await asyncio.wait_for(reload.wait(), pause_s)
        except asyncio.TimeoutError:
            asked = False
        reload.clear()
        if asked and server.config.ssl is not None and service.settings.tls_cert is not None:
            with contextlib.suppress(OSError):  # of a wrong pair the former one stays
                server.config.ssl.load_cert_chain(service.settings.tls_cert, service.settings.tls_key)
        try:
            await service.repository.refresh(force=asked)
        except Exception:
            _log.exception("looking at the bundles' folders failed")


@contextlib.contextmanager
def _signals(handlers: dict[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    try:
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
    except (NotImplementedError, ValueError, RuntimeError):  # in a thread of a test, where there are no signals
        handlers = {}
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


def _grpc(service: Service, access: Access, settings: Settings) -> contextlib.AbstractAsyncContextManager[int | None]:
    if settings.grpc_port is None:
        return contextlib.nullcontext()
    try:
        from bitswath.serving.grpc.server import grpc_server
    except ModuleNotFoundError as error:
        raise DependencyError(f"gRPC needs {error.name}: pip install 'bitswath[serve-grpc]'") from error
    return grpc_server(service, access)
