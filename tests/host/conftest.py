"""What tests of images share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host.image_files import tree, zipped


@pytest.fixture(params=["folder", "zip"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    if request.param == "folder":
        return lambda files: tree(tmp_path / "data", files)
    return lambda files: zipped(tmp_path / "data.zip", files)
