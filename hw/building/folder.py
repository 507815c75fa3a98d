"""A build's folder in its bundle: put there whole or not at all, or beside it where it failed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.basics.files import scratch_path, swap_folders
from bitswath.builds.design import DESIGN
from bitswath.builds.folder import CHECKED, FAILED, HARDWARE, RTL
from bitswath.builds.report import REPORT, REPORT_PAGE, Report
from bitswath.bundle.bundle import Bundle
from bitswath.errors import BuildError
from bitswath.hw.building.activity import ACTIVITY
from bitswath.hw.planning.boards import Board
from bitswath.hw.report.page import report_page

__all__ = ["BITSTREAM", "copy_design", "keep_failed", "publish"]

BITSTREAM = "bitstream"
"""Folder of a build with what the vendor's tools made."""


def publish(
    bundle: Bundle, board: Board, build: Path, report: Report, bitstream: Path | None, activity: Path | None = None
) -> Path:
    """Put a build folder with its report into the bundle, whole or not at all; the folder there. `bitstream`: what the
    vendor's tools left, `activity`: of simulated frames."""
    target = bundle.path / HARDWARE / board.name
    with _taking_the_place_of(target) as scratch:
        copy_design(build, scratch)
        if bitstream is not None:
            shutil.copytree(bitstream, scratch / BITSTREAM)
        if activity is not None:
            shutil.copyfile(activity, scratch / ACTIVITY)
        (scratch / REPORT).write_text(report.model_dump_json(indent=1) + "\n")
        (scratch / REPORT_PAGE).write_text(report_page(report))
    shutil.rmtree(_failed(target), ignore_errors=True)
    return target


def keep_failed(bundle: Bundle, board: Board, build: Path, frames: NDArray[np.uint8]) -> Path:
    """Put a build whose results are wrong for `frames` into the bundle, where only its own name finds it."""
    target = _failed(bundle.path / HARDWARE / board.name)
    with _taking_the_place_of(target) as scratch:
        copy_design(build, scratch)
        np.save(scratch / CHECKED, frames)
    return target


def _failed(target: Path) -> Path:
    return target.with_name(f"{target.name}{FAILED}")


def copy_design(build: Path, folder: Path) -> None:
    shutil.copytree(build / RTL, folder / RTL)
    shutil.copyfile(build / DESIGN, folder / DESIGN)


@contextlib.contextmanager
def _taking_the_place_of(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` if all goes well; else what was there stays."""
    scratch = scratch_path(target)
    try:
        scratch.mkdir(parents=True)
        yield scratch
        swap_folders(scratch, target)
    except OSError as error:
        raise BuildError(f"{error.filename or target}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
