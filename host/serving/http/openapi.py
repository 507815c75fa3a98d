"""The server's own description in OpenAPI 3.1, drawn from the forms that it reads requests with."""

from __future__ import annotations

from typing import Any

from bitswath.serving.protocol.requests import RequestForm
from bitswath.version import __version__

__all__ = ["openapi"]

_REF = "#/components/schemas/"
_JSON = "application/json"
Schema = dict[str, Any]


def openapi() -> Schema:
    form = RequestForm.model_json_schema(ref_template=_REF + "{model}")
    own = form.pop("$defs", {})
    schemas = {**own, "RequestForm": form, **_ANSWERS}
    model, version = _parameter("model", "string"), _parameter("version", "string")
    paths: Schema = {
        "/v2": {"get": _operation("ServerMetadata", "Server", refused=False)},
        "/v2/health/live": {"get": _operation("ServerLive", "Live", refused=False)},
        "/v2/health/ready": {"get": _operation("ServerReady", "Ready", failures={"400": "Ready"})},
        "/v2/models/stats": {"get": _operation("AllStatistics", "Statistics")},
        "/v2/repository/index": {"post": _operation("RepositoryIndex", "Index", body="IndexRequest")},
    }
    for root, given, ending in (
        ("/v2/models/{model}", [model], ""),
        ("/v2/models/{model}/versions/{version}", [model, version], "OfVersion"),
    ):
        paths |= {
            root: {"parameters": given, "get": _operation(f"ModelMetadata{ending}", "Model")},
            f"{root}/ready": {
                "parameters": given,
                "get": _operation(f"ModelReady{ending}", "ModelReady", failures={"400": "ModelReady"}),
            },
            f"{root}/config": {"parameters": given, "get": _operation(f"ModelConfig{ending}", "Configuration")},
            f"{root}/stats": {"parameters": given, "get": _operation(f"ModelStatistics{ending}", "Statistics")},
            f"{root}/infer": {
                "parameters": given,
                "post": _operation(f"ModelInfer{ending}", "Inference", body="RequestForm"),
            },
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "bitswath serve", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def _operation(
    name: str, answer: str, *, body: str | None = None, refused: bool = True, failures: dict[str, str] | None = None
) -> Schema:
    told = {"200": _response(answer), **{code: _response(schema) for code, schema in (failures or {}).items()}}
    if refused:
        told["4XX"] = _response("Error")
        told["503"] = _response("Error")
    if body == "RequestForm":
        told |= {"500": _response("Error"), "504": _response("Error")}
    operation: Schema = {"operationId": name, "responses": told}
    if body is not None:
        required = body == "RequestForm"
        operation["requestBody"] = {"required": required, "content": {_JSON: {"schema": {"$ref": _REF + body}}}}
    return operation


def _response(schema: str) -> Schema:
    return {"description": schema, "content": {_JSON: {"schema": {"$ref": _REF + schema}}}}


def _parameter(name: str, kind: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": kind, "minLength": 1}}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


_TEXT, _NUMBER, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
_TENSOR = _object(name=_TEXT, datatype=_TEXT, shape=_list(_NUMBER))
_TIMES = _object(count=_NUMBER, ns=_NUMBER)
_ANSWERS: Schema = {
    "Error": _object(error=_TEXT),
    "Server": _object(name=_TEXT, version=_TEXT, extensions=_list(_TEXT)),
    "Live": _object(live=_FLAG),
    "Ready": _object(ready=_FLAG, live=_FLAG),
    "ModelReady": _object(name=_TEXT, ready=_FLAG),
    "Model": _object(name=_TEXT, versions=_list(_TEXT), platform=_TEXT, inputs=_list(_TENSOR), outputs=_list(_TENSOR)),
    "Configuration": _object(name=_TEXT, platform=_TEXT, max_batch_size=_NUMBER),
    "IndexRequest": {"type": "object", "properties": {"ready": _FLAG}},
    "Index": _list(_object(name=_TEXT, version=_TEXT, state=_TEXT, reason=_TEXT)),
    "Statistics": _object(
        model_stats=_list(
            _object(
                name=_TEXT,
                version=_TEXT,
                inference_count=_NUMBER,
                execution_count=_NUMBER,
                inference_stats={"type": "object", "additionalProperties": _TIMES},
                batch_stats=_list(_object(batch_size=_NUMBER, compute_infer=_TIMES)),
            )
        )
    ),
    "Inference": _object(model_name=_TEXT, model_version=_TEXT, outputs=_list(_TENSOR)),
}
