"""What the stand-in's commands have in common: options that are known, values that are, lists as Tcl has them."""

from __future__ import annotations

from typing import Any

from tests.vivado.catalog import Refused

__all__ = ["listed", "one_of", "options_of"]


def listed(result: Any) -> str:
    if isinstance(result, (list, tuple)):
        return " ".join(f"{{{word}}}" for word in result)
    return str(result)


def one_of(value: str, *known: str) -> str:
    if value not in known:
        raise Refused(f"expected one of {', '.join(map(str, known)) or 'nothing'}, got {value!r}")
    return value


def options_of(
    words: tuple[str, ...], flags: tuple[str, ...] = (), values: tuple[str, ...] = ()
) -> tuple[dict[str, str], list[str]]:
    """Options by name, and what is none. Raises `Refused` for an option that the command has not."""
    options: dict[str, str] = {}
    rest, left = [], list(map(str, words))
    while left:
        word = left.pop(0)
        if word in values:
            options[word] = left.pop(0)
        elif word in flags:
            options[word] = ""
        elif word.startswith("-"):
            raise Refused(f"unknown option {word}")
        else:
            rest.append(word)
    return options, rest
