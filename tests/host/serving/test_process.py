"""The command as a process: bundles that change under it, signals, and what it takes when it is idle."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.accelerator import Accelerator
from bitswath.basics.files import swap_folders
from bitswath.bundle.bundle import Bundle, load_bundle
from tests.host.fake_backend import FakeBackend
from tests.host.serving.served import WAIT_S, WEIGHTS, ask, bundle, logits_of, patches, serving, tensor
from tests.host.serving.test_faults import labels, until

INFER = "/v2/models/small/infer"
OTHER = np.random.default_rng(9).integers(-7, 8, (3, 40))
BATCH = patches(6, seed=1)
BODY = {"inputs": [tensor("patches", BATCH)], "outputs": [{"name": "logits"}]}


@contextmanager
def command(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``bitswath serve`` and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bitswath", "serve", *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"serving at (http\S+)", line)
        assert found, line + (process.stderr.read() if process.stderr and process.poll() is not None else "")
        yield found[1].rstrip(","), process
    finally:
        process.kill()
        process.wait(WAIT_S)


def answers(address: str, weights: Any) -> bool:
    reply = ask(address, INFER, BODY)
    assert reply.status == 200, reply.body
    return bool(reply.outputs["logits"]["data"] == logits_of(BATCH, weights).reshape(-1).tolist())


def put_in_place(folder: Path, weights: Any) -> None:
    """Another bundle for the one in `folder`, in one step."""
    other = folder / "new"
    other.mkdir()
    made = bundle(other, weights=weights)
    swap_folders(made.path, folder / "small.bsw")
    shutil.rmtree(other)


def test_a_bundle_that_is_swapped_is_loaded_without_losing_a_request(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    seen: list[str] = []
    stop = threading.Event()

    def keep_asking(address: str) -> None:
        expected = {name: logits_of(BATCH, weights).reshape(-1).tolist() for name, weights in known.items()}
        while not stop.is_set():
            got = ask(address, INFER, BODY)
            assert got.status == 200, got.body
            seen.append(next(name for name, data in expected.items() if data == got.outputs["logits"]["data"]))

    known = {"old": WEIGHTS, "new": OTHER}
    with serving(made.path, watch_s=0.1) as address:
        threads = [threading.Thread(target=keep_asking, args=(address,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: seen.count("old") > 20)
        put_in_place(tmp_path, OTHER)
        until(lambda: seen.count("new") > 20)
        put_in_place(tmp_path, WEIGHTS)
        until(lambda: seen[-20:].count("old") == 20)
        stop.set()
        for thread in threads:
            thread.join(WAIT_S)
        assert ask(address, "/v2/models/small/stats").json["model_stats"][0]["inference_stats"]["success"][
            "count"
        ] == len(seen)


def test_sighup_loads_everything_again_and_of_a_damaged_bundle_the_former_stays(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    with command(str(made.path), "--watch-s", "0") as (address, process):
        put_in_place(tmp_path, OTHER)
        time.sleep(0.3)
        assert answers(address, WEIGHTS)
        process.send_signal(signal.SIGHUP)
        until(lambda: answers(address, OTHER))
        (made.path / "manifest.json").write_text("{}")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        line = next(line for line in process.stderr if "not loaded" in line)
        assert "manifest.json: " in json.loads(line)["reason"]
        assert answers(address, OTHER)


def test_a_bundle_that_is_gone_stays_in_service(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    with serving(made.path, watch_s=0.1) as address:
        for damage in (lambda: (made.path / "manifest.json").write_text("{}"), lambda: shutil.rmtree(made.path)):
            damage()
            time.sleep(0.3)
            assert answers(address, WEIGHTS)


def test_versions_come_and_go(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    shutil.move(bundle(tmp_path).path, folder / "1")
    with serving(folder, watch_s=0.1) as address:
        assert answers(address, WEIGHTS)
        shutil.move(bundle(tmp_path, weights=OTHER).path, folder / "2")
        until(lambda: answers(address, OTHER))
        assert ask(address, "/v2/models/small").json["versions"] == ["1", "2"]
        (folder / "3").mkdir()
        (folder / "3" / "manifest.json").write_text("{}")  # a bundle half copied, say
        time.sleep(0.5)
        assert answers(address, OTHER) and ask(address, "/v2/health/ready").status == 200
        refused = ask(address, "/v2/models/small/versions/3/infer", BODY)
        assert refused.status == 503 and "schema version" in refused.error
        shutil.rmtree(folder / "3")
        shutil.rmtree(folder / "2")
        until(lambda: answers(address, WEIGHTS))
        assert ask(address, "/v2/models/small/versions/2").status == 404


class OnOneDevice(FakeBackend):
    """Of a device that only one may have open."""

    device = "the only one"
    opened = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        assert OnOneDevice.opened == 0, "the device is open already"
        OnOneDevice.opened += 1
        super().__init__(*arguments, **options)

    def close(self) -> None:
        OnOneDevice.opened -= not self.closed
        super().close()


def test_a_board_changes_its_bundle_while_requests_wait(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    failed: list[Any] = []
    stop = threading.Event()

    def devices_of(found: Bundle) -> dict[str, Callable[[], Accelerator]]:
        return {"board": lambda: Accelerator(found, OnOneDevice(found.network, 4), timeout_s=5)}

    def keep_asking(address: str) -> None:
        while not stop.is_set():
            reply = ask(address, INFER, BODY)
            if reply.status != 200:
                failed.append(reply.body)

    with serving(made.path, devices_of=devices_of, watch_s=0.1) as address:
        threads = [threading.Thread(target=keep_asking, args=(address,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        put_in_place(tmp_path, OTHER)
        until(lambda: answers(address, OTHER))
        stop.set()
        for thread in threads:
            thread.join(WAIT_S)
    assert failed == [] and OnOneDevice.opened == 0


def test_sigterm_answers_what_is_under_way(tmp_path: Path) -> None:
    with command("zoo:eurosat-u4-w4a4", "--threads", "1") as (address, process):
        made = load_bundle("zoo:eurosat-u4-w4a4")
        frames = np.zeros((400, made.manifest.input.frame_bytes), np.uint8)
        header = json.dumps(
            {
                "inputs": [
                    {
                        "name": "frames",
                        "shape": list(frames.shape),
                        "datatype": "UINT8",
                        "parameters": {"binary_data_size": frames.nbytes},
                    }
                ],
                "outputs": [{"name": "labels"}],
            }
        ).encode()
        got: list[Any] = []
        path = "/v2/models/eurosat-u4-w4a4/infer"

        def long() -> None:
            body = header + frames.tobytes()
            got.append(ask(address, path, body, Inference_Header_Content_Length=str(len(header))))

        thread = threading.Thread(target=long)
        thread.start()
        until(lambda: ask(address, "/status").json["models"][0]["devices"][0]["frames"] > 0)
        process.send_signal(signal.SIGTERM)
        thread.join(WAIT_S)
        assert got[0].status == 200 and got[0].outputs["labels"]["shape"] == [400]
        assert process.wait(WAIT_S) == 0


EACH = """
import json, sys
from bitswath.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["bitswath", "serve", *arguments]
    try:
        main()
    except SystemExit as ended:
        print(ended.code, flush=True)
