"""The server against the bare backend and against its peers, in turns.

python scripts/bench_serve.py [--bundle zoo:eurosat-c2d-w4a4] [--rounds 5] [--seconds 3] [--clients 16]
    [--triton .venv-clients/bin/python] [--peers PYTHON] [--json FILE] [--markdown FILE [--soak FILE] [--fuzz FILE]]

Emulator and loopback, on all cores, which server and clients share. Each round measures everything once: the bare
stream and the bare backend in this process, packed frames in batches of 64 by tritonclient, single patches from many
connections and from one (scripts/serve_load.py). `--triton`: a Python with tritonclient, as ./scripts/test makes one;
`--peers`: a Python with mlserver, litserve and onnxruntime, which serve the same network as 8-bit ONNX
(scripts/serve_mlserver.py, serve_litserve.py). What is missing is left out, and said to be. An endpoint that does
nothing (scripts/serve_nothing.py) tells what of the CPU time is HTTP's. `--again FILE`: a page of
what was measured before; `--soak` and `--fuzz`: what soak_serve.py and fuzz_serve.py wrote, for the same page.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime
import itertools
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import Facts, core_share, latencies_s, machine, versions

from bitswath.accelerator import Accelerator
from bitswath.accelerator import open as open_accelerator

HERE = Path(__file__).parent
BATCH = 64
ANSWER_BYTES = 160
"""Of a label in binary, with its JSON."""
STREAM, NOTHING = "bare stream, batches of 64", "an endpoint that does nothing"
WANTED = {
    "of_the_bare_stream": 0.70,
    "requests_per_s": 2000.0,
    "p99_ms": 25.0,
    "over_the_best_peer": 3.0,
    "over_the_best_peer_by_cpu": 3.0,
    "added_ms": 1.5,
    "idle_rss_mb": 120.0,
}
TRITON = """
import sys, threading, time, json, numpy as np
import tritonclient.http as triton
url, model, path, seconds = sys.argv[1:]
frames, done = np.load(path), []
def client():
    with triton.InferenceServerClient(url) as server:
        given = triton.InferInput("frames", list(frames.shape), "UINT8")
        wanted = [triton.InferRequestedOutput("labels")]
        while time.perf_counter() < ends:
            given.set_data_from_numpy(frames)
            done.append(len(server.infer(model, [given], outputs=wanted).as_numpy("labels")))
