"""A fix of one of FINN's sources, made in a copy of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bitswath.errors import BuildError

__all__ = ["KNOWN_RELEASE", "Patch"]

KNOWN_RELEASE = "finn-plus 1.6.1"


@dataclass(frozen=True)
class Patch:
    """A fix of one source file: each (pattern, replacement) of `edits` must be found, else nothing is copied.

    Patterns are regular expressions in which ``.`` also matches line ends.
    """

    name: str
    file: str
    reason: str
    edits: tuple[tuple[str, str], ...]

    def apply(self, text: str) -> str:
        """The patched text of `file`. Raises `BuildError` if the expected text is not in it."""
        for pattern, replacement in self.edits:
            text, found = re.subn(pattern, replacement, text, flags=re.DOTALL)
            if not found:
                raise BuildError(
                    f"finn-rtllib {self.file}: the text that patch {self.name!r} replaces is not there; "
                    f"expected the finn-rtllib of {KNOWN_RELEASE}"
                )
        return text
