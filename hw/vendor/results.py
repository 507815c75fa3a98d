"""What the vendor's tools left: read, held against what was planned, and described for the driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from bitswath.backends.board.handoff import read_blocks
from bitswath.backends.board.overlay import EngineEntry, OverlayFile, write_overlay_file
from bitswath.basics.files import sha256_of
from bitswath.builds.design import Design
from bitswath.builds.report import RoutedReport
from bitswath.builds.vivado import read_power, read_timing, read_utilization
from bitswath.errors import BuildError
from bitswath.hw.planning.boards import Board
from bitswath.hw.vendor.project import ENGINES, family_of
from bitswath.simulated.overlay import engine_addresses

__all__ = ["XCLBIN", "describe_overlay", "read_facts", "routed_report"]

BITFILE, HANDOFF, XCLBIN = "system.bit", "system.hwh", "accelerator.xclbin"
_REPORTS = "reports"


def routed_report(result: Path, of: Literal["with shell", "accelerator alone"]) -> RoutedReport:
    """From the reports in a folder that our scripts left.

    Raises `BuildError` where one is missing or damaged, and where timing is not met, with a clock at which it would be.
    """
    facts, folder = read_facts(result), result / _REPORTS
    timing = _read(folder / "timing.rpt", read_timing)
    if not timing.met:
        clock = f"{1e3 / timing.period_ns:g} MHz" if timing.period_ns else "its clock"
        advice = f"build with --clock-mhz {timing.fitting_hz / 1e6:g} or less" if timing.fitting_hz else "see its paths"
        raise BuildError(
            f"timing is not met at {clock}: worst slack {timing.slack_ns:g} ns, hold {timing.hold_ns:g} ns,"
            f" {timing.failing:,} late; {advice}; reports: {folder}"
        )
    return RoutedReport(
        tool=f"Vivado {facts.get('vivado', '')}".strip(),
        of=of,
        counted=_read(folder / "utilization.rpt", read_utilization),
        period_ns=timing.period_ns,
        slack_ns=timing.slack_ns,
        hold_ns=timing.hold_ns,
        power_estimated=_read(folder / "power.rpt", read_power),
        activity="simulated frames" if facts.get("activity") == "1" else "Vivado's default",
    )


def read_facts(result: Path) -> dict[str, str]:
    """What our scripts told, by name."""
    path = result / "facts.txt"
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise BuildError(f"{path}: cannot be read ({error.strerror}); delete {result} and build again") from None
    return dict(line.partition(" ")[::2] for line in lines)


def describe_overlay(result: Path, design: Design, board: Board) -> None:
    """Write what the driver must know beside the bit file. On boards the hand-off file is checked first to have the
    engines that the driver looks for, where it looks for them, with the links' widths.

    Raises `BuildError` that names what differs.
    """
    alveo = board.shell == "alveo"
    bitfile = result / (XCLBIN if alveo else BITFILE)
    if not bitfile.is_file():
        raise BuildError(f"{bitfile}: the tools left none; see the log beside it")
    addresses: tuple[int | None, ...] = (None, None) if alveo else engine_addresses(family_of(board))
    entries = [EngineEntry(name=f"{name}0", address=address) for name, address in zip(ENGINES, addresses)]
    if not alveo:
        _check_handoff(result / HANDOFF, entries, design)
    clock_hz = design.clock_hz if alveo else min(design.clock_hz, float(read_facts(result)["clock_hz"]))
    entry = OverlayFile(
        bitfile=bitfile.name,
        sha256=sha256_of(bitfile),
        network=design.network,
        shell="bitswath",
        idma=entries[0],
        odma=entries[1],
        clock_hz=clock_hz,
    )
    write_overlay_file(result, entry)


def _check_handoff(path: Path, entries: list[EngineEntry], design: Design) -> None:
    blocks = read_blocks(path)
    for entry, link in zip(entries, (design.input, design.output)):
        block = blocks.engines.get(entry.name)
        if block is None:
            raise BuildError(f"{path}: expected an engine {entry.name}, it has {', '.join(sorted(blocks.engines))}")
        found = (block.address, block.port_bits, block.stream_bytes)
        wanted = (entry.address, link.width, link.width // 8)
        if found != wanted:
            raise BuildError(
                f"{path}: {entry.name}: expected registers, port bits, stream bytes {wanted}, it has {found}"
            )


_What = TypeVar("_What")


def _read(path: Path, read: Callable[[str], _What]) -> _What:
    try:
        return read(path.read_text(errors="replace"))
    except OSError as error:
        raise BuildError(f"{path}: cannot be read ({error.strerror}); see the log beside its folder") from None
    except (ValueError, IndexError) as error:
        raise BuildError(f"{path}: is no report as Vivado writes it ({error})") from None
