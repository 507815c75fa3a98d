"""The test that cocotb runs inside the simulator: a job's beats in, the beats that came out to a file.

A job (JSON, named by BENCH_JOB) has `sources` {port: lanes of beats}, `sinks` {port: beats expected on
each lane} and `scenarios` [{pace_in, pace_out, seed, limit, cut}]. Between scenarios the device is reset;
a scenario with `cut` set ends after so many cycles, whatever is in flight.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from tests.rtl.axis import Gate, Lane, Sink, Source

LINGER = 12
"""Cycles in which beats are still taken after the last that is expected, so that one too many shows."""


@cocotb.test()
async def scenarios(dut: Any) -> None:
    path = Path(os.environ["BENCH_JOB"])
    job = json.loads(path.read_text())
    Clock(dut.clk, 10, "ns").start(start_high=False)
    results = [await run(dut, job["sources"], job["sinks"], scenario) for scenario in job["scenarios"]]
    path.with_suffix(".result").write_text(json.dumps(results))


async def run(dut: Any, inputs: dict[str, Any], outputs: dict[str, Any], scenario: dict[str, Any]) -> dict[str, Any]:
    random = Random(scenario["seed"])

    def lane(pace: str, beats: list[int]) -> Lane:
        return Lane(Gate(scenario[pace], random), beats, [])

    sources = [Source(dut, name, [lane("pace_in", beats) for beats in lanes]) for name, lanes in inputs.items()]
    sinks = [Sink(dut, name, [lane("pace_out", []) for _ in lanes]) for name, lanes in outputs.items()]
    await reset(dut, sources, sinks)
    left = None
    for cycle in range(scenario["cut"] or scenario["limit"]):
        for port in (*sources, *sinks):
            port.drive()
        await ReadOnly()
        for port in (*sources, *sinks):
            port.sample(cycle)
        await FallingEdge(dut.clk)
        if left is None and all(len(a.beats) >= n for s in sinks for a, n in zip(s.lanes, outputs[s.name])):
            left = LINGER
        elif left is not None and (left := left - 1) == 0:
            break
    else:
        if not scenario["cut"]:
            state = {port.name: [len(a.cycles) for a in port.lanes] for port in (*sources, *sinks)}
            raise AssertionError(f"{scenario}: stuck; beats taken {state}, expected out {outputs}")
    return {
        port.name: {"beats": [a.beats for a in port.lanes], "cycles": [a.cycles for a in port.lanes]}
        for port in (*sources, *sinks)
    }


async def reset(dut: Any, sources: list[Source], sinks: list[Sink]) -> None:
    dut.rst_n.value = 0
    for source in sources:
        source.tvalid.value = 0
    for sink in sinks:
        sink.tready.value = 0
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst_n.value = 1