started = time.perf_counter()
ends = started + float(seconds)
clients = [threading.Thread(target=client) for _ in range(4)]
for each in clients: each.start()
for each in clients: each.join()
print(json.dumps({"frames_per_s": sum(done) / (time.perf_counter() - started)}))
"""
"""Four threads, a client each: `async_infer` sleeps for 10 ms whenever it is called (tritonclient 2.73)."""


@contextlib.contextmanager
def server(bundle: str) -> Iterator[tuple[str, int]]:
    """``bitswath serve``: where it listens, and its process."""
    command = [sys.executable, "-m", "bitswath", "serve", bundle, "--port", "0", "--log", "warning"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = re.search(r"http://(\S+)", process.stdout.readline())
        assert found, "the server did not start"
        yield found[1], process.pid
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def peer(python: Path | str, kind: str, given: str) -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(python), str(HERE / f"serve_{kind}.py"), given, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None and time.monotonic() < deadline, f"{kind} did not start"
            time.sleep(0.2)
        time.sleep(2)  # its workers, behind the port
        yield f"127.0.0.1:{port}", process.pid
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def request(path: str, place: str, body: bytes, **headers: Any) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: {place}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def with_binary(path: str, place: str, name: str, array: Any) -> bytes:
    entry = {
        "name": name,
        "shape": list(array.shape),
        "datatype": "UINT8",
        "parameters": {"binary_data_size": array.nbytes},
    }
    wanted = [{"name": "labels", "parameters": {"binary_data": True}}]
    header = json.dumps({"inputs": [entry], "outputs": wanted}).encode()
    return request(path, place, header + array.tobytes(), Inference_Header_Content_Length=len(header))


def load(place: str, content: bytes, connections: int, seconds: float, folder: Path) -> Facts:
    file = folder / "request"
    file.write_bytes(content)
    command = [sys.executable, str(HERE / "serve_load.py"), place, str(file), str(connections), str(seconds)]
    told: Facts = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if told["failed"]:
        raise RuntimeError(f"{told['failed']} requests failed")
    return told


def stream_rate(accelerator: Accelerator, frames: Any, seconds: float) -> Facts:
    ends, count, started, used = time.perf_counter() + seconds, 0, time.perf_counter(), time.process_time()
    batches = itertools.takewhile(lambda _: time.perf_counter() < ends, itertools.repeat(frames))
    for result in accelerator.stream_frames(batches):
        count += len(result)
    rate = count / (time.perf_counter() - started)
    return {"frames_per_s": rate, "cpu_ms": 1e3 * (time.process_time() - used) / count}


def bench(bundle: str, rounds: int, seconds: float, clients: int, triton: Path, peers: Path | None) -> Facts:
    measures: dict[str, Callable[[], Facts]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        accelerator = stack.enter_context(open_accelerator(bundle, "emulator"))
        loaded = accelerator.bundle
        codes = np.random.default_rng(0).integers(
            0, 1 << loaded.codec.bits, (BATCH, *loaded.manifest.input.code_shape), np.uint8
        )
        frames = accelerator.pack(codes)
        np.save(folder / "frames.npy", frames)
        place, process = stack.enter_context(server(bundle))
        idle = resident_mb(process)
        path = f"/v2/models/{loaded.name}/infer"
        single = with_binary(path, place, "frames", frames[:1])
        measures[STREAM] = lambda: stream_rate(accelerator, frames, seconds)
        measures["bare backend, one patch"] = lambda: latency(accelerator, frames[:1])
        if triton.exists():
            command = [str(triton), "-c", TRITON, place, loaded.name, str(folder / "frames.npy"), str(seconds)]
            measures["tritonclient, batches of 64"] = lambda: json.loads(
                subprocess.run(command, capture_output=True, text=True, check=True).stdout
            )
        measures["one patch, one connection"] = lambda: load(place, single, 1, seconds, folder)
        measures[f"one patch, {clients} connections"] = lambda: with_cpu(
            lambda: load(place, single, clients, seconds, folder), process
        )
        empty, doing_nothing = stack.enter_context(peer(sys.executable, "nothing", str(ANSWER_BYTES)))
        measures[NOTHING] = lambda: with_cpu(lambda: load(empty, single, clients, seconds, folder), doing_nothing)
        for kind in ("mlserver", "litserve") if peers is not None else ():
            measures[kind] = _peer(stack, peers, kind, loaded, codes, clients, seconds, folder)
        got: dict[str, list[Facts]] = {name: [] for name in measures}
        shares = []
        for number in range(rounds + 1):
            shares.append(core_share())
            for name in list(measures)[:: -1 if number % 2 else 1]:
                told = measures[name]()
                if number:  # the first round warms up
                    got[name].append(told)
        busy = resident_mb(process)
    return {
        **_figures(got, clients),
        "idle_rss_mb": idle,
        "rss_after_mb": busy,
        "core_share": statistics.median(shares),
    }


def _peer(
    stack: contextlib.ExitStack,
    python: Path,
    kind: str,
    loaded: Any,
    codes: Any,
    clients: int,
    seconds: float,
    folder: Path,
) -> Callable[[], Facts]:
    """MLServer or LitServe on the same network, in the form of 8-bit ONNX that `int8_graph` makes."""
    from int8_graph import int8_model

    model = folder / "model.onnx"
    model.write_bytes(int8_model(loaded.network, "nhwc").SerializeToString())
    place, process = stack.enter_context(peer(python, kind, str(model)))
    text = base64.b64encode(codes[:1].tobytes()).decode()
    if kind == "mlserver":
        entry = {
            "name": "codes",
            "shape": [1],
            "datatype": "BYTES",
            "parameters": {"content_type": "base64"},
            "data": [text],
        }
        content = request("/v2/models/patches/infer", place, json.dumps({"inputs": [entry]}).encode())
    else:
        body = json.dumps({"codes": text}).encode()
        content = request("/predict", place, body, Content_Type="application/json")
    return lambda: with_cpu(lambda: load(place, content, clients, seconds, folder), process)


def with_cpu(step: Callable[[], Facts], process: int) -> Facts:
    """What `step` gives, and the CPU time of the server for each request, on all its threads and processes: it does not
    depend on what else the machine does, nor on how many processes share it."""
    before = cpu_s(process)
    told = step()
    return {**told, "cpu_ms": 1e3 * (cpu_s(process) - before) / told["requests"]}


def cpu_s(leader: int) -> float:
    """Of a process, and of all others in its group if it leads one."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if leader in (int(path.parent.name), int(fields[2])):
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def latency(accelerator: Accelerator, frame: Any) -> Facts:
    used = time.process_time()
    taken = sorted(latencies_s(lambda: accelerator.classify_frames(frame), 100))
    return {"p50_ms": 1e3 * taken[50], "cpu_ms": 10 * (time.process_time() - used)}


