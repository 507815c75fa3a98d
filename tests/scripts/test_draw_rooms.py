"""The picture of the rooms is the one that the lint's contracts and the rooms' docstrings give."""

from __future__ import annotations

from types import ModuleType

import draw_flow
import draw_rooms
import pytest

from tests.paths import ROOT


@pytest.mark.parametrize("script", [draw_flow, draw_rooms])
def test_committed_pictures_are_what_the_scripts_draw(script: ModuleType) -> None:
    assert script.PICTURE.read_text(encoding="utf-8") == script.picture()


@pytest.mark.parametrize(
    ("package", "folder"), [("bitswath", "host"), ("bitswath.models", "models"), ("bitswath.hw", "hw")]
)
def test_every_room_is_drawn(package: str, folder: str) -> None:
    drawn = {name for layer in draw_rooms.declared()[package] for name in layer}
    modules = {
        path.stem for path in (ROOT / folder).iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert modules - drawn == ({"__init__", "notebooks"} if folder == "host" else {"__init__"})
    assert drawn - modules <= {"models", "hw"}


def test_a_room_shows_which_rooms_lie_in_it_from_top_to_bottom() -> None:
    assert draw_rooms.declared()["bitswath.models.lowering"] == (("walk",), ("reading",), ("passes",), ("chains",))
    assert "inside: kinds &gt; netlist &gt; board, emulator, rtl &gt; base" in draw_rooms.picture()
