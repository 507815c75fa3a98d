"""The check of the distribution: what a wheel lacks, has too much or has changed is named."""

from __future__ import annotations

import zipfile
from pathlib import Path

import check_dist
import pytest

NAMES = ["host/cli.py", "host/native/bits.cpp", "hw/techmap.v", "models/zoo/a.bsw/manifest.json", "setup.py"]
IN_WHEEL = {"bitswath/cli.py", "bitswath/hw/techmap.v", "bitswath/models/zoo/a.bsw/manifest.json"}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of `NAMES`, whose contents are their names."""
    monkeypatch.setattr(check_dist, "ROOT", tmp_path)
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(check_dist.in_wheel(name) if name != "setup.py" else "")
    return written(tmp_path / "x.whl", {name: name for name in IN_WHEEL})


def written(wheel: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in {**files, "bitswath/_native.so": "", "x.dist-info/METADATA": ""}.items():
            archive.writestr(name, content)
    return wheel


def test_a_wheel_of_all_files_but_native_sources_passes(wheel: Path) -> None:
    assert check_dist.compare(NAMES, wheel) == "3 files, the same"


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({name: name for name in IN_WHEEL - {"bitswath/hw/techmap.v"}}, "lacks 1 files: bitswath/hw/techmap.v"),
        ({name: name for name in {*IN_WHEEL, "bitswath/left.py"}}, "has also 1 files: bitswath/left.py"),
        ({name: name.upper() for name in IN_WHEEL}, "changed 3 files: bitswath/cli.py"),
    ],
)
def test_a_difference_is_named(wheel: Path, files: dict[str, str], complaint: str) -> None:
    written(wheel, files)
    with pytest.raises(check_dist.CheckError, match=complaint):
        check_dist.compare(NAMES, wheel)


def test_a_failing_command_is_told_with_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(check_dist.CheckError, match=r"ls: .*: No such file"):
        check_dist.run("ls", "absent", folder=tmp_path)


def test_the_digest_changes_with_a_files_name_and_content(wheel: Path) -> None:
    root = check_dist.ROOT
    before = check_dist.digest(NAMES)
    (root / "hw" / "other.v").write_bytes((root / "hw/techmap.v").read_bytes())
    renamed = check_dist.digest([name.replace("techmap", "other") for name in NAMES])
    (root / "hw/techmap.v").write_text("another")
    assert len({before, renamed, check_dist.digest(NAMES)}) == 3
