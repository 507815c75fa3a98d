"""The protocol over gRPC, in the event loop of the HTTP server."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import grpc

from bitswath.errors import BitswathError, ConfigError
from bitswath.serving.access import Access
from bitswath.serving.grpc.conversion import as_response, read_message
from bitswath.serving.grpc.messages import METHODS, SERVICE, message
from bitswath.serving.protocol.description import metadata, server_metadata, statistics
from bitswath.serving.refusals import RequestError, logged_refusal
from bitswath.serving.service import Service

__all__ = ["grpc_server"]

_CODES = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_OPEN = ("ServerLive", "ServerReady")
_log = logging.getLogger("bitswath.serving")


@contextlib.asynccontextmanager
async def grpc_server(service: Service, access: Access) -> AsyncIterator[int]:
    """The port that it listens at while the block runs; then calls under way have the time that draining has.

    Raises `ConfigError` if it cannot listen there.
    """
    settings = service.settings
    options = [
        ("grpc.max_receive_message_length", settings.max_request_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 64 << 10),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=settings.max_connections)
    server.add_generic_rpc_handlers((_handlers(_Servicer(service), access),))
    address = f"{f'[{settings.host}]' if ':' in settings.host else settings.host}:{settings.grpc_port}"
    try:
        port = _listen(server, address, service)
    except (RuntimeError, OSError) as error:
        raise ConfigError(f"{address}: gRPC cannot listen there: {error}") from error
    await server.start()
    _log.info("gRPC listens", extra={"address": f"{settings.host}:{port}"})
    try:
        yield port
    finally:
        await server.stop(settings.drain_timeout_s)


def _listen(server: Any, address: str, service: Service) -> int:
    certificate, key = service.settings.tls_cert, service.settings.tls_key
    if certificate is None or key is None:
        port: int = server.add_insecure_port(address)
        return port
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    secure: int = server.add_secure_port(address, credentials)
    return secure


def _handlers(servicer: _Servicer, access: Access) -> Any:
    """Every method behind the tokens, its errors as gRPC's codes."""

    def unary(name: str) -> Any:
        call: Callable[[Any, Any, str], Awaitable[Any]] = getattr(servicer, name)

        async def answered(request: Any, context: Any) -> Any:
            try:
                return await call(request, context, _client(context, access, name))
            except BitswathError as error:
                told = logged_refusal(name, error)
                await context.abort(_CODES.get(told.status, grpc.StatusCode.INTERNAL), str(told))

        return grpc.unary_unary_rpc_method_handler(
            answered, message(f"{name}Request").FromString, message(f"{name}Response").SerializeToString
        )

    async def stream(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        try:
            client = _client(context, access, "ModelStreamInfer")
        except RequestError as error:
            await context.abort(_CODES[error.status], str(error))
            return
        async for request in requests:
            yield await servicer.of_stream(request, context, client)

    methods = {name: unary(name) for name in METHODS}
    methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
        stream, message("ModelInferRequest").FromString, message("ModelStreamInferResponse").SerializeToString
    )
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _client(context: Any, access: Access, method: str) -> str:
    """Whose turn it takes: of a token, or of an address without its port."""
    if access.open_to_all or method in _OPEN:
        return str(context.peer()).rpartition(":")[0]
    given = {name.lower(): value for name, value in context.invocation_metadata() or ()}
    authorization = given.get("authorization", "")
    return str(access.client(authorization if isinstance(authorization, str) else ""))


class _Servicer:
    def __init__(self, service: Service) -> None:
        self._service, self._repository = service, service.repository

    async def ServerLive(self, request: Any, context: Any, client: str) -> Any:  # noqa: N802
        return message("ServerLiveResponse")(live=True)

    async def ServerReady(self, request: Any, context: Any, client: str) -> Any:  # noqa: N802
        return message("ServerReadyResponse")(ready=self._service.ready)

    async def ModelReady(self, request: Any, context: Any, client: str) -> Any:  # noqa: N802
        return message("ModelReadyResponse")(ready=self._repository.find(request.name, request.version).ready)

    async def ServerMetadata(self, request: Any, context: Any, client: str) -> Any:  # noqa: N802
        return message("ServerMetadataResponse")(**server_metadata())

    async def ModelMetadata(self, request: Any, context: Any, client: str) -> Any:  # noqa: N802
        entry = self._repository.find(request.name, request.version)
        with await self._repository.model_of(entry) as model:
            told = metadata(entry.name, self._repository.versions(entry.name), model.inputs, model.outputs)
        return message("ModelMetadataResponse")(**told)

    async def ModelStatistics(self, request: Any, context: Any, client: str) -> Any:  # noqa: N802
        entries = self._repository.entries
        if request.name:
            wanted = self._repository.find(request.name, request.version)
            entries = [entry for entry in entries if entry.name == wanted.name]
            entries = [wanted] if request.version else entries
        told = [statistics(entry.name, entry.version, entry.statistics) for entry in entries]
        for one in told:
            del one["response_stats"], one["memory_usage"]
        return message("ModelStatisticsResponse")(model_stats=told)

    async def RepositoryIndex(self, request: Any, context: Any, client: str) -> Any:  # noqa: N802
        return message("RepositoryIndexResponse")(models=self._repository.index(ready=request.ready))

    async def ModelInfer(self, request: Any, context: Any, client: str) -> Any:  # noqa: N802
        arrived_ns, service = time.monotonic_ns(), self._service
        if service.stopping:
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping", 5)
        entry = self._repository.find(request.model_name, request.model_version)
        with service.counted(entry, arrived_ns):
            parsed = await service.offload(partial(read_message, request), request.ByteSize())
            left_s = context.time_remaining()
            answer = await service.infer(entry, parsed, client=client, arrived_ns=arrived_ns, timeout_s=left_s)
        return as_response(answer)

    async def of_stream(self, request: Any, context: Any, client: str) -> Any:
        """One answer in a stream; an error is told in it, and the stream goes on."""
        try:
            return message("ModelStreamInferResponse")(infer_response=await self.ModelInfer(request, context, client))
        except BitswathError as error:
            empty = message("ModelInferResponse")(model_name=request.model_name, id=request.id)
            told = str(logged_refusal("ModelStreamInfer", error))
            return message("ModelStreamInferResponse")(error_message=told, infer_response=empty)
