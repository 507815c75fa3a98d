"""Requests that are wrong in any way: drawn from good ones by changing documents, lengths, bytes and addresses."""

from __future__ import annotations

import base64
import copy
import functools
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from tests.host.serving.served import frames_of, patches

__all__ = ["Sent", "drawn"]


@dataclass(frozen=True)
class Sent:
    """A request as it goes out. `length`: of Inference-Header-Content-Length, None without it."""

    method: str
    path: str
    body: bytes
    length: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    damage: tuple[str, ...] = field(default=(), compare=False)


class _Literal(str):
    """Goes into JSON as it is."""


_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**40, 0.5, 1e308, "", "x", "\u0000"),
    *(
        [],
        {},
        [[]],
        [None],
        {"a": 1},
        "patches",
        "BYTES",
        "UINT8",
        "FP32",
        "\ud7ff",
        "a" * 300,
        [0] * 9,
        [-1],
        [1, "x"],
    ),
    *(_Literal("NaN"), _Literal("Infinity"), _Literal("-Infinity"), _Literal("1e999"), _Literal("01"), _Literal("'x'")),
    *(_Literal("[" * 40 + "]" * 40), _Literal("[" * 5000 + "]" * 5000), _Literal('{"a":' * 300 + "1" + "}" * 300)),
    *(_Literal("9" * 5000), _Literal('"\\ud800"'), _Literal("tru"), _Literal(""), [2**62, 4], [0, 4, 5, 2], [1] * 100),
)
_PATHS = (
    "",
    "/versions/1",
    "/versions/2",
    "/versions/",
    "/versions/-1",
    "/versions/1e9",
    "/versions/%00",
    "/versions/../1",
)
_MODELS = ("small", "small", "small", "nothing", "", "%2e%2e", "..", "small%00", "%ff", "a" * 2000, "small/x", "\u00fc")
_ENDS = ("infer", "infer", "infer", "ready", "stats", "config", "", "load", "generate")
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "FOO")


def drawn(rng: random.Random) -> Sent:
    """A request with up to three damages; sometimes with none."""
    document, binary = _good(rng)
    tags: list[str] = []
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2, 3))):
        if rng.random() < 0.7:
            tags.append(_change(rng, document))
    header = _as_json(document)
    if rng.random() < 0.05:
        header = header.replace(b"{", b'{"id":"1","id":2,', 1)
    length = str(len(header)) if binary or rng.random() < 0.3 else None
    sent = Sent("POST", "/v2/models/small/infer", header + binary, length)
    for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2))):
        name, damage = rng.choice(_DAMAGES)
        sent = damage(rng, sent)
        tags.append(name)
    return replace(sent, damage=tuple(tags))


def _good(rng: random.Random) -> tuple[dict[str, Any], bytes]:
    """A document and the binary data behind it."""
    count, kind = rng.randint(1, 4), rng.choice(("patches", "codes", "frames", "image"))
    batch = patches(count, rng.randrange(1 << 30))
    given: Any = {"patches": batch, "codes": batch >> 4, "frames": frames_of(batch)}.get(kind)
    binary = b""
    entry: dict[str, Any] = {"name": kind, "shape": [count], "datatype": "BYTES"}
    if kind == "image":
        items = [_image(rng) for _ in range(count)]
        entry["data"] = [base64.b64encode(item).decode() for item in items]
        binary = b"".join(len(item).to_bytes(4, "little") + item for item in items)
    else:
        entry |= {"shape": list(given.shape), "datatype": "UINT8", "data": given.tolist()}
        binary = given.tobytes()
    if rng.random() < 0.5:
        del entry["data"]
        entry["parameters"] = {"binary_data_size": len(binary)}
    else:
        binary = b""
    document: dict[str, Any] = {"inputs": [entry]}
    if rng.random() < 0.5:
        document["id"] = "7"
        document["outputs"] = [{"name": name} for name in rng.sample(("labels", "names", "logits", "scores"), 2)]
        document["outputs"][0]["parameters"] = {rng.choice(("binary_data", "classification")): True}
    if rng.random() < 0.5:
        document["parameters"] = {"binary_data_output": rng.random() < 0.5, "timeout": 10_000_000}
    return document, binary


