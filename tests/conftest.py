"""Which tests are quick: `--quick` leaves out what `SLOW` names, and nothing else says so."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SLOW = (
    "board",
    "end_to_end",
    "rtl",
    "host/codecs/test_codec_kernels.py",
    "host/backends/rtl/test_fast_models.py",
    "host/native/test_native.py",
    "host/native/test_packing.py",
    "host/backends/rtl/test_rtl_backend.py",
    "host/scenes/test_cluster.py",
    "host/scenes/test_resume.py",
    "host/simulated/test_instances.py",
    "host/simulated/test_system.py",
    "host/bench/test_suite.py",
    "hw/test_architectures.py",
    "hw/test_compressed.py",
    "hw/planning/test_boards.py",
    "hw/building/test_bitstream.py",
    "hw/building/test_build.py",
    "hw/building/test_compressed_build.py",
    "hw/building/test_failed_build.py",
    "hw/counting/test_queues.py",
    "hw/vendor",
    "hw/worker/test_nodes.py",
    "hw/generating/test_finn_reports.py",
    "hw/generating/test_rtllib.py",
    "hw/generating/test_shell.py",
    "hw/counting/test_synthesis.py",
    "hw/worker/test_thresholding.py",
    "hw/generating/test_top.py",
    "models/export/test_export.py",
    "models/export/test_onnx_bundle.py",
    "models/lowering/test_brevitas.py",
    "models/lowering/test_damage.py",
    "models/lowering/test_random_graphs.py",
    "models/training/test_origins.py",
    "models/training/test_train.py",
    "models/verify/test_verify.py",
    "models/verify/test_verify_rtl.py",
    "models/study/work/test_cluster.py",
    "models/study/work/test_runner.py",
    "models/study/work/test_train_cell.py",
    "scripts/test_bench_scripts.py",
)
"""Folders and files below tests/: they simulate hardware, run FINN or Yosys, compile C++, train, or measure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out what simulates, compiles, trains or measures")


def pytest_configure(config: pytest.Config) -> None:
    missing = [name for name in SLOW if not (TESTS / name).exists()]
    if missing:
        raise pytest.UsageError(f"tests/conftest.py: SLOW names {', '.join(missing)}, which is not there")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    left_out = config.getoption("quick") and any(collection_path == TESTS / name for name in SLOW)
    return True if left_out else None
