"""Damaged folders: whatever is wrong with a file, a typed error in one line, or an overlay that fits together."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bitswath.backends.board.finn.report import find_report
from bitswath.backends.board.overlay_folder import load_build, load_overlay
from bitswath.errors import BitswathError
from tests.host.backends.board.finn.layouts import AXI_DMA, LAYOUTS, TIMING, bit, hwh, put, settings

ROUNDS = 150
VALUES: list[Any] = [
    *(None, True, -1, 0, 1, 3, 2**70, 1.5, 1e308, "", "1", "x", "\0", "DataType['FLOAT32']", "UINT0", "INT99999"),
    *(
        [],
        [[]],
        [[1]],
        [[1, 0]],
        [[1, -3]],
        [[1, "4"]],
        [[1, 2.5]],
        [1, [2]],
        [[[1, 2]]],
        {},
        {"a": 1},
        [None],
        [10**400, 1],
    ),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    return random.Random(seed)


def tried(path: Path) -> None:
    """Open it, and describe it."""
    for call in (load_overlay, load_build):
        try:
            found = call(path)
        except BitswathError as error:
            assert str(error) and "\n" not in str(error), repr(str(error))
        else:
            assert call is load_build or found is not None


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of everything in a JSON value."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*at, key))


def test_settings_with_anything_in_any_place(tmp_path: Path, rng: random.Random) -> None:
    put(tmp_path / "bitfile" / "finn-accel.bit", bit())
    put(tmp_path / "bitfile" / "finn-accel.hwh", hwh())
    for at in places(json.loads(settings())):
        for value in (..., *rng.sample(VALUES, 6)):
            content = {"root": json.loads(settings())}
            *way, last = ("root", *at)
            inner: Any = content
            for key in way:
                inner = inner[key]
            if value is ...:
                del inner[last]
            else:
                inner[last] = value
            put(tmp_path / "driver" / "settings.json", json.dumps(content.get("root", "")))
            tried(tmp_path)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut out, repeated."""
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(content) + 1), rng.choice((1, 1, 3, 20, 200))
        piece = rng.choice((b"", b"[", b"}", b"'", b"(", b"<", b"\xff", b"\0", b"1", content[at : at + size] * 2))
        content = content[:at] + piece + content[at + size :]
    return content if rng.random() > 0.2 else content[: rng.randrange(len(content) + 1)]


@pytest.mark.parametrize("name", [*LAYOUTS, *AXI_DMA])
def test_drivers_with_bytes_changed(tmp_path: Path, rng: random.Random, name: str) -> None:
    if name in AXI_DMA:
        put(tmp_path / "driver.py", AXI_DMA[name])
    else:
        LAYOUTS[name][0](tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    whole = {path: path.read_bytes() for path in files}
    for _ in range(ROUNDS // 5):
        path = rng.choice(files)
        path.write_bytes(damaged(whole[path], rng))
        tried(tmp_path)
        path.write_bytes(whole[path])


@pytest.mark.parametrize(
    "content",
    [
        *("", "<", "<a/>", "<EDKSYSTEM><MODULES><MODULE/></MODULES></EDKSYSTEM>", "{}", "\0" * 100),
        '<?xml version="1.0" encoding="utf-99"?><a/>',
        '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><a>&d;</a>',
        hwh().replace('VALUE="2"', 'VALUE="two"'),
        hwh(clock_hz=1e8).replace("100000000", "1e999"),
        hwh(clock_hz=1e8).replace("100000000", "nan"),
        hwh().replace('DATAWIDTH="64"', 'DATAWIDTH="wide"'),
        hwh().replace("0x40", "0xzz"),
    ],
)
def test_handoffs_that_are_none(tmp_path: Path, content: str) -> None:
    LAYOUTS["finn-plus 1.4"][0](tmp_path)
    put(tmp_path / "bitfile" / "finn-accel.hwh", content)
    tried(tmp_path)
    put(tmp_path / "bitfile" / "other.bit", "bits")
    put(tmp_path / "bitfile" / "other.hwh", content)
    tried(tmp_path)
    (tmp_path / "bitfile" / "finn-accel.hwh").rename(tmp_path / "bitfile" / "third.hwh")
    tried(tmp_path)


def test_handoffs_and_bit_files_with_bytes_changed(tmp_path: Path, rng: random.Random) -> None:
    LAYOUTS["finn-plus 1.4"][0](tmp_path)
    (tmp_path / "bitfile" / "finn-accel.bit").rename(tmp_path / "bitfile" / "resizer.bit")
    for _ in range(ROUNDS):
        put(tmp_path / "bitfile" / "finn-accel.hwh", damaged(hwh(clock_hz=2e8).encode(), rng))
        put(tmp_path / "bitfile" / "a.hwh", damaged(hwh().encode(), rng))
        put(tmp_path / "bitfile" / "resizer.bit", damaged(bit(), rng))
        tried(tmp_path)


def test_archives_with_bytes_changed(tmp_path: Path, rng: random.Random) -> None:
    folder = tmp_path / "in"
    LAYOUTS["finn-plus 1.4"][0](folder)
    for kind in ("zip", "tar", "gztar", "xztar"):
        whole = Path(shutil.make_archive(str(tmp_path / "x"), kind, folder)).read_bytes()
        for _ in range(ROUNDS // 3):
            tried(put(tmp_path / f"y.{kind.replace('tar', '.tar')}", damaged(whole, rng)))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr("x.bit/driver.py", "")
        file.writestr("x.bit", "")
        file.writestr(f"{'n' * 300}.bit", "")
    tried(tmp_path / "z.zip")


def test_reports_with_bytes_changed(tmp_path: Path, rng: random.Random) -> None:
    text = TIMING.format(slack="-1.0", late=3, hold="0.1", early=0, met="not met").encode()
    counts = b'{"(top)": {"LUT": 5, "BRAM_36K": 3}, "total": {"LUT": 9}, "estimated_throughput_fps": 3.0}'
    for _ in range(ROUNDS):
        put(tmp_path / "report" / "post_route_timing.rpt", damaged(text, rng))
        for name in ("post_synth_resources", "estimate_layer_resources", "estimate_network_performance"):
            put(tmp_path / "report" / f"{name}.json", damaged(counts, rng))
        report = find_report(tmp_path)
        assert report is not None and all("\n" not in problem for problem in report.problems)


def test_sources_that_nest_deeply_or_are_long(tmp_path: Path) -> None:
    put(tmp_path / "x.bit", "bits")
    for source in (
        "io_shape_dict = " + "[" * 5000,
        "io_shape_dict = {'idt': " + "[" * 90 + "]" * 90 + "}",
        "io_shape_dict = " + "-" * 50_000 + "1",
        "io_shape_dict = " + " + ".join(["{}"] * 5000),
        "io_shape_dict = {'idt': 1, **{}, 'odt': {}['a'], 3: 4}",
        "io_shape_dict = {'idt': " + "9" * 5000 + "}",
        "io_shape_dict = {'idt': f'{x}'}",
        "ishape_normal = oshape_normal = 3",
        "\ufeffio_shape_dict = {}",
        "# \ud83d\ude00".encode("utf-16", "surrogatepass").decode("latin-1"),
    ):
        put(tmp_path / "driver.py", source)
        tried(tmp_path)
