"""The Open Inference Protocol over HTTP, Triton's extensions of it, metrics and the page."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

import pydantic_core
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from bitswath.errors import InputError
from bitswath.serving.access import Access
from bitswath.serving.http.body import Bodies, header, header_length
from bitswath.serving.http.openapi import openapi
from bitswath.serving.http.page import page_file, status
from bitswath.serving.metrics import Metrics
from bitswath.serving.protocol.description import configuration, metadata, server_metadata, statistics
from bitswath.serving.protocol.requests import InferRequest, as_body, json_of, read_request
from bitswath.serving.protocol.tensors import BYTES, Tensor
from bitswath.serving.refusals import RequestError, busy, logged_refusal
from bitswath.serving.service import Service

__all__ = ["http_application"]

_OPEN = ("/v2/health/live", "/v2/health/ready", "/", "/page.css", "/page.js")
"""What may be asked for without a token: nothing of it tells of models."""
_SMALL_BYTES = 1 << 16
_log = logging.getLogger("bitswath.serving")


def http_application(service: Service, access: Access, metrics: Metrics) -> ASGIApp:
    """An ASGI application; errors are ``{"error": line}`` with the status that fits."""
    endpoints = _Endpoints(service, metrics)
    model = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
    routes = [  # tried in this order, the one that is asked for most first
        *(_route(f"{path}/infer", endpoints.infer, "POST") for path in model),
        *(_route(path, endpoints.server) for path in ("/v2", "/v2/")),
        _route("/v2/health/live", endpoints.live),
        _route("/v2/health/ready", endpoints.ready),
        _route("/v2/models/stats", endpoints.all_statistics),
        *(_route(f"{path}/ready", endpoints.model_ready) for path in model),
        *(_route(f"{path}/stats", endpoints.statistics) for path in model),
        *(_route(f"{path}/config", endpoints.configuration) for path in model),
        *(_route(path, endpoints.model) for path in model),
        _route("/v2/repository/index", endpoints.index, "POST"),
        _route("/v2/repository/models/{model}/{action}", endpoints.no_loading, "POST"),
        _route("/metrics", endpoints.metrics),
        _route("/openapi.json", endpoints.openapi),
        _route("/status", endpoints.status),
        *(_route(path, _page) for path in ("/", "/page.css", "/page.js")),
    ]
    return _Guard(Router(routes, redirect_slashes=False), access)


_Endpoint = Callable[[Request], Awaitable[Response]]


class _Answering:
    """An endpoint as an application: what it returns, or what is told of what it raises, is sent."""

    def __init__(self, endpoint: _Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._endpoint(Request(scope, receive))
        except ClientDisconnect:
            response = Response(status_code=499)  # goes nowhere
        except asyncio.CancelledError:  # by uvicorn, when the time for draining is over
            response = _error(busy("the server stopped before the request was answered", 5))
        except Exception as error:
            response = _error(logged_refusal(scope["path"], error))
        await response(scope, receive, send)


def _route(path: str, endpoint: _Endpoint, method: str = "GET") -> Route:
    return Route(path, _Answering(endpoint), methods=[method])


class _Guard:
    """Lets in whom `access` knows, and hands on who that is; answers what no route does; says what was asked for, on
    request."""

    def __init__(self, application: ASGIApp, access: Access) -> None:
        self._application, self._access = application, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        host = (scope.get("client") or ("",))[0]
        scope["bitswath.client"] = host
        if not self._access.open_to_all and scope["path"] not in _OPEN:
            try:
                scope["bitswath.client"] = self._access.client(header(scope, b"authorization"))
            except RequestError as error:
                await _error(error)(scope, receive, send)
                return
        await self._routed(scope, receive, self._logged(scope, send) if _log.isEnabledFor(logging.DEBUG) else send)

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self  # so that the router raises what it has no route for
        try:
            await self._application(scope, receive, send)
        except HTTPException as error:
            await _json({"error": error.detail}, error.status_code, error.headers)(scope, receive, send)

    def _logged(self, scope: Scope, send: Send) -> Send:
        started = time.monotonic()

        async def told(message: Any) -> None:
            if message["type"] == "http.response.start":
                took_ms = round(1e3 * (time.monotonic() - started), 3)
                what = {"method": scope["method"], "path": scope["path"], "status": message["status"]}
                _log.debug("request", extra={**what, "client": scope["bitswath.client"], "took_ms": took_ms})
            await send(message)

        return told


class _Endpoints:
    def __init__(self, service: Service, metrics: Metrics) -> None:
        self._service, self._repository, self._metrics = service, service.repository, metrics
        self._bodies = Bodies(service.settings)

    async def server(self, request: Request) -> Response:
        return _json(server_metadata())

    async def live(self, request: Request) -> Response:
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        ready = self._service.ready
        return _json({"ready": ready, "live": True}, HTTPStatus.OK if ready else HTTPStatus.BAD_REQUEST)

    async def model_ready(self, request: Request) -> Response:
        entry = self._repository.find(*_model(request))
        ready = entry.ready and not self._service.stopping
        return _json({"name": entry.name, "ready": ready}, HTTPStatus.OK if ready else HTTPStatus.BAD_REQUEST)

    async def model(self, request: Request) -> Response:
        entry = self._repository.find(*_model(request))
        with await self._repository.model_of(entry) as model:
            versions = self._repository.versions(entry.name)
            return _json(metadata(entry.name, versions, model.inputs, model.outputs))

    async def configuration(self, request: Request) -> Response:
        entry = self._repository.find(*_model(request))
        with await self._repository.model_of(entry) as model:
            most = self._service.settings.max_queue // 2
            return _json(configuration(entry.name, model.bundle.classes, model.inputs, model.outputs, most))

    async def statistics(self, request: Request) -> Response:
        name, version = _model(request)
        entry = self._repository.find(name, version)
        versions = [version] if version else self._repository.versions(entry.name)
        entries = [self._repository.find(name, each) for each in versions]
        return _json({"model_stats": [statistics(each.name, each.version, each.statistics) for each in entries]})

    async def all_statistics(self, request: Request) -> Response:
        entries = self._repository.entries
        return _json({"model_stats": [statistics(each.name, each.version, each.statistics) for each in entries]})

    async def index(self, request: Request) -> Response:
        async with self._bodies.read(request, _SMALL_BYTES) as body:
            wanted = json_of(body) if body.strip() else {}
        if not isinstance(wanted, dict) or not isinstance(wanted.get("ready", False), bool):
            raise InputError('expected {"ready": true or false}, or nothing')
        return _json(self._repository.index(ready=wanted.get("ready", False)))

    async def no_loading(self, request: Request) -> Response:
        raise RequestError(HTTPStatus.BAD_REQUEST, "models are not loaded or unloaded by request; swap their folders")

    async def infer(self, request: Request) -> Response:
        arrived_ns = time.monotonic_ns()
        name, version = _model(request)
        self._repository.find(name, version)
        if self._service.stopping:
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping", 5)
        length = header_length(request)
        async with self._bodies.read(request) as body:
            entry = self._repository.find(name, version)
            with self._bodies.while_there(request), self._service.counted(entry, arrived_ns):
                size = len(body) if length is None else length
                parsed = await self._service.offload(partial(self._read, body, length), size)
                client = request.scope["bitswath.client"]
                answer = await self._service.infer(entry, parsed, client=client, arrived_ns=arrived_ns)
                size = sum(getattr(tensor.data, "nbytes", 0) for tensor, _ in answer.outputs)
                content, json_bytes = await self._service.offload(partial(as_body, answer), size)
        if json_bytes is None:
            return Response(content, media_type="application/json")
        headers = {"Inference-Header-Content-Length": str(json_bytes)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def metrics(self, request: Request) -> Response:
        content, kind = self._metrics.exposition()
        return Response(content, media_type=kind)

    async def openapi(self, request: Request) -> Response:
        return _json(openapi())

    async def status(self, request: Request) -> Response:
        return _json(await self._service.offload(partial(status, self._service, self._metrics.energy), 1 << 30))

    def _read(self, body: bytes, length: int | None) -> InferRequest:
        """The body's request; Triton's raw binary request, a length of 0, is one image file."""
        if length == 0:
            return InferRequest("", (Tensor("image", BYTES, (1,), [memoryview(body)]),), None, binary=True)
        return read_request(body, length, self._service.settings.max_json_bytes)


async def _page(request: Request) -> Response:
    content, kind = page_file(request.url.path)
    policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data: blob:"
    headers = {
        "Content-Security-Policy": f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return Response(content, media_type=kind, headers=headers)


def _model(request: Request) -> tuple[str, str]:
    return request.path_params["model"], request.path_params.get("version", "")


def _json(document: Any, code: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    return Response(pydantic_core.to_json(document), code, headers, "application/json")


def _error(error: RequestError) -> Response:
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_TIMEOUT):
        headers["Connection"] = "close"  # what is left of the body is not waited for
    return _json({"error": str(error)}, error.status, headers)
