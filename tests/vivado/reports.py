"""Reports in the form that Vivado writes them, of numbers that a test chooses."""

from __future__ import annotations

from bitswath.builds.report import Counts

__all__ = ["power", "timing", "utilization"]

_LINE = "-" * 96


def head(command: str, version: str) -> str:
    return (
        "Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.\n"
        f"{_LINE}\n| Tool Version : Vivado v.{version} (lin64) Build 4029153\n| Command      : {command}\n"
        f"| Design State : Routed\n{_LINE}\n\n"
    )


def timing(
    slack: float, hold: float, period: float, *, failing: int = 0, clock: str = "clk_fpga_0", version: str = "2023.2"
) -> str:
    """As ``report_timing_summary``."""
    numbers = f"{slack:11.3f}{min(slack, 0):13.3f}{failing:23}{109761:21}{hold:13.3f}{0:13.3f}{0:23}{109761:21}"
    numbers += f"{3.75:13.3f}{0:13.3f}{0:24}{52934:22}"
    return head("report_timing_summary -max_paths 10", version) + (
        f"{_LINE}\n| Design Timing Summary\n| ---------------------\n{_LINE}\n\n"
        "    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  "
        "THS Failing Endpoints  THS Total Endpoints     WPWS(ns)     TPWS(ns)  TPWS Failing Endpoints  "
        "TPWS Total Endpoints  \n"
        "    -------      -------  ---------------------  -------------------      -------      -------  "
        "---------------------  -------------------     --------     --------  ----------------------  "
        "--------------------  \n"
        f"{numbers}  \n\n\n{_LINE}\n| Clock Summary\n| -------------\n{_LINE}\n\n"
        "Clock       Waveform(ns)       Period(ns)      Frequency(MHz)\n"
        "-----       ------------       ----------      --------------\n"
        f"{clock}  {{0.000 {period / 2:.3f}}}      {period:.3f}          {1e3 / period:.3f}         \n\n"
    )


def utilization(counts: Counts, family: str, *, prohibited: bool = True, version: str = "2023.2") -> str:
    """As ``report_utilization``."""
    old = family == "7series"
    logic, registers = ("Slice LUTs", "Slice Registers") if old else ("CLB LUTs", "CLB Registers")
    slices = [(logic, counts.lut), ("  LUT as Logic", counts.lut - counts.lutram), ("  LUT as Memory", counts.lutram)]
    slices += [(registers, counts.ff), ("  Register as Latch", 0)]
    memory = [("Block RAM Tile", counts.bram36), ("  RAMB36/FIFO*", int(counts.bram36)), ("  RAMB18", 1)]
    memory += [] if old else [("URAM", counts.uram)]
    tables = [slices, memory, [("DSPs", counts.dsp), ("  DSP48E1 only" if old else "  DSP48E2 only", counts.dsp)]]
    return head("report_utilization -file utilization.rpt", version) + "".join(
        _table(one, prohibited) for one in tables
    )


def _table(rows: list[tuple[str, float]], prohibited: bool) -> str:
    more = "          0 |" if prohibited else ""
    heading = f"|{'Site Type':^28}| Used  | Fixed |{' Prohibited |' if prohibited else ''} Available | Util% |"
    rule = "+" + "+".join("-" * len(cell) for cell in heading.strip("|").split("|")) + "+"
    body = [f"| {name:<27}| {used:>5g} |     0 |{more}     53200 | <0.01 |" for name, used in rows]
    return "\n".join([rule, heading, rule, *body, rule, "", ""])


def power(total: float, dynamic: float, confidence: str, *, version: str = "2023.2") -> str:
    """As ``report_power``."""
    rows = [
        ("Total On-Chip Power (W)", f"{total:.3f}"),
        ("Design Power Budget (W)", "Unspecified*"),
        ("Power Budget Margin (W)", "NA"),
        ("Dynamic (W)", f"{dynamic:.3f}"),
        ("Device Static (W)", f"{total - dynamic:.3f}"),
        ("Effective TJA (C/W)", "11.5"),
        ("Junction Temperature (C)", "44.8"),
        ("Confidence Level", confidence),
        ("Setting File", "---"),
    ]
    rule = f"+{'-' * 26}+{'-' * 14}+"
    listed = "\n".join(f"| {name:<24} | {value:<12} |" for name, value in rows)
    return f"{head('report_power -file power.rpt', version)}1. Summary\n----------\n\n{rule}\n{listed}\n{rule}\n\n"
