"""Strict JSON schemas: what a file may say, and one line about what it says wrong."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bitswath.errors import BitswathError

__all__ = ["Digest", "Schema", "build", "parse_json"]

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256, hexadecimal."""

_SHOWN = 3


class Schema(BaseModel):
    """Immutable, no unknown keys, no conversion between types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


_Model = TypeVar("_Model", bound=Schema)


def parse_json(schema: type[_Model], text: str | bytes, error: type[BitswathError]) -> _Model:
    """`text` as `schema`; raises `error` with a line that names each wrong key."""
    try:
        return schema.model_validate_json(text)
    except ValidationError as problem:
        raise error(_one_line(problem)) from None


def build(schema: type[_Model], error: type[BitswathError], **values: Any) -> _Model:
    """`schema` of these values; raises `error` with a line that names each wrong one."""
    try:
        return schema(**values)
    except ValidationError as problem:
        raise error(_one_line(problem)) from None


def _one_line(problem: ValidationError) -> str:
    details = problem.errors(include_url=False, include_context=False)
    lines = [f"{'.'.join(map(str, d['loc'])) or 'content'}: {d['msg']}, got {_brief(d['input'])}" for d in details]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "; ".join(lines[:_SHOWN] + more)


def _brief(value: object) -> str:
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
