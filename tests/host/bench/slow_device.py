"""A backend whose calls take stated times, behind the arithmetic of the tests' reference."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Ticket
from bitswath.backends.kinds import BACKENDS
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.uniform import UniformCodec
from tests.host.fake_backend import FakeBackend
from tests.host.kinds import linear

SHAPE = (8, 8, 3)
SUBMIT_S, COLLECT_S = 0.001, 0.004


class SlowDevice(FakeBackend):
    """Takes `SUBMIT_S` to hand over and `COLLECT_S` to answer."""

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        time.sleep(SUBMIT_S)
        return super().submit(frames)

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.int32]:
        time.sleep(COLLECT_S)
        return super().collect(ticket, timeout_s)


def bundle(folder: Path) -> Bundle:
    """Four bits, three classes."""
    network = linear(np.random.default_rng(1).integers(-7, 8, (3, 192)), SHAPE, 4)
    classes = ("forest", "river", "lake")
    return save_bundle(folder / "small.bsw", network=network, codec=UniformCodec(4), patch_shape=SHAPE, classes=classes)


def install(group: int | None = None) -> dict[str, object]:
    """What `BACKENDS` holds with the device in it; `group`: folded frames of so many codes."""
    return {**BACKENDS, "slow": lambda opened, options: SlowDevice(opened.network, opened.codec.bits, group=group)}
