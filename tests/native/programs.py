"""Builds the programs beside this file with the native core, for this CPU and others, without Python's headers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.paths import ROOT

HERE = Path(__file__).parent
CORE = ROOT / "host" / "native"
BUILDS = ROOT / ".cache" / "native"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi")  # psabi: GCC 7 changed how some arguments are passed


@dataclass(frozen=True)
class Target:
    """A compiler with its flags, and what runs its programs: nothing for this CPU. Those of one `name` share them."""

    name: str
    compiler: str
    flags: tuple[str, ...]
    link_flags: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()

    @property
    def missing(self) -> str | None:
        """The first tool that is not installed."""
        return next((tool for tool in (self.compiler, *self.runner[:1]) if shutil.which(tool) is None), None)


WHEEL = ("-O3",)
SANITIZED = Target("sanitized", "g++", ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
AARCH64 = ("aarch64-linux-gnu-g++", WHEEL, ("-static",))
ARMV7 = ("arm-linux-gnueabihf-g++", WHEEL, ("-static",))
ARM = {
    "aarch64": Target("aarch64", *AARCH64, ("qemu-aarch64", "-cpu", "max")),
    "aarch64, no dot product": Target("aarch64", *AARCH64, ("qemu-aarch64", "-cpu", "cortex-a53")),
    "armv7": Target("armv7", *ARMV7, ("qemu-arm", "-cpu", "cortex-a9")),
    "armv7, no NEON": Target("armv7", *ARMV7, ("qemu-arm", "-cpu", "cortex-a9,neon=off")),
}


def program(name: str, target: Target) -> list[str]:
    """The command that runs a program; skips the test where the target's tools are not installed."""
    if target.missing:
        pytest.skip(f"{target.missing} is not installed")
    return [*target.runner, str(build(name, target))]


def run(command: list[str], *arguments: object) -> str:
    """The standard output of a program that must succeed."""
    result = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, f"{' '.join(map(str, (*command, *arguments)))}\n{result.stderr[-6000:]}"
    return result.stdout


def core_sources() -> list[Path]:
    """The native sources that do not talk to Python."""
    return [path for path in sorted(CORE.rglob("*.cpp")) if path.parent != CORE / "bindings"]


def build(program: str, target: Target) -> Path:
    """The program `program`.cpp linked with the core; objects are kept by a digest of all that they depend on."""
    BUILDS.mkdir(parents=True, exist_ok=True)
    with (BUILDS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources = [*core_sources(), HERE / f"{program}.cpp"]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(lambda source: _compile(source, target), sources))
        digest = hashlib.sha256("".join(path.name for path in objects).encode())
        binary = BUILDS / f"{program}-{target.name}-{digest.hexdigest()[:16]}"
        if not binary.exists():
            _make([target.compiler, *target.flags, "-pthread", *map(str, objects), *target.link_flags], binary)
    return binary


def _compile(source: Path, target: Target) -> Path:
    command = [target.compiler, "-std=c++17", *target.flags, *WARNINGS, "-pthread", f"-I{CORE}", "-c", str(source)]
    digest = hashlib.sha256("\0".join([_version(target.compiler), *target.flags, *WARNINGS]).encode())
    for path in [source, *sorted([*HERE.glob("*.hpp"), *CORE.rglob("*.hpp")])]:
        digest.update(path.read_bytes())
    name = "-".join(source.relative_to(CORE if CORE in source.parents else HERE).with_suffix("").parts)
    obj = BUILDS / f"{name}-{target.name}-{digest.hexdigest()[:16]}.o"
    if not obj.exists():
        _make(command, obj)
    return obj


def _version(compiler: str) -> str:
    return subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True).stdout


def _make(command: list[str], output: Path) -> None:
    partial = output.with_name(f".{output.name}")
    result = subprocess.run([*command, "-o", str(partial)], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{result.stderr}")
    partial.rename(output)
    stem = output.name.removesuffix(output.suffix).rsplit("-", 1)[0]
    for old in BUILDS.glob(f"{stem}-????????????????{output.suffix}"):
        if old != output:
            old.unlink()
