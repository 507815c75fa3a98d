"""A million requests to a server whose devices fail, bundles change, tokens are replaced and clients misbehave.

python scripts/soak_serve.py [--requests 1000000] [--devices 2] [--faults 0.002] [--seed 0] [--json FILE]

Each frame holds its own number, and the network computes it back, as in soak_stream.py; what a bundle that was put in
place later computes is that number turned around, so that an answer also tells which one gave it. Clients send
batches of random sizes over connections that they keep; some leave in the middle, some send slowly, some do not read.
Every accepted request must be answered once, with the right answers of one bundle; others are told 401, 500 or 503.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from benchmark import Facts, machine, versions
from soak_stream import DIGITS, FaultyEmulator, _resident_mib

from bitswath.accelerator import Accelerator
from bitswath.basics.files import swap_folders
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.integer import IntegerCodec
from bitswath.network.network import INPUT, Dense, Network, TensorSpec
from bitswath.serving.repository import DevicesOf
from bitswath.serving.run import serve
from bitswath.serving.settings import Settings

__all__ = ["soak"]

CLIENTS = 16
LARGEST = 40
MISBEHAVING = 0.01
CHANGE_EVERY_S = 5.0
PATH = "/v2/models/numbers/infer"
WEIGHTS = (16 ** np.arange(DIGITS, dtype=np.int64))[np.newaxis]


@dataclass
class State:
    """What is going on: `left` requests to come, the tokens that are valid or were a moment ago."""

    left: int
    rng: random.Random
    tokens: list[str] = field(default_factory=lambda: ["token-of-the-beginning"])
    told: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    memory: list[float] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)


def numbers_bundle(folder: Path, turned: bool) -> Bundle:
    """The number whose hexadecimal digits the codes are, lowest first; negative where it is `turned`."""
    stage = Dense("number", (INPUT,), -WEIGHTS if turned else WEIGHTS)
    network = Network(TensorSpec((1, 1, DIGITS), 0, 15), (stage,))
    codec = IntegerCodec(4, lowest=0, highest=15)
    shape = (1, 1, DIGITS)
    return save_bundle(
        folder / "numbers.bsw", network=network, codec=codec, patch_shape=shape, classes=("number",), layout="flat"
    )


class Counted(FaultyEmulator):
    """Its faults are counted beyond its life; nothing else of it is kept."""

    def __init__(self, network: Network, share: float, seed: int, changes: Counter[str]) -> None:
        super().__init__(network, share, seed)
        self._changes = changes

    def close(self) -> None:
        super().close()
        self._changes["faults"] += self.faults
        self.faults = 0


def faulty(devices: int, share: float, seed: int, changes: Counter[str]) -> DevicesOf:
    def opened(bundle: Bundle) -> Accelerator:
        changes["devices_opened"] += 1
        return Accelerator(
            bundle, Counted(bundle.network, share, seed + changes["devices_opened"], changes), timeout_s=1.0
        )

    def devices_of(bundle: Bundle) -> dict[str, Callable[[], Accelerator]]:
        return {f"device-{number}": partial(opened, bundle) for number in range(devices)}

    return devices_of


def soak(requests: int, devices: int, share: float, seed: int) -> Facts:
    """Run it; what was counted. Raises `AssertionError` at the first answer that is not the right one."""
    state = State(requests, random.Random(seed))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tokens").write_text(state.tokens[0])
        path = str(numbers_bundle(folder, turned=False).path)
        settings = Settings(port=0, token_file=folder / "tokens", watch_s=0.5, body_timeout_s=1, header_timeout_s=1)
        asyncio.run(_all(path, faulty(devices, share, seed, state.changes), settings, state, folder))
    took_s = time.monotonic() - started
    tenth = max(len(state.memory) // 10, 1)
    return {
        "requests": requests,
        "answered": dict(sorted(state.told.items())),
        "frames_checked": state.frames,
        "devices": devices,
        **dict(state.changes),
        "seconds": round(took_s, 1),
        "requests_per_s": round(requests / took_s),
        "resident_mib_early": round(float(np.median(state.memory[tenth : 2 * tenth] or state.memory)), 1),
        "resident_mib_late": round(float(np.median(state.memory[-tenth:])), 1),
        "seed": seed,
    }


async def _all(path: str, devices_of: DevicesOf, settings: Settings, state: State, folder: Path) -> None:
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    running = serve([path], devices_of, settings, started=lambda http, grpc: address.set_result(http), stop=stop)
    server = asyncio.create_task(running)
    host, port = (await address).removeprefix("http://").split(":")
    changing = asyncio.create_task(_change(folder, state))
    clients = [_client(host, int(port), state, random.Random(state.rng.random())) for _ in range(CLIENTS)]
    try:
        await asyncio.gather(*clients)
    finally:
        changing.cancel()
        stop.set()
        await server


async def _change(folder: Path, state: State) -> None:
    """Bundles and tokens, in turns."""
    turned = False
    while True:
        await asyncio.sleep(CHANGE_EVERY_S)
        turned = not turned
        (folder / "new").mkdir()
        made = await asyncio.to_thread(numbers_bundle, folder / "new", turned)
        swap_folders(made.path, folder / "numbers.bsw")
        shutil.rmtree(folder / "new")
        state.changes["bundles"] += 1
        await asyncio.sleep(CHANGE_EVERY_S)
        state.tokens = [*state.tokens[-1:], f"token-{state.rng.random()}"]
        (folder / "tokens.new").write_text(state.tokens[-1])
        (folder / "tokens.new").rename(folder / "tokens")
        state.changes["tokens"] += 1


async def _client(host: str, port: int, state: State, rng: random.Random) -> None:
    """Requests one after the other, over a connection for as long as it lasts."""
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while state.left > 0:
        state.left -= 1
        if state.left % 1000 == 0:
            state.memory.append(_resident_mib())
            print(f"\r{state.left:,} requests left ", end="", file=sys.stderr, flush=True)
        connection = connection or await asyncio.open_connection(host, port)
        first, count = rng.randrange(16**DIGITS - LARGEST), rng.randint(1, LARGEST)
        content = _request(np.arange(first, first + count), state.tokens[-1])
        if rng.random() < MISBEHAVING:
            await _misbehave(*connection, content, rng, state)
            connection = None
            continue
        try:
            connection[1].write(content)
            status, body = await asyncio.wait_for(_answer(connection[0]), 60)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise AssertionError(f"numbers {first} to {first + count}: no answer came") from None
        state.told[str(status)] += 1
        assert status in (200, 401, 500, 503), body
        if status == 200:
            logits = np.array(json.loads(body)["outputs"][0]["data"]).astype(np.int64)
            expected = np.arange(first, first + count)
            rounded = expected.astype(np.float32).astype(np.int64)  # as logits are
            assert np.array_equal(logits, rounded) or np.array_equal(-logits, rounded), f"numbers {first}: {logits}"
            state.frames += count
    if connection is not None:
        connection[1].close()


def _request(numbers: np.ndarray, token: str) -> bytes:
    codes = (numbers[:, np.newaxis] >> 4 * np.arange(DIGITS) & 15).astype(np.uint8)
    entry = {"name": "patches", "shape": list(codes.shape), "datatype": "UINT8"}
    entry["parameters"] = {"binary_data_size": codes.nbytes}
    header = json.dumps({"inputs": [entry], "outputs": [{"name": "logits"}]}).encode()
    body = header + codes.tobytes()
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Inference-Header-Content-Length: {len(header)}\r\n\r\n".encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return int(head.split(b" ")[1]), await reader.readexactly(length)


async def _misbehave(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes, rng: random.Random, state: State
) -> None:
    """Leave in the middle of a request, or after it, or send it slowly; nothing else may notice."""
    kind = rng.choice(("cut", "left", "slow"))
    state.told[kind] += 1
    with contextlib.suppress(ConnectionError):
        writer.write(content[: rng.randrange(1, len(content))] if kind != "left" else content)
        await writer.drain()
        if kind == "slow":
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(reader.read(100), 5)
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--faults", type=float, default=0.002, help="share of calls to a device")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    logging.getLogger("bitswath").setLevel(logging.CRITICAL)
    facts = soak(chosen.requests, chosen.devices, chosen.faults, chosen.seed)
    print(file=sys.stderr)
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):20} {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps({**facts, "machine": machine(), "versions": versions()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
