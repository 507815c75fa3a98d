"""A board on the network: the unmodified pynq under the server, with the answers of the emulator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import bitswath as bs
from bitswath.accelerator import Accelerator
from bitswath.bundle.bundle import Bundle
from bitswath.serving.repository import DevicesOf
from bitswath.simulated import Fault, System
from tests.board.boards import Plug, patches_of
from tests.host.serving.served import Reply, ask, serving, tensor


def on_board(plug: Plug, system: System, small: Path) -> DevicesOf:
    options: dict[str, Any] = {"bitstream": plug.folder(small), "device": plug.device(system), "frames_per_transfer": 4}

    def devices_of(made: Bundle) -> dict[str, Callable[[], Accelerator]]:
        return {"board": partial(bs.open, made, "pynq", timeout_s=1.0, **options)}

    return devices_of


def asked(address: str, small: Path, count: int) -> Reply:
    name = bs.load_bundle(small).name
    body = {"inputs": [tensor("patches", patches_of(count))], "outputs": [{"name": "logits"}]}
    return ask(address, f"/v2/models/{name}/infer", body)


def expected(small: Path, count: int) -> Any:
    with bs.open(small) as emulator:
        logits = emulator.classify(patches_of(count)).logits
    assert logits is not None
    return logits.reshape(-1).tolist()


def test_a_board_answers_as_the_emulator_does(plug: Plug, system: System, small: Path) -> None:
    with serving(small, devices_of=on_board(plug, system, small)) as address:
        for count in (1, 21):
            assert asked(address, small, count).outputs["logits"]["data"] == expected(small, count)


@pytest.mark.parametrize("kind", ["never_done", "hang"])
def test_a_boards_fault_is_met_by_a_reset(plug: Plug, system: System, small: Path, kind: Any) -> None:
    with serving(small, devices_of=on_board(plug, system, small)) as address:
        system.inject(Fault(kind))
        assert asked(address, small, 5).outputs["logits"]["data"] == expected(small, 5)
        assert "bitswath_device_resets" in ask(address, "/metrics").body.decode()