@functools.cache
def _encoded(number: int, kind: str) -> bytes:
    """One of 64 images: encoding them anew took most of the time."""
    pixels = np.random.default_rng(number).integers(0, 256, (4, 5, 2), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels.repeat(2, 2)[..., :3]).save(encoded, kind)
    return encoded.getvalue()


def _image(rng: random.Random) -> bytes:
    content = bytearray(_encoded(rng.randrange(64), rng.choice(("PNG", "JPEG", "WEBP", "TIFF", "BMP"))))
    for _ in range(rng.choice((0, 1, 1, 5))):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content[: rng.randrange(len(content))] if rng.random() < 0.2 else content)


def _as_json(value: Any) -> bytes:
    held: list[str] = []

    def marked(inner: Any) -> Any:
        if isinstance(inner, _Literal):
            held.append(str(inner))
            return f"@@{len(held) - 1}@@"
        if isinstance(inner, dict):
            return {key: marked(each) for key, each in inner.items()}
        return [marked(each) for each in inner] if isinstance(inner, list) else inner

    text = json.dumps(marked(value))
    for number, literal in enumerate(held):
        text = text.replace(f'"@@{number}@@"', literal)
    return text.encode()


def _change(rng: random.Random, document: dict[str, Any]) -> str:
    """One place in it becomes something else, or is not there."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
        for key, inner in pairs[:12]:
            places.append((value, key))
            if isinstance(inner, dict | list):
                walk(inner)

    walk(document)
    if not places:
        return "nothing"
    holder, key = rng.choice(places)
    if rng.random() < 0.15:
        del holder[key]
        return f"without {key}"
    holder[key] = copy.deepcopy(rng.choice(_ODD))
    return f"{key} = {str(holder[key])[:20]}"


def _bytes(rng: random.Random, sent: Sent) -> Sent:
    body = bytearray(sent.body)
    for _ in range(rng.choice((1, 1, 4, 30))):
        if body:
            body[rng.randrange(len(body))] = rng.randrange(256)
    return replace(sent, body=bytes(body))


def _cut(rng: random.Random, sent: Sent) -> Sent:
    return replace(sent, body=sent.body[: rng.randrange(len(sent.body) + 1)])


def _more(rng: random.Random, sent: Sent) -> Sent:
    return replace(sent, body=sent.body + rng.randbytes(rng.choice((1, 3, 4, 100))))


def _length(rng: random.Random, sent: Sent) -> Sent:
    whole = len(sent.body)
    lies = ("0", "-1", "x", "", "1.5", str(2**63), "9" * 40, str(whole), str(whole + 1), str(rng.randrange(whole + 1)))
    return replace(sent, length=rng.choice((*lies, None)))


def _path(rng: random.Random, sent: Sent) -> Sent:
    path = f"/v2/models/{rng.choice(_MODELS)}{rng.choice(_PATHS)}/{rng.choice(_ENDS)}"
    return replace(
        sent, path=rng.choice((path, "/v2/repository/index", "/v2/" + "x/" * 500, "//", "/v2/models/stats", "/*"))
    )


def _method(rng: random.Random, sent: Sent) -> Sent:
    return replace(sent, method=rng.choice(_METHODS))


def _header(rng: random.Random, sent: Sent) -> Sent:
    odd = (
        ("content-encoding", "gzip"),
        ("content-type", "text/html"),
        ("accept", "x"),
        ("authorization", "Bearer \xff"),
    )
    return replace(sent, headers=(*sent.headers, rng.choice(odd)))


_DAMAGES: tuple[tuple[str, Callable[[random.Random, Sent], Sent]], ...] = (
    *(("bytes", _bytes), ("cut", _cut), ("more", _more), ("length", _length), ("path", _path)),
    *(("method", _method), ("header", _header)),
)