def resident_mb(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _figures(got: dict[str, list[Facts]], clients: int) -> Facts:
    """Medians over the rounds; what is compared is compared within a round."""

    def ratios(above: str, below: str, figure: str) -> list[float]:
        return [a[figure] / b[figure] for a, b in zip(got[above], got[below])]

    many = f"one patch, {clients} connections"
    told: Facts = {
        "medians": {
            name: {
                figure: statistics.median(each[figure] for each in rounds)
                for figure in rounds[0]
                if figure not in ("failed", "requests")
            }
            for name, rounds in got.items()
        },
        "requests_per_s": statistics.median(each["requests_per_s"] for each in got[many]),
        "p99_ms": statistics.median(each["p99_ms"] for each in got[many]),
        "added_ms": statistics.median(
            a["p50_ms"] - b["p50_ms"] for a, b in zip(got["one patch, one connection"], got["bare backend, one patch"])
        ),
    }
    if "tritonclient, batches of 64" in got:
        rates = ratios("tritonclient, batches of 64", STREAM, "frames_per_s")
        told["of_the_bare_stream"] = statistics.median(rates)
    over = [statistics.median(ratios(many, kind, "requests_per_s")) for kind in ("mlserver", "litserve") if kind in got]
    if over:
        told["over_the_best_peer"] = min(over)
        by_cpu = [statistics.median(ratios(kind, many, "cpu_ms")) for kind in ("mlserver", "litserve") if kind in got]
        told["over_the_best_peer_by_cpu"] = min(by_cpu)
    return told


def markdown(facts: Facts) -> str:
    computer = facts["machine"]
    lines = [
        "# Server",
        "",
        f"Measured on {facts['date']} on {computer['cores']} cores of {computer['processor']} ({computer['system']})"
        f" with {', '.join(f'{name} {version}' for name, version in facts['versions'].items())}: medians of"
        f" {facts['rounds']} interleaved rounds of {facts['seconds']:g} s, `{facts['bundle']}` on the emulator, by"
        " loopback, server and clients on the same cores. A process that asked for a core got"
        f" {100 * facts['core_share']:.0f} % of one: other work shared the machine if this is below 100; CPU"
        " times depend on that less. `scripts/bench_serve.py` measures it.",
        "",
        "| measure | measured | to reach |  |",
        "| --- | --- | --- | --- |",
    ]
    rows = (
        ("tritonclient, packed frames in batches of 64, over the bare stream", "of_the_bare_stream", "{:.2f}x", True),
        (f"single patches, {facts['clients']} connections, requests/s", "requests_per_s", "{:,.0f}", True),
        ("p99 of these", "p99_ms", "{:.1f} ms", False),
        ("over the best of MLServer and LitServe on ONNX Runtime int8", "over_the_best_peer", "{:.2f}x", True),
        ("the same by CPU time: theirs over ours, a request", "over_the_best_peer_by_cpu", "{:.2f}x", True),
        ("latency added to the bare backend, one patch", "added_ms", "{:.2f} ms", False),
        ("resident, idle", "idle_rss_mb", "{:.0f} MB", False),
    )
    for title, name, form, least in rows:
        if name not in facts:
            lines.append(f"| {title} | not measured |  |  |")
            continue
        value, wanted = facts[name], WANTED[name]
        reached = value >= wanted if least else value <= wanted
        bound = f"at {'least' if least else 'most'} {form.format(wanted)}"
        lines.append(f"| {title} | {form.format(value)} | {bound} | {'reached' if reached else 'missed'} |")
    lines += ["", "| what | figures |", "| --- | --- |"]
    units = {
        "frames_per_s": "{:,.0f} patches/s",
        "requests_per_s": "{:,.0f} requests/s",
        "p50_ms": "p50 {:.2f} ms",
        "p99_ms": "p99 {:.2f} ms",
        "cpu_ms": "{:.3f} ms of CPU each",
        "client_cpu_ms": "{:.3f} of the client's",
    }
    for name, figures in facts["medians"].items():
        lines.append(f"| {name} | {', '.join(units[figure].format(value) for figure, value in figures.items())} |")
    return "\n".join([*lines, *_limits(facts), *_endured(facts)]) + "\n"


def _limits(facts: Facts) -> Iterator[str]:
    """What bounds the requests a second: CPU time, and whose it is."""
    medians, many = facts["medians"], f"one patch, {facts['clients']} connections"
    if NOTHING not in medians or "client_cpu_ms" not in medians[many]:
        return
    whole, client = medians[many]["cpu_ms"], medians[many]["client_cpu_ms"]
    network, http = medians[STREAM]["cpu_ms"], medians[NOTHING]["cpu_ms"]
    cores = facts["machine"]["cores"]
    yield from (
        "",
        f"A request takes {whole:.2f} ms of the server's CPU time: {network:.2f} the network, as in a stream,"
        f" {http:.2f} HTTP alone, as uvicorn, h11 and starlette need it for an endpoint that does nothing, and"
        f" {whole - network - http:.2f} all else. The client takes {client:.2f} ms. So {cores} cores that did nothing"
        f" else would answer {1e3 * cores / (whole + client):,.0f} requests/s, and the network alone"
        f" {1e3 * cores / network:,.0f}.",
    )


def _endured(facts: Facts) -> Iterator[str]:
    """What the soak and the fuzz counted, by their names."""
    for title, name in (("Soak", "soak"), ("Wrong requests", "fuzz")):
        if name in facts:
            yield from (
                "",
                f"## {title}",
                "",
                f"By `scripts/{name}_serve.py`.",
                "",
                "| what | how many |",
                "| --- | --- |",
            )
            for what, value in facts[name].items():
                if what in ("machine", "versions"):
                    continue
                parts = value.items() if isinstance(value, dict) else ()
                told = ", ".join(f"{part} {number:,}" for part, number in parts) if parts else f"{value:,}"
                yield f"| {what.replace('_', ' ')} | {told} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="zoo:eurosat-c2d-w4a4")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--triton", type=Path, default=HERE.parent / ".venv-clients/bin/python")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--again", type=Path)
    parser.add_argument("--soak", type=Path)
    parser.add_argument("--fuzz", type=Path)
    chosen = parser.parse_args()
    facts = json.loads(chosen.again.read_text()) if chosen.again else measured(chosen)
    for name in ("soak", "fuzz"):
        if getattr(chosen, name):
            facts[name] = json.loads(getattr(chosen, name).read_text())
    if chosen.json:
        chosen.json.write_text(json.dumps(facts, indent=1) + "\n")
    print(markdown(facts))
    if chosen.markdown:
        chosen.markdown.write_text(markdown(facts))


def measured(chosen: argparse.Namespace) -> Facts:
    facts = bench(chosen.bundle, chosen.rounds, chosen.seconds, chosen.clients, chosen.triton, chosen.peers)
    told = {name: getattr(chosen, name) for name in ("bundle", "rounds", "seconds", "clients")}
    facts |= {**told, "date": datetime.date.today().isoformat(), "machine": machine()}
    facts["versions"] = versions("numpy", "uvicorn", "starlette", "h11")
    return facts


if __name__ == "__main__":
    main()
