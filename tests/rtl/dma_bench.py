"""The test that cocotb runs for dma_read and dma_write: a job's transfers, one after the other.

A job (JSON, named by BENCH_JOB) has `write` (which engine it is), `word` (bytes), `longest` (words a burst) and
`transfers` [{address, words, base, content (hex), pace, latency, faults, stream (beats), stream_pace, seed, cut,
limit}]. A transfer with `cut` set is reset after so many cycles. Each gives the beats of the stream and the cycles
they moved in, the memory afterwards, its bursts, and what the engine says.
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

from tests.rtl.axi import Memory, ReadMemory, WriteMemory
from tests.rtl.axis import Gate, Lane, Sink, Source


@cocotb.test()
async def transfers(dut: Any) -> None:
    path = Path(os.environ["BENCH_JOB"])
    job = json.loads(path.read_text())
    Clock(dut.clk, 10, "ns").start(start_high=False)
    await reset(dut, job["write"])
    results = []
    for transfer in job["transfers"]:
        results.append(await run(dut, job, transfer))
        if transfer["cut"]:
            await reset(dut, job["write"])
    path.with_suffix(".result").write_text(json.dumps(results))


async def run(dut: Any, job: dict[str, Any], transfer: dict[str, Any]) -> dict[str, Any]:
    random = Random(transfer["seed"])
    words, word = transfer["words"], job["word"]
    content = bytearray.fromhex(transfer["content"])
    memory = Memory(transfer["base"], content, transfer["address"], words * word, word, job["longest"])
    faults = {int(number): response for number, response in transfer["faults"].items()}
    slave_type = WriteMemory if job["write"] else ReadMemory
    slave = slave_type(dut, memory, transfer["pace"], transfer["latency"], faults, random)
    lane = Lane(Gate(transfer["stream_pace"], random), transfer["stream"], [])
    stream = Source(dut, "s_axis", [lane]) if job["write"] else Sink(dut, "m_axis", [lane])
    dut.address.value, dut.words.value, dut.start.value = transfer["address"], words, 1
    moves = 0
    for cycle in range(transfer["cut"] or transfer["limit"]):
        slave.drive(cycle)
        stream.drive()
        await ReadOnly()
        slave.sample(cycle)
        stream.sample(cycle)
        moves += int(dut.move.value)
        over = cycle > 1 and not int(dut.busy.value)
        await FallingEdge(dut.clk)
        dut.start.value = 0
        if over:
            break
    else:
        assert transfer["cut"], f"{transfer['words']} words to {transfer['address']:#x} are never done"
    assert transfer["cut"] or slave.idle, "the engine is done and the memory is not"
    return {
        "beats": lane.beats[: len(lane.cycles)],
        "cycles": lane.cycles,
        "memory": content.hex(),
        "bursts": memory.bursts,
        "most": slave.most,
        "waits": getattr(slave, "waits", 0),
        "status": int(dut.status.value),
        "moves": moves,
    }


async def reset(dut: Any, write: bool) -> None:
    zeros = ("s_axis_tvalid", "m_axi_awready", "m_axi_wready", "m_axi_bvalid") if write else ("m_axis_tready",)
    for name in ("start", "rst_n", *zeros, *(() if write else ("m_axi_arready", "m_axi_rvalid"))):
        getattr(dut, name).value = 0
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst_n.value = 1