"""


def test_wrong_usage_is_one_line(tmp_path: Path) -> None:
    made = str(bundle(tmp_path).path)
    told = {
        "no such model in the zoo": ["zoo:nothing"],
        "expected a bundle folder": [str(tmp_path / "nothing")],
        "--tls-cert and --tls-key together": [made, "--tls-cert", "x"],
        "cannot be read": [made, "--token-file", str(tmp_path / "none")],
        "cannot listen there": [made, "--host", "203.0.113.1"],
    }
    wrong = [sys.executable, "-c", EACH, json.dumps(list(told.values()))]
    done = subprocess.run(wrong, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1"] * len(told), done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(told) and all(part in line for part, line in zip(told, lines)), done.stderr


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_an_idle_server_is_small_and_its_log_is_json(tmp_path: Path) -> None:
    small = str(bundle(tmp_path).path)
    with command("zoo:eurosat-c2d-w4a4", small, "--log", "debug") as (address, process):
        assert ask(address, "/v2/health/ready").status == 200
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        assert pages * os.sysconf("SC_PAGE_SIZE") < 120e6
        assert labels(address) == (200, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
        assert process.stderr is not None
        lines = [json.loads(line) for line in process.stderr]
    request = [line for line in lines if line["event"] == "request"][-1]
    assert request["path"] == INFER and request["status"] == 200 and request["took_ms"] > 0
    assert lines[-1]["event"] == "stopped"
