"""The test that cocotb runs for dma_control: a job's steps, in order.

A job (JSON, named by BENCH_JOB) has `steps`: ["write", offset, value, strobes], ["read", offset], ["wait", cycles],
["engine", cycles busy, words moved, status] (what the engine does at every start from here on) or ["slow", cycles]
(that answers wait to be taken from here on). Each step gives its value (of a read, else null) and the state after it:
[value, interrupt, starts], where starts are [address, words] so far.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

LIMIT = 50


class Bench:
    """The device with an engine that is played here."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.starts: list[list[int]] = []
        self.plan = [3, 0, 0]
        self.busy = self.moves = self.slow = 0

    async def cycle(self, *names: str) -> list[int]:
        """What ports were at the end of a cycle."""
        dut = self.dut
        dut.busy.value, dut.move.value = self.busy > 0, self.moves > 0
        await ReadOnly()
        seen = [int(getattr(dut, name).value) for name in names]
        started = int(dut.start.value)
        where = [int(dut.address.value), int(dut.words.value)]
        await FallingEdge(dut.clk)
        self.busy, self.moves = max(0, self.busy - 1), max(0, self.moves - 1)
        if started:
            assert not self.busy, "started while busy"
            self.starts.append(where)
            self.busy, self.moves = self.plan[:2]
            dut.status.value = self.plan[2]
        return seen

    async def until(self, *names: str) -> None:
        for _ in range(LIMIT):
            if all(await self.cycle(*names)):
                return
        raise AssertionError(f"{names} never came")

    async def write(self, offset: int, value: int, strobes: int) -> None:
        dut = self.dut
        dut.s_axi_awaddr.value, dut.s_axi_wdata.value, dut.s_axi_wstrb.value = offset, value, strobes
        dut.s_axi_awvalid.value = 1  # the address may come before the data
        for _ in range(self.slow):
            await self.cycle()
        dut.s_axi_wvalid.value = 1
        await self.until("s_axi_awready", "s_axi_wready")
        dut.s_axi_awvalid.value = dut.s_axi_wvalid.value = 0
        await self.taken("b")

    async def read(self, offset: int) -> int:
        dut = self.dut
        dut.s_axi_araddr.value, dut.s_axi_arvalid.value = offset, 1
        await self.until("s_axi_arready")
        dut.s_axi_arvalid.value = 0
        (value,) = await self.taken("r", "s_axi_rdata")
        return value

    async def taken(self, channel: str, *names: str) -> list[int]:
        """An answer, after as many cycles as it has to wait."""
        for _ in range(self.slow):
            await self.cycle()
        ready = getattr(self.dut, f"s_axi_{channel}ready")
        ready.value = 1
        for _ in range(LIMIT):
            valid, response, *seen = await self.cycle(f"s_axi_{channel}valid", f"s_axi_{channel}resp", *names)
            if valid:
                assert response == 0
                ready.value = 0
                return seen
        raise AssertionError(f"no answer on {channel}")

    async def step(self, kind: str, *values: int) -> int | None:
        if kind == "read":
            return await self.read(*values)
        if kind == "write":
            await self.write(*values)
        elif kind == "wait":
            for _ in range(values[0]):
                await self.cycle()
        elif kind == "engine":
            self.plan = list(values)
        else:
            self.slow = values[0]
        return None


@cocotb.test()
async def steps(dut: Any) -> None:
    path = Path(os.environ["BENCH_JOB"])
    job = json.loads(path.read_text())
    Clock(dut.clk, 10, "ns").start(start_high=False)
    for name in ("rst_n", "busy", "status", "move", *(f"s_axi_{c}" for c in ("awvalid", "wvalid", "arvalid"))):
        getattr(dut, name).value = 0
    dut.s_axi_bready.value = dut.s_axi_rready.value = 0
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst_n.value = 1
    bench, results = Bench(dut), []
    for step in job["steps"]:
        value = await bench.step(*step)
        results.append([value, int(dut.irq.value), list(bench.starts)])
    path.with_suffix(".result").write_text(json.dumps(results))
