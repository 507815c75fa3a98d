"""The native core: its rooms; and without Python, under sanitizers and on other CPUs' instructions."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path, PurePath

import numpy as np
import pytest

from bitswath.backends.emulator import available_kernels
from bitswath.network.network import INPUT, Conv, Dense
from tests.host.backends.emulator.test_emulator import CONVS
from tests.host.backends.emulator.test_emulator_bits import CASES as BIT_CASES
from tests.host.backends.emulator.test_emulator_winograd import CASES as WINOGRAD_CASES
from tests.host.backends.emulator.test_emulator_winograd import extreme
from tests.native import cases as files
from tests.native.blocks import block_network, vgg
from tests.native.cases import Case
from tests.native.programs import ARM, CORE, SANITIZED, program, run
from tests.networks import network_of, random_network, small_cnn

# The kernel sets that must run on each.
ARM_SETS = {
    "aarch64": ["scalar", "neon", "neondot"],
    "aarch64, no dot product": ["scalar", "neon"],
    "armv7": ["scalar", "neon"],
    "armv7, no NEON": ["scalar"],
}
NEON = {"smlal8-chain", "smlal8", "smlal16", "depthwise8", "depthwise16", "depthwise32"}
# Kernels of convolutions that the cases must reach.
FORMS = {
    "scalar": {"loop", "depthwise", "popcount"},
    "neon": {"vcnt", *NEON},
    "neondot": {"sdot", "winograd-sdot", "vcnt", *NEON} - {"smlal8-chain", "smlal8"},
}
# Threads, and frames at once: whole frames each, one frame's rows together.
WAYS = [(1, 3), (2, 3), (2, 1)]


def assert_exact(
    emulate: list[str], cases: list[Case], folder: Path, kernel: str, threads: int, batch: int
) -> set[str]:
    """Every tensor that is kept, with and without fused stages; the names of the kernels that ran."""
    files.write(cases, folder / "cases")
    steps = set[str]()
    for fuse in (0, 1):
        steps |= set(run(emulate, folder / "cases", folder / "tensors", kernel, threads, fuse, batch).split())
        for case, tensors in files.read(folder / "tensors", cases):
            assert list(case.network.tensors)[-1] in tensors
            assert fuse or list(tensors) == list(case.network.tensors)
            for name, values in tensors.items():
                message = f"{case.name}: {name}; {kernel}, threads {threads}, batch {batch}, fuse {fuse}"
                np.testing.assert_array_equal(values, case.expected[name], err_msg=message)
    return {step.partition("+")[0] for step in steps}


def random_cases(count: int) -> list[Case]:
    cases = [Case.of("small_cnn", small_cnn())]
    cases += [Case.of(f"random_network({seed})", random_network(seed), seed) for seed in range(count)]
    cases += [Case.of(f"block_network({seed})", block_network(seed), seed) for seed in range(count)]
    return cases


def vgg_cases() -> list[Case]:
    widths = [(1, 1), (1, 8), (2, 2), (3, 5), (4, 4), (4, 7), (5, 3), (6, 8), (7, 1), (8, 6), (8, 8)]
    cases = [Case.of(f"vgg{widths}", vgg(*widths)) for widths in widths]
    return [*cases, Case.of("vgg, falling", vgg(4, 4, kind="falling")), Case.of("vgg, wide", vgg(2, 4, channels=40))]


def limit_cases() -> list[Case]:
    """Sums at the most that a kernel may add in 16 bits, and one beyond."""
    limits = [(0, 31, 33), (0, 31, -34), (0, 127, 127), (0, 127, -128), (0, 128, 127), (-128, 0, -127), (-128, 0, -128)]
    cases = [Case.of(name, conv.network()) for name, conv in CONVS.items()]
    taps = np.random.default_rng(0).integers(-14, 15, (16, 3, 3, 1))
    depthwise = Conv("conv", (INPUT,), taps, pads=(1, 1, 1, 1), groups=16)
    cases.append(Case.of("depthwise in 16 bits", network_of((6, 6, 16), 0, 255, depthwise)))
    for lo, hi, weight in limits:
        conv = Conv("conv", (INPUT,), np.full((9, 3, 3, 70), weight), pads=(1, 1, 1, 1))
        dense = Dense("dense", (INPUT,), np.full((5, 5 * 4 * 70), weight))
        for stage in (conv, dense):
            cases.append(Case.of(f"{stage.name}, {lo}..{hi} times {weight}", network_of((5, 4, 70), lo, hi, stage)))
    return cases


def bit_cases() -> list[Case]:
    return [Case.of(name, case.network()) for name, case in BIT_CASES.items()]


def winograd_cases() -> list[Case]:
    cases = [Case.of(f"winograd, {name}", case.network()) for name, case in WINOGRAD_CASES.items()]
    ranges = [(weight, lo, hi) for weight in (-8, 7, -15) for lo, hi in ((0, 15), (-16, 15), (0, 31))]
    return [*cases, *(Case.of(f"winograd, {of}", extreme(of[0], 96, *of[1:])) for of in ranges)]


@pytest.fixture(scope="module")
def many_cases() -> list[Case]:
    return [*random_cases(40), *vgg_cases(), *limit_cases(), *bit_cases(), *winograd_cases()]


@pytest.fixture(scope="module")
def few_cases() -> list[Case]:
    return [*random_cases(14), *vgg_cases(), *limit_cases(), *bit_cases(), *winograd_cases()]


def declared_rooms() -> dict[str, set[str]]:
    """The rooms that native.hpp shows, and those that each may include."""
    rows = re.findall(r"^//   (\S+) +:(.*?)(?:  |$)", (CORE / "native.hpp").read_text(), re.MULTILINE)
    return {room: set(others.split()) for room, others in rows}


def room_of(file: str, rooms: Iterable[str]) -> str:
    """The innermost room that holds a file, given from host/native."""
    parts = PurePath(file).with_suffix("").as_posix() + "/"
    return max((room for room in rooms if parts.startswith(f"{room}/")), key=len)


def test_rooms_include_only_those_below_them() -> None:
    rooms = declared_rooms()
    included: dict[str, set[str]] = {room: set() for room in rooms}
    for path in [*CORE.rglob("*.cpp"), *CORE.rglob("*.hpp")]:
        room = room_of(str(path.relative_to(CORE)), rooms)
        for file in re.findall(r'^#include "(.+)"', path.read_text(), re.MULTILINE):
            assert (CORE / file).is_file(), f"{path}: expected a path from host/native, got {file}"
            included[room] |= {room_of(file, rooms)} - {room}
    assert included == rooms
    above = set[str]()
    for room, others in rooms.items():
        assert others <= above, f"{room} includes rooms that native.hpp shows after it: {others - above}"
        above.add(room)


def test_one_place_says_what_instructions_kernels_need() -> None:
    spelled = re.compile(r"\btarget\b *\(|cpu_supports|getauxval|cpuid")
    files = {path.relative_to(CORE).as_posix() for path in CORE.rglob("*.?pp") if spelled.search(path.read_text())}
    assert files == {"common/cpu.cpp", "common/cpu.hpp"}


NEAREST_COLOURS = """
import numpy as np
import bitswath as bs
rng = np.random.default_rng(5)
patches, colours = rng.integers(0, 4096, (2, 9, 9, 3)).astype(np.uint16), rng.integers(0, 4096, (16, 3))
distances = ((patches[..., None, :].astype(np.int64) - colours) ** 2).sum(-1)
codec = bs.PaletteCodec(4, depth=12, colours=colours.tolist())
np.testing.assert_array_equal(codec.encode(patches)[..., 0], distances.argmin(-1))
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="an emulated x86-64 processor runs this Python")
@pytest.mark.parametrize("cpu", ["Haswell,-fma", "Nehalem"])
def test_palettes_run_on_processors_with_fewer_instructions(cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("qemu-x86_64") is None:
        pytest.skip("qemu-x86_64 is not installed")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")  # numpy's own would take AVX2 to mean FMA
    run(["qemu-x86_64", "-cpu", cpu, sys.executable], "-c", NEAREST_COLOURS)


def test_sanitizers_find_nothing_and_every_kernel_is_exact(many_cases: list[Case], tmp_path: Path) -> None:
    emulate = program("emulate", SANITIZED)
    kernels = run(emulate, "--list").split()
    assert kernels == list(available_kernels())
    for kernel in kernels:
        for threads, batch in WAYS:
            assert_exact(emulate, many_cases, tmp_path, kernel, threads, batch)


@pytest.mark.parametrize("cpu", ARM)
def test_arm_kernels_are_exact(cpu: str, few_cases: list[Case], tmp_path: Path) -> None:
    emulate = program("emulate", ARM[cpu])
    assert run(emulate, "--list").split() == ARM_SETS[cpu]
    for kernel in ARM_SETS[cpu]:
        for threads, batch in WAYS[1:]:
            steps = assert_exact(emulate, few_cases, tmp_path, kernel, threads, batch)
            assert FORMS[kernel] <= steps
