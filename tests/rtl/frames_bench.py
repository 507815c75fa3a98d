"""Compiles transform_decode for a codec with Verilator and streams frames through it, side band and all.

What cocotb does for the other kernels takes too long for frames in their thousands; this bench is C++.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time

import numpy as np
from numpy.typing import NDArray

from bitswath.hw.units.frames import frame_memories
from tests.rtl.simulate import CACHE, Scenario, digest, environment, fields, keep_runtime, literal, sources
from tests.transform_model import Codec, Decoded, decode, found_on_link, reconstruct

MAIN = Path(__file__).with_suffix(".cpp")
BUILD = ("--cc", "--exe", "--build", "--top-module", "transform_decode", "-o", "bench")
OPTIONS = ("-Wall", "--assert", "--no-timing", "--x-assign", "unique", "--x-initial", "unique")
MAKEFLAGS = "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1"


@dataclass(frozen=True)
class Form:
    """A decoder's sizes."""

    bands: int = 3
    height: int = 64
    width: int = 64
    simd: int = 1
    word_bits: int = 64
    max_bytes: int = 2048
    timeout: int = 1000
    queue: int = 512

    @property
    def rows(self) -> int:
        return -(-self.height // 16)

    @property
    def columns(self) -> int:
        return -(-self.width // 16)

    @property
    def word(self) -> int:
        return self.word_bits // 8


@dataclass(frozen=True)
class Streamed:
    """What came out: pixels (N, height, width, bands), whether each frame is damaged, the cycle of its last beat."""

    pixels: NDArray[np.uint8]
    damaged: NDArray[np.bool_]
    cycles: NDArray[np.int64]


def parameters(form: Form, codec: Codec) -> dict[str, int | str]:
    """Of transform_decode."""
    return {
        "WORD_BITS": form.word_bits,
        "MAX_BYTES": form.max_bytes,
        "TIMEOUT": form.timeout,
        "BANDS": form.bands,
        "HEIGHT": form.height,
        "WIDTH": form.width,
        "SIMD": form.simd,
        "QUEUE": form.queue,
        "SEED": fields([codec.seed], 16),
        "DELTAS": fields([delta & 63 for delta in codec.deltas], 6),
        "MATRIX": fields([int(v) & 0xFFFF for v in codec.matrix.reshape(-1)], 16),
    }


def memories(codec: Codec) -> dict[str, str]:
    """The files of a codec's tables."""
    ac, dc = list(zip(*codec.ac)), list(zip(*codec.dc))
    return {f"frames_{k}": v for k, v in frame_memories(ac[0], ac[1], codec.contexts, dc[0], dc[1]).items()}


def built(form: Form, codec: Codec) -> Path:
    """The simulator, from the cache or compiled now; entropy tables are not in it."""
    files = sources("transform_decode")
    given = [f"-G{name}={literal(value)}" for name, value in parameters(form, codec).items()]
    model = CACHE / f"frames-{digest(*files, MAIN, *OPTIONS, MAKEFLAGS, *given)}"
    runtime = CACHE / f"runtime-frames-{digest(MAKEFLAGS)}"
    if not model.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder, environment():
            for kept in runtime.glob("*.o"):
                os.utime(shutil.copy(kept, folder), (time() + 3600,) * 2)
            command = ["verilator", *BUILD, *OPTIONS, *given, "-Mdir", folder]
            command += ["-CFLAGS", f"-DWORD_BITS={form.word_bits} -DSIMD={form.simd}", "-MAKEFLAGS", MAKEFLAGS]
            done = subprocess.run([*command, *map(str, files), str(MAIN)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            keep_runtime(Path(folder), runtime)
            Path(folder, "bench").replace(model)
    return model


def stream(
    form: Form, codec: Codec, data: bytes, frames: int, scenario: Scenario, seed: int, pause_at: int = 0
) -> Streamed:
    """Words through the decoder, as a scenario pauses them. Fails on any assertion in the kernel.

    `frames`: how many are expected; `pause_at`: before which byte the link stays idle for long after all came out.
    """
    model = built(form, codec)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "words").write_bytes(data)
        for name, text in memories(codec).items():
            Path(folder, name).write_text(text)
        pause = 100_000 + 4 * form.timeout if pause_at else 0
        given = (seed, *scenario.pace_in, *scenario.pace_out, scenario.cut, pause_at, pause, frames)
        command = [str(model), "words", "out", *map(str, given)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr} seed {seed}"
        beats = np.frombuffer(Path(folder, "out.beats").read_bytes(), np.uint8)
        lines = [line.split() for line in Path(folder, "out.frames").read_text().splitlines()]
    frame = form.height * form.width * form.bands
    assert len(beats) == len(lines) * frame, f"{len(beats)} samples, {len(lines)} frames of {frame}; seed {seed}"
    ends = np.array([line[2] for line in lines], np.int64)
    np.testing.assert_array_equal(ends, np.arange(1, len(lines) + 1) * frame // form.simd)
    return Streamed(
        beats.reshape(-1, form.height, form.width, form.bands),
        np.array([line[1] == "1" for line in lines], np.bool_),
        np.array([line[0] for line in lines], np.int64),
    )


def expected(form: Form, codec: Codec, frames: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Pixels and whether damaged, of frames or None for those that a reader found damaged."""
    ids = {frame: i for i, frame in enumerate(dict.fromkeys(frames))}
    nothing = Decoded(np.zeros((form.rows, form.columns, form.bands, 256), np.int64), 0, True)
    decoded = [nothing if f is None else decode(codec, f, form.rows, form.columns) for f in ids]
    levels, steps = np.stack([found.levels for found in decoded]), [found.step for found in decoded]
    pixels = reconstruct(codec, levels, steps, form.height, form.width)
    each = [ids[frame] for frame in frames]
    return pixels[each], np.array([found.damaged for found in decoded], np.bool_)[each]


def check(form: Form, codec: Codec, data: bytes, scenario: Scenario, seed: int, pause_at: int = 0) -> Streamed:
    """What comes out of words is what the model says of them."""
    parts = (data[:pause_at], data[pause_at:])
    frames = [frame for part in parts for frame in found_on_link(codec, part, form.word, form.max_bytes)]
    found = stream(form, codec, data, len(frames), scenario, seed, pause_at)
    pixels, bad = expected(form, codec, frames)
    np.testing.assert_array_equal(found.damaged, bad, err_msg=f"{scenario.name}, seed {seed}")
    np.testing.assert_array_equal(found.pixels, pixels, err_msg=f"{scenario.name}, seed {seed}")
    return found
