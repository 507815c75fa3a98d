"""Builds sdist and wheel as a release does, and tries them where nothing else is installed.

The wheel is made from the sdist, the sdist from a copy of what git knows, and the wheel is installed with its base
dependencies alone: what an editable install hides is seen. Nothing is done where nothing changed since it last passed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import tomllib
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
PASSED = ROOT / ".cache" / "dist" / "passed"
PACKAGE = {"host": "bitswath", "models": "bitswath/models", "hw": "bitswath/hw"}
SOURCES = [*PACKAGE, "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "scripts/check_dist.py"]
ONLY_IN_SDIST = "host/native/"
BUNDLE = "zoo:synthetic-u4-w4a4"
PATCH = b"P6 64 64 255\n" + bytes(64 * 64 * 3)

IMPORTS = """
import importlib, importlib.metadata, pkgutil
import bitswath
for point in importlib.metadata.distribution("bitswath").entry_points:
    point.load()
extras = {
    "bitswath.backends.board.": ("pynq", "pynqmetadata", "pyxrt"),
    "bitswath.scenes.": ("rasterio",),
    "bitswath.serving.": ("starlette", "anyio", "uvicorn", "h11", "prometheus_client", "google", "grpc"),
    "bitswath.simulated.": ("pynq", "pynqmetadata"),
}
for module in pkgutil.walk_packages(bitswath.__path__, "bitswath."):
    if not module.name.startswith(("bitswath.models", "bitswath.hw", "bitswath.__main__")):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            needs = [names for room, names in extras.items() if module.name.startswith(room)]
            if error.name.partition(".")[0] not in sum(needs, ()):
                raise
"""
"""What the base install must be able to import: all entry points, all of host but what needs a room's own extra."""
EXCHANGE = ("qonnx", "onnx", "onnxruntime")
"""Of the extra ``train``, what reads models; alone they bring newer packages than FINN and TensorFlow allow."""
READS = f"""
import bitswath
from bitswath.models.lowering import lower
bundle = bitswath.open("{BUNDLE}").bundle
stages = lower(bundle.path / "model.onnx").network.stages
assert [stage.name for stage in stages] == [stage.name for stage in bundle.network.stages]
"""


class CheckError(Exception):
    """What the distribution lacks."""


def run(*command: str | Path, folder: Path) -> str:
    """Output of a command, away from this checkout. Raises `CheckError` with the end of what it printed."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=folder, env=outside, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise CheckError(f"{' '.join(map(str, command[:4]))}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def sources() -> list[str]:
    """Files that git knows or would add, of what a distribution is made from."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *SOURCES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in {*listed.stdout.split("\0")} if name and (ROOT / name).is_file())


def digest(names: list[str]) -> str:
    whole = hashlib.sha256()
    for name in names:
        whole.update(f"{name}\0".encode() + hashlib.sha256((ROOT / name).read_bytes()).digest())
    return whole.hexdigest()


def build(names: list[str], folder: Path) -> tuple[Path, Path]:
    """The sdist of these files, and the wheel of that sdist."""
    tree, dist = folder / "tree", folder / "dist"
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    run(sys.executable, "-m", "build", "--outdir", dist, tree, folder=folder)
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    return sdist, wheel


def in_wheel(name: str) -> str:
    """Where a source file has to be in the wheel."""
    room, *rest = PurePosixPath(name).parts
    return str(PurePosixPath(PACKAGE[room], *rest))


def compare(names: list[str], wheel: Path) -> str:
    """Every file of the package's tree is in the wheel with the same bytes, and nothing else but the native core."""
    expected = {in_wheel(name): name for name in names if name.split("/")[0] in PACKAGE and ONLY_IN_SDIST not in name}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("bitswath/")}
        changed = [name for name in held & {*expected} if archive.read(name) != (ROOT / expected[name]).read_bytes()]
    extra = sorted(name for name in held - {*expected} if not name.startswith("bitswath/_native."))
    for what, found in (("lacks", sorted({*expected} - held)), ("has also", extra), ("changed", sorted(changed))):
        if found:
            raise CheckError(f"the wheel {what} {len(found)} files: {', '.join(found[:10])}")
    return f"{len(expected)} files, the same"


def install(what: Path, folder: Path) -> Path:
    """The programs of a new environment that has this and what it needs."""
    place = folder / f"venv-{what.suffix.strip('.')}"
    venv.create(place, with_pip=True)
    run(place / "bin" / "pip", "install", "--quiet", "--no-compile", what, folder=folder)
    return place / "bin"


def use(programs: Path, folder: Path) -> str:
    """Entry points, modules and commands, as after `pip install bitswath`; what `--version` says."""
    run(programs / "python", "-c", IMPORTS, folder=folder)
    (folder / "patch.ppm").write_bytes(PATCH)
    run(programs / "bitswath", "info", BUNDLE, folder=folder)
    run(programs / "bitswath", "classify", BUNDLE, "patch.ppm", folder=folder)
    return run(programs / "bitswath", "--version", folder=folder).strip()


def read_models(programs: Path, folder: Path) -> str:
    """A bundle's QONNX model is lowered to its network, with the newest that its readers may be."""
    wanted = [
        need
        for need in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["train"]
        if re.split("[=<>]", need)[0] in EXCHANGE
    ]
    run(programs / "pip", "install", "--quiet", "--no-compile", *wanted, folder=folder)
    run(programs / "python", "-c", READS, folder=folder)
    held = run(programs / "pip", "list", "--format=freeze", folder=folder).split()
    return ", ".join(name for name in held if name.split("==")[0] in (*EXCHANGE, "protobuf"))


def steps(names: list[str], folder: Path, with_sdist: bool) -> Iterator[tuple[str, str]]:
    """What was done and what came of it. Raises `CheckError` where the distribution lacks something."""
    sdist, wheel = build(names, folder)
    yield "build", f"{sdist.name}, {wheel.name}"
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, folder=folder)
    yield "twine check", "passed"
    yield "wheel against tree", compare(names, wheel)
    for made in (wheel, sdist) if with_sdist else (wheel,):
        programs = install(made, folder)
        packages = run(programs / "pip", "list", "--format=freeze", folder=folder).split()
        yield f"install {made.name}", f"{len(packages)} packages"
        yield "use it", use(programs, folder)
    yield "read models", read_models(programs, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdist", action="store_true", help="also install the sdist with pip, which compiles again")
    parser.add_argument("--again", action="store_true", help="even where nothing changed")
    given = parser.parse_args()
    names = sources()
    state = f"{digest(names)} sdist={given.sdist}"
    if not given.again and PASSED.is_file() and PASSED.read_text() == state:
        print("distribution: nothing changed since it last passed")
        return
    table = Table("step", "seconds", "result", title="distribution")
    with tempfile.TemporaryDirectory() as temporary:
        started = time.monotonic()
        try:
            for step, result in steps(names, Path(temporary), given.sdist):
                table.add_row(step, f"{time.monotonic() - started:.0f}", result)
                started = time.monotonic()
        except CheckError as error:
            raise SystemExit(f"distribution: {error}") from error
        finally:
            Console(width=118).print(table)
    PASSED.parent.mkdir(parents=True, exist_ok=True)
    PASSED.write_text(state)


if __name__ == "__main__":
    main()
