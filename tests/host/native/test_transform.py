"""The transform codec without Python: under sanitizers, and on other CPUs' instructions."""

from __future__ import annotations

import pytest

from tests.native.programs import ARM, SANITIZED, Target, program, run

KERNELS = {
    "aarch64": ["plain", "neon"],
    "aarch64, no dot product": ["plain", "neon"],
    "armv7": ["plain", "neon"],
    "armv7, no NEON": ["plain"],
}


def frames_of(command: list[str], damaged: int) -> set[str]:
    """What every kernel set makes of the same patches; it decodes damaged frames, too."""
    return set(run(command, damaged).split())


def test_sanitizers_find_nothing_and_kernels_agree() -> None:
    assert len(frames_of(program("transform", SANITIZED), 500)) == 1


@pytest.mark.parametrize(("cpu", "target"), ARM.items(), ids=ARM.keys())
def test_arm_makes_the_same_frames(cpu: str, target: Target) -> None:
    command = program("transform", target)
    assert run(command, "--list").split() == KERNELS[cpu]
    assert frames_of(command, 5) == frames_of(program("transform", SANITIZED), 0)
