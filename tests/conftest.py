"""Which tests are quick: `--quick` leaves out what `SLOW` names, and nothing else says so."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SLOW = (
    "board",
    "end_to_end",
    "rtl",
    "host/test_codec_kernels.py",
    "host/test_fast_models.py",
    "host/test_native.py",
    "host/test_native_packing.py",
    "host/test_rtl_backend.py",
    "host/test_system.py",
    "host/bench/test_suite.py",
    "hw/test_architectures.py",
    "hw/test_boards.py",
    "hw/test_build.py",
    "hw/test_failed_build.py",
    "hw/test_fifos.py",
    "hw/test_nodes.py",
    "hw/test_rtllib.py",
    "hw/test_shell.py",
    "hw/test_synthesis.py",
    "hw/test_thresholding.py",
    "hw/test_top.py",
    "models/test_export.py",
    "models/test_lowering_brevitas.py",
    "models/test_origins.py",
    "models/test_train.py",
    "models/test_verify.py",
    "models/test_verify_rtl.py",
    "models/study/test_cluster.py",
    "models/study/test_runner.py",
    "models/study/test_train_cell.py",
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
