"""Benchmarks and the command line drive a board by the same code as everything else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from bitswath.bench.subject import load_inputs, opened
from bitswath.bench.suite import Settings, measure_all
from bitswath.bundle.bundle import load_bundle
from bitswath.commands.bench import command as bench
from bitswath.commands.classify import command as classify
from bitswath.simulated import System
from tests.board.boards import Plug

SETTINGS = Settings(queries=3, warmup=1, stream_s=0.0, turns=1, turn_s=0.01)


def test_latency_and_throughput_of_a_board(plug: Plug, system: System, small: Path) -> None:
    bundle = load_bundle(small)
    with opened(bundle, "pynq", bitstream=plug.folder(small), device=plug.device(system)) as subject:
        facts = measure_all(["latency", "throughput"], subject, load_inputs(bundle, 3), SETTINGS)
    assert list(facts["latency"]["alone"]) == ["encode", "pack", "fill", "transfer, compute", "unpack"]
    assert facts["latency"]["percentiles"]["device"]["queries"] == 3
    assert facts["pynq"]["stream_over_kernel"] > 0
    assert facts["backend"]["clock_hz"] > 0


def test_commands_take_a_bitstream(plug: Plug, system: System, small: Path, tmp_path: Path) -> None:
    plug.device(system)
    pixels = np.random.default_rng(0).integers(0, 256, load_bundle(small).manifest.input.patch_shape, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    where = ["--backend", "pynq", "--bitstream", str(plug.folder(small))]
    done = CliRunner().invoke(classify, [str(small), str(tmp_path / "one.png"), *where], catch_exceptions=False)
    assert done.exit_code == 0 and "one.png: class" in done.output
    quick = ["--what", "latency", "--queries", "2", "--stream-s", "0", "--json", str(tmp_path / "bench.json")]
    done = CliRunner().invoke(bench, [str(small), *where, *quick], catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads((tmp_path / "bench.json").read_text())["backend"]["name"] == "pynq"
