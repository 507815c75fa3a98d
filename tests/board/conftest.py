"""Boards are simulated: the unmodified pynq drives the RTL. Without pynq nothing here can run."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from bitswath.simulated import System
from tests.board.boards import BUILDS, CACHE, SMALL, Plug

_MISSING = "pynq is not installed here, it needs an older numpy than the rest: run scripts/test-board"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("pynq") is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=_MISSING))


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


@pytest.fixture
def small() -> Path:
    """A bundle whose network doubles each code, with its build."""
    assert (BUILDS / SMALL).is_dir(), f"{BUILDS / SMALL} is missing; scripts/test-board makes it"
    return BUILDS / SMALL


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    """Makes simulated boards, and unplugs them after the test."""
    plug = Plug(tmp_path)
    yield plug
    plug.close()


@pytest.fixture
def system(plug: Plug, small: Path) -> System:
    """The small design's."""
    return plug.system(small)
