"""Which bit file is meant, and which handoff file belongs to it: by name, by content, or refused."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from bitswath.backends.board.bitfiles import Header, Wanted, pick_bitfile, read_header, together
from bitswath.errors import BundleError
from tests.host.backends.board.finn.layouts import bit, hwh, put

WANTED = Wanted({"idma0": 2, "odma0": 2})
EARLY, LATE = "Sat Aug  1 20:20:57 2026", "Tue Nov  3 08:00:00 2026"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bitfile").mkdir()
    return tmp_path / "bitfile"


def test_the_header_of_a_bit_file(place: Path) -> None:
    made = datetime.datetime(2026, 8, 1, 20, 40, 11)
    assert read_header(put(place / "x.bit", bit())) == Header("top_wrapper", "2022.2", "7z020clg400", made)
    for content in (b"", b"bits", bit()[:12]):
        assert read_header(put(place / "x.bit", content)) is None
    for size in range(13, 60):
        read_header(put(place / "x.bit", bit()[:size]))
    header = read_header(put(place / "x.bit", bit(date="yesterday")))
    assert header is not None and header.made is None


def test_the_handoff_of_the_same_name(place: Path) -> None:
    put(place / "b.bit", bit())
    for name in ("a", "b"):
        put(place / f"{name}.hwh", hwh(engines={"idma0": 2, "odma0": 2, name: 1}))
    pair = pick_bitfile([place], WANTED)
    assert (pair.handoff, pair.others) == (place / "b.hwh", ()) and together(pair) == place / "b.bit"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"engines": {"BlackBoxJam_0": 8}}, "no engines"),
        ({"engines": {"idma0": 2, "odma0": 7}}, "another width"),
        ({"part": ("xczu3eg", "sbva484")}, "another part"),
        ({"vivado": "2019.1"}, "another tool"),
        ({"made": LATE}, "made later"),
        ({"made": "Sat Mar  1 20:20:57 2025"}, "made long before"),
    ],
)
def test_a_handoff_of_another_name_by_content(place: Path, other: dict[str, object], why: str) -> None:
    put(place / "resizer.bit", bit())
    put(place / "finn-accel.hwh", hwh(made=EARLY, clock_hz=1e8))
    put(place / "a.hwh", hwh(**{"made": EARLY, **other}))  # type: ignore[arg-type]
    pair = pick_bitfile([place], WANTED)
    assert pair.handoff == place / "finn-accel.hwh", why
    copied = together(pair)
    assert copied.name == "resizer.bit" and copied.read_bytes() == bit() and copied == together(pair)
    assert copied.with_suffix(".hwh").read_text() == (place / "finn-accel.hwh").read_text()


def test_handoffs_that_differ_in_their_time_only_are_one(place: Path) -> None:
    put(place / "resizer.bit", "placeholder")
    for name, made in (("a", EARLY), ("b", LATE)):
        put(place / f"{name}.hwh", hwh(made=made))
    assert pick_bitfile([place], WANTED).handoff == place / "a.hwh"
    put(place / "b.hwh", hwh(engines={"idma0": 2, "odma0": 2, "other": 1}))
    with pytest.raises(BundleError, match=r"expected a resizer\.hwh beside it, got a\.hwh, b\.hwh, which all fit"):
        pick_bitfile([place], WANTED)


def test_a_handoff_of_another_design_is_not_taken(place: Path) -> None:
    put(place / "resizer.bit", bit())
    put(place / "a.hwh", hwh(engines={"other": 2}))
    with pytest.raises(BundleError, match=r"a\.hwh is of another design; copy the \.hwh"):
        pick_bitfile([place], WANTED)
    (place / "a.hwh").unlink()
    assert pick_bitfile([place], WANTED).handoff is None


def test_the_handoff_may_lie_beside_the_driver(place: Path) -> None:
    put(place / "x.bit", bit())
    put(place.parent / "driver" / "x.hwh", hwh())
    pair = pick_bitfile([place.parent / "driver", place], WANTED)
    assert pair.handoff == place.parent / "driver" / "x.hwh"
    assert together(pair).with_suffix(".hwh").is_file()


def test_several_bit_files(place: Path) -> None:
    """The one whose hand-off fits; among equals the one that the driver names, then FINN's own name; else none."""
    for name in ("a", "b", "finn-accel"):
        put(place / f"{name}.bit", bit())
    with pytest.raises(BundleError, match=r"expected one bit file, got a\.bit, b\.bit, finn-accel\.bit; remove"):
        pick_bitfile([place], WANTED)
    put(place / "b.hwh", hwh())
    pair = pick_bitfile([place], WANTED)
    assert pair.bitfile.name == "b.bit" and [file.name for file in pair.others] == ["a.bit", "finn-accel.bit"]
    put(place / "a.hwh", hwh())
    with pytest.raises(BundleError, match=r"expected one bit file, got a\.bit, b\.bit; remove"):
        pick_bitfile([place], WANTED)
    put(place / "finn-accel.hwh", hwh(made=LATE))
    assert pick_bitfile([place], WANTED).bitfile.name == "finn-accel.bit"
    assert pick_bitfile([place], Wanted(WANTED.engines, likely="a.bit")).bitfile.name == "a.bit"
    assert pick_bitfile([place], Wanted(WANTED.engines, name="b.bit")).bitfile.name == "b.bit"
    put(place / "finn-accel.hwh", hwh(engines={"idma0": 4, "odma0": 4}))
    assert pick_bitfile([place], Wanted({"idma0": 4, "odma0": 4})).bitfile.name == "finn-accel.bit"
    put(place / "b.hwh", "<damaged")
    assert pick_bitfile([place], WANTED).bitfile.name == "a.bit"


def test_files_for_boards_and_for_cards(place: Path) -> None:
    for name in ("x.bit", "x.xclbin"):
        put(place / name, "bits")
    put(place / "x.hwh", hwh())
    for suffix in (".bit", ".xclbin"):
        assert pick_bitfile([place], Wanted(WANTED.engines, suffix)).bitfile.name == f"x{suffix}"
    with pytest.raises(BundleError, match=r"for boards and for cards, x\.bit, x\.xclbin; give the one"):
        pick_bitfile([place], WANTED)
    (place / "x.bit").unlink()
    assert pick_bitfile([place], Wanted(WANTED.engines, ".bit")).bitfile.name == "x.xclbin"


def test_hidden_files_are_none(place: Path) -> None:
    put(place / "._x.bit", "macOS")
    with pytest.raises(BundleError, match=r"expected a \.bit or \.xclbin file there or beside it, found none"):
        pick_bitfile([place], WANTED)
