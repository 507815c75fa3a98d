"""The longest path of a netlist, against hand-made sums and against every path there is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bitswath.errors import BuildError
from bitswath.hw.counting.timing import UNCERTAINTY, longest_path, net_ns, slowness

CLK_TO_Q, LUT, SETUP, ENABLE = 0.50, 0.124, 0.06, 0.53


def cell(kind: str, outputs: dict[str, list[int]], inputs: dict[str, list[int]]) -> dict[str, Any]:
    directions = {**dict.fromkeys(outputs, "output"), **dict.fromkeys(inputs, "input")}
    return {"type": kind, "parameters": {}, "port_directions": directions, "connections": {**outputs, **inputs}}


def register(q: int, d: int) -> dict[str, Any]:
    return cell("FDRE", {"Q": [q]}, {"C": [0], "D": [d]})


def netlist(cells: dict[str, dict[str, Any]], names: dict[str, str] | None = None) -> dict[str, Any]:
    return {"ports": {"clk": {"direction": "input", "bits": [0]}}, "cells": cells, "names": names or {}}


def test_levels_and_nets_add_up() -> None:
    found = longest_path(
        netlist(
            {
                "a": register(1, 4),
                "one": cell("LUT2", {"O": [2]}, {"I0": [1], "I1": [4]}),
                "two": cell("LUT1", {"O": [3]}, {"I0": [2]}),
                "b": register(4, 3),
            },
            {"1": "state", "4": "next"},
        )
    )
    nets = net_ns(2) + net_ns(1)  # that of `next` has two loads; `one` to `two`; `two` lies beside `b`
    assert found.ns == pytest.approx(CLK_TO_Q + nets + 2 * LUT + SETUP + UNCERTAINTY)
    assert (found.levels, found.carries) == (2, 0)
    assert (found.start, found.end) == ("FDRE next", "FDRE next D")


def test_a_carry_chain_counts_its_blocks() -> None:
    chain = {
        "a": register(1, 9),
        "low": cell("CARRY4", {"CO": [2, 3, 4, 5], "O": [20, 21, 22, 23]}, {"S": [1, 1, 1, 1], "CI": [0]}),
        "high": cell("CARRY4", {"CO": [6, 7, 8, 10], "O": [30, 31, 32, 33]}, {"S": [1, 1, 1, 1], "CI": [5]}),
        "b": register(9, 33),
    }
    found = longest_path(netlist(chain))
    assert (found.levels, found.carries) == (0, 2)
    assert found.ns == pytest.approx(CLK_TO_Q + net_ns(8) + 0.53 + 0.33 + SETUP + UNCERTAINTY)


def test_enables_are_needed_earlier_than_data() -> None:
    enabled = cell("FDRE", {"Q": [2]}, {"C": [0], "D": [1], "CE": [1]})
    found = longest_path(netlist({"a": register(1, 2), "b": enabled}))
    assert found.end == "FDRE b CE"
    assert found.ns == pytest.approx(CLK_TO_Q + net_ns(2) + ENABLE + UNCERTAINTY)


def test_random_logic_has_no_longer_path_than_the_one_found() -> None:
    seed = secrets.randbelow(2**31)
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    registers, gates = 4, 14
    cells = {f"r{i}": register(1 + i, 100 + registers + i) for i in range(registers)}
    nets = [1 + i for i in range(registers)]
    for i in range(gates):
        sources = [nets[int(random.integers(len(nets)))] for _ in range(2)]
        cells[f"g{i}"] = cell("LUT2", {"O": [50 + i]}, {"I0": [sources[0]], "I1": [sources[1]]})
        nets.append(50 + i)
    for i in range(registers):
        cells[f"r{i}"]["connections"]["D"] = [nets[-1 - i]]
    loads = {
        net: sum(bits.count(net) for c in cells.values() for p, bits in c["connections"].items() if p not in "QO")
        for net in nets
    }
    driver = {c["connections"]["O"][0]: c for c in cells.values() if c["type"] == "LUT2"}

    def times(net: int) -> Iterator[float]:
        """Of every path to what drives a net."""
        if net not in driver:
            yield CLK_TO_Q
            return
        wires = driver[net]["connections"]
        for source in (wires["I0"][0], wires["I1"][0]):
            yield from (before + net_ns(loads[source]) + LUT for before in times(source))

    def into(net: int) -> float:
        return 0.0 if loads[net] == 1 and net in driver else net_ns(loads[net])

    ends = [cells[f"r{i}"]["connections"]["D"][0] for i in range(registers)]
    expected = max(time + into(net) + SETUP + UNCERTAINTY for net in ends for time in times(net))
    assert longest_path(netlist(cells)).ns == pytest.approx(expected)


def test_logic_that_goes_round_is_an_error() -> None:
    ring = {
        "a": cell("LUT2", {"O": [1]}, {"I0": [2], "I1": [3]}),
        "b": cell("LUT1", {"O": [2]}, {"I0": [1]}),
        "r": register(3, 2),
    }
    with pytest.raises(BuildError, match="logic goes round in a circle"):
        longest_path(netlist(ring))


def test_faster_grades_are_faster() -> None:
    parts = ("xczu7ev-ffvc1156-2-e", "xck26-sfvc784-2LV-c", "xczu3eg-sbva484-1-e", "xc7z020clg400-1")
    grades = [slowness(part) for part in parts]
    assert grades == sorted(grades) and grades[-1] == 1
    assert grades[0] < grades[1]
