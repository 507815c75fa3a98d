"""Devices that fail: who gets which answer, and that a device comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.accelerator import Accelerator
from bitswath.bundle.bundle import Bundle
from bitswath.errors import BackendError, BackendTimeoutError, InputError
from bitswath.serving.scheduling import device
from tests.host.fake_backend import FakeBackend, FaultyBackend
from tests.host.serving.served import WAIT_S, ask, bundle, frames_of, logits_of, patches, serving, tensor

INFER = "/v2/models/small/infer"


def on(make: Callable[[Bundle], FakeBackend], count: int = 1, timeout_s: float = 1.0) -> Any:
    """Devices of `make`, made anew whenever one is opened."""

    def devices_of(made: Bundle) -> dict[str, Callable[[], Accelerator]]:
        return {f"fake-{n}": lambda: Accelerator(made, make(made), timeout_s=timeout_s) for n in range(count)}

    return devices_of


def labels(address: str, count: int = 3, seed: int = 0) -> tuple[int, Any]:
    batch = patches(count, seed)
    reply = ask(address, INFER, {"inputs": [tensor("patches", batch)], "outputs": [{"name": "logits"}]})
    right = reply.status == 200 and reply.outputs["logits"]["data"] == logits_of(batch).reshape(-1).tolist()
    return reply.status, right if reply.status == 200 else reply.error


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


class Failing:
    """Raises at every call of one name whose number is among `numbers`."""

    def __init__(self, call: str, *numbers: int, error: Exception | None = None) -> None:
        self.call, self.numbers, self.error = call, numbers, error or BackendError("the bus fell silent")

    def __call__(self, call: str, number: int) -> None:
        if call == self.call and number in self.numbers:
            raise self.error


@pytest.mark.parametrize("call", ["submit", "collect"])
def test_a_fault_that_a_reset_mends_is_not_noticed(tmp_path: Path, call: str) -> None:
    devices = on(lambda made: FaultyBackend(made.network, 4, Failing(call, 1)))
    with serving(bundle(tmp_path).path, devices_of=devices) as address:
        assert labels(address) == (200, True)
        told = ask(address, "/metrics").body.decode()
    assert 'bitswath_device_resets{device="fake-0",model="small",version="1"} 1.0' in told
    assert 'bitswath_device_faults{device="fake-0",model="small",version="1"} 0.0' in told


def test_a_second_fault_is_the_requests_and_the_device_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_FIRST_PAUSE_S", 2.0)
    opened: list[FaultyBackend] = []

    def make(made: Bundle) -> FaultyBackend:
        opened.append(FaultyBackend(made.network, 4, Failing("collect", *(() if opened else (1, 2)))))
        return opened[-1]

    with serving(bundle(tmp_path).path, devices_of=on(make)) as address:
        assert labels(address) == (500, "BackendError: the bus fell silent")
        assert ask(address, "/v2/health/ready").status == 400  # known before the client was told
        until(lambda: ask(address, "/v2/health/ready").status == 200)
        assert labels(address) == (200, True)
        told = ask(address, "/metrics").body.decode()
    assert len(opened) == 2 and opened[0].closed
    assert 'bitswath_device_faults{device="fake-0",model="small",version="1"} 1.0' in told
    assert 'nv_inference_request_failure{model="small",reason="500",version="1"} 1.0' in told


def test_without_a_reset_frames_are_sent_once_more_to_a_device_opened_anew(tmp_path: Path) -> None:
    opened: list[FakeBackend] = []

    def make(made: Bundle) -> FakeBackend:
        opened.append(FakeBackend(made.network, 4, broken=0 if len(opened) == 0 else None))
        return opened[-1]

    with serving(bundle(tmp_path).path, devices_of=on(make, count=2)) as address:
        assert labels(address) == (200, True)
        until(lambda: len(opened) == 3)


def test_without_any_device_requests_are_refused_and_ready_is_false(tmp_path: Path) -> None:
    back = threading.Event()
    opened: list[FakeBackend] = []

    def make(made: Bundle) -> FakeBackend:
        if opened and not back.is_set():
            raise BackendError("no device was found")
        opened.append(FaultyBackend(made.network, 4, Failing("collect", *(() if opened else (1, 2)))))
        return opened[-1]

    with serving(bundle(tmp_path).path, devices_of=on(make)) as address:
        assert labels(address)[0] == 500
        until(lambda: ask(address, "/v2/health/ready").status == 400)
        assert ask(address, "/v2/health/ready").json["ready"] is False
        assert ask(address, "/v2/models/small/ready").json == {"name": "small", "ready": False}
        assert ask(address, "/v2/health/live").status == 200
        refused = ask(address, INFER, {"inputs": [tensor("patches", patches(1))]})
        assert refused.status == 503 and refused.headers["Retry-After"] == "5" and "no device" in refused.error
        assert ask(address, "/v2/repository/index", {"ready": True}).json == []
        back.set()
        until(lambda: ask(address, "/v2/health/ready").status == 200)
        assert labels(address) == (200, True)


def test_another_device_goes_on_while_one_is_away(tmp_path: Path) -> None:
    opened: list[FakeBackend] = []

    def make(made: Bundle) -> FakeBackend:
        if len(opened) >= 2:
            raise BackendError("still away")
        opened.append(FaultyBackend(made.network, 4, Failing("collect", *range(1 if len(opened) else 99, 99))))
        return opened[-1]

    with serving(bundle(tmp_path).path, devices_of=on(make, count=2)) as address:
        answers = [labels(address, seed=seed) for seed in range(20)]
        assert {status for status, _ in answers} <= {200, 500}
        assert all(right for status, right in answers if status == 200)
        assert sum(status == 500 for status, _ in answers) <= 1
        assert ask(address, "/v2/health/ready").status == 200


def test_a_device_that_hangs_is_a_fault(tmp_path: Path) -> None:
    opened: list[FakeBackend] = []

    def make(made: Bundle) -> FakeBackend:
        error = BackendTimeoutError("no answer within 1 s")
        opened.append(FaultyBackend(made.network, 4, Failing("collect", *(() if opened else (1, 2)), error=error)))
        return opened[-1]

    with serving(bundle(tmp_path).path, devices_of=on(make)) as address:
        status, error = labels(address)
        assert status == 500 and error.startswith("BackendTimeoutError: ")
        until(lambda: ask(address, "/v2/health/ready").status == 200)


class Choosy(FakeBackend):
    """Refuses frames whose first byte is 255, as a network does that has no such code."""

    def submit(self, frames: Any) -> Any:
        if (frames[:, 0] == 255).any():
            raise InputError("frames hold codes that the network does not take")
        return super().submit(frames)


def test_wrong_frames_are_their_requests_alone(tmp_path: Path) -> None:
    gate = Choosy
    held = threading.Event()
    backends: list[Choosy] = []

    def make(made: Bundle) -> FakeBackend:
        backends.append(gate(made.network, 4))
        backends[-1].hold = held
        return backends[-1]

    wrong = frames_of(patches(2))
    wrong[1, 0] = 255
    good = [patches(3, seed) for seed in range(4)]
    bodies = [{"inputs": [tensor("frames", wrong)]}, *({"inputs": [tensor("frames", frames_of(b))]} for b in good)]
    replies: dict[int, Any] = {}
    with serving(bundle(tmp_path).path, devices_of=on(make, timeout_s=WAIT_S)) as address:
        first = threading.Thread(target=lambda: replies.update({-1: labels(address)}))
        first.start()
        until(lambda: backends[0].submitted == 1)  # it is busy, so that the others wait and are joined
        threads = [
            threading.Thread(target=lambda n=n, body=body: replies.update({n: ask(address, INFER, body)}))
            for n, body in enumerate(bodies)
        ]
        for thread in threads:
            thread.start()
        until(lambda: 'bitswath_queue_frames{model="small",version="1"} 14.0' in ask(address, "/metrics").body.decode())
        held.set()
        for thread in (first, *threads):
            thread.join(WAIT_S)
    assert replies[-1] == (200, True)
    assert replies[0].status == 400 and "codes that the network does not take" in replies[0].error
    for number, batch in enumerate(good, 1):
        assert replies[number].outputs["labels"]["data"] == logits_of(batch).argmax(1).tolist()


def test_an_unexpected_error_of_a_backend_is_told_and_the_server_goes_on(tmp_path: Path) -> None:
    opened: list[FakeBackend] = []

    def make(made: Bundle) -> FakeBackend:
        opened.append(
            FaultyBackend(made.network, 4, Failing("collect", *(() if opened else (1,)), error=KeyError("x")))
        )
        return opened[-1]

    with serving(bundle(tmp_path).path, devices_of=on(make)) as address:
        status, error = labels(address)
        assert status == 500 and "failed unexpectedly" in error
        until(lambda: ask(address, "/v2/health/ready").status == 200)
        assert labels(address) == (200, True)


def test_a_fault_of_the_server_itself_is_logged_once_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise KeyError("secret")

    monkeypatch.setattr("bitswath.serving.service.tensors_of", fails)
    with serving(bundle(tmp_path).path) as address:
        status, error = labels(address)
        assert status == 500 and "secret" not in error
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None and record.exc_info[0] is KeyError


def test_devices_that_answer_differently_are_refused(tmp_path: Path) -> None:
    made = bundle(tmp_path)

    def devices_of(_: Bundle) -> dict[str, Callable[[], Accelerator]]:
        other = bundle(tmp_path, "other", np.ones((4, 40), np.int64), classes=("a", "b", "c", "d"))
        return {
            "one": lambda: Accelerator(made, FakeBackend(made.network, 4), timeout_s=1),
            "two": lambda: Accelerator(other, FakeBackend(other.network, 4), timeout_s=1),
        }

    with pytest.raises(InputError, match="devices that answer alike"), serving(made.path, devices_of=devices_of):
        pass
