"""The native packers without Python: under sanitizers, and on other CPUs' instructions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native.programs import ARM, SANITIZED, Target, program, run

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4")
KERNELS = {"aarch64": 2, "aarch64, no dot product": 2, "armv7": 2, "armv7, no NEON": 1}


@dataclass(frozen=True)
class Case:
    """Values (rows, count) of a type, to be packed as elements of `bits`; bipolar if signed and of one bit."""

    kind: str
    bits: int
    signed: bool
    values: NDArray[np.int64]
    bad: int | None = None

    def words(self) -> list[int]:
        rows, count = self.values.shape
        values = self.values.ravel().tolist()
        return [TYPES.index(self.kind), rows, count, self.bits, int(self.signed), len(values), *values]

    def packed(self) -> NDArray[np.uint8]:
        raw = (self.values + 1) // 2 if self.signed and self.bits == 1 else self.values
        planes = raw[:, :, None] >> np.arange(self.bits) & 1
        return np.packbits(planes.reshape(len(raw), -1).astype(np.uint8), axis=1, bitorder="little").ravel()


def random_cases(seed: int) -> Iterator[Case]:
    """Every type and width, with counts around the steps of the kernels; some with a value out of range."""
    rng = np.random.default_rng(seed)
    for kind in TYPES:
        dtype = np.dtype(kind)
        for bits in (*range(1, 9), 11, 16, 24, 32):
            signed = bool(rng.integers(2)) and kind[0] == "i"
            if bits > 8 * dtype.itemsize or (bits > 8 and kind == "f4") or (bits >= 31 and kind != "i8"):
                continue
            lo, hi = (
                (-1, 1)
                if signed and bits == 1
                else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
                if signed
                else (0, 2**bits - 1)
            )
            top = 2**53 if kind == "f4" else np.iinfo(dtype).max
            for shape in ((1, 1), (3, 7), (2, 8), (5, 9), (1, 64), (2, 200 + seed), (1, 8200)):
                values = rng.integers(lo, min(hi, top), shape, endpoint=True)
                values = np.where(values > 0, 1, -1) if signed and bits == 1 else values
                yield Case(kind, bits, signed, values)
                if hi < top:
                    bad = int(rng.integers(values.size))
                    spoiled = values.copy()
                    spoiled.flat[bad] = hi + 1
                    yield Case(kind, bits, signed, spoiled, bad)


def assert_exact(pack: list[str], folder: Path, seed: int) -> int:
    """Every case with every kernel; the number of kernels."""
    cases = list(random_cases(seed))
    words = [len(cases), *(word for case in cases for word in case.words())]
    (folder / "cases").write_bytes(np.array(words, "<i8").tobytes())
    kernels = len(run(pack, "--list").split())
    run(pack, folder / "cases", folder / "bytes")
    out, at = np.fromfile(folder / "bytes", "<i8"), 0
    for case in cases:
        for way in range(2 * kernels):
            message = (
                f"seed {seed}, {case.kind}, {case.bits} bits, signed {case.signed}, {case.values.shape}, way {way}"
            )
            if case.bad is not None:
                assert out[at] == case.bad, message
                at += 1
                continue
            assert out[at] == -1, message
            for expected in (case.packed(), case.values.ravel()):
                size = int(out[at + 1])
                np.testing.assert_array_equal(out[at + 2 : at + 2 + size], expected, err_msg=message)
                at += 1 + size
            at += 1
    assert at == len(out), "expected no words after the last case"
    return kernels


def test_sanitizers_find_nothing_and_every_packer_is_exact(tmp_path: Path) -> None:
    assert_exact(program("pack", SANITIZED), tmp_path, 1)


@pytest.mark.parametrize(("cpu", "target"), ARM.items(), ids=ARM.keys())
def test_arm_packers_are_exact(cpu: str, target: Target, tmp_path: Path) -> None:
    assert assert_exact(program("pack", target), tmp_path, 2) == KERNELS[cpu]
