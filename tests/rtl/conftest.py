from __future__ import annotations

import secrets

import pytest


@pytest.fixture
def seed() -> int:
    """Another one each time; `simulate` prints it, for use here when a failure is to be seen again."""
    return secrets.randbelow(2**31)
