"""Alarms: each is done once at its time, unless it was called off, whatever else was set."""

from __future__ import annotations

import asyncio
import random
import time

from bitswath.serving.scheduling.alarms import Alarms


def test_each_is_done_once_not_before_its_time_unless_it_is_called_off() -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    done: dict[int, list[float]] = {number: [] for number in range(60)}
    due: dict[int, float] = {}
    off: set[int] = set()

    async def run() -> None:
        alarms = Alarms()
        for number in done:
            after_s = rng.uniform(0, 0.2)
            due[number] = time.monotonic() + after_s
            key = alarms.set(after_s, lambda number=number: done[number].append(time.monotonic()))  # type: ignore[misc]
            if rng.random() < 0.5:
                off.add(number)
                alarms.off(key)
                alarms.off(key)
        await asyncio.sleep(0.5)

    asyncio.run(run())
    for number, times in done.items():
        assert len(times) == (number not in off)
        assert all(0 <= at - due[number] < 0.2 for at in times)


def test_an_action_may_set_another_and_may_fail() -> None:
    told: list[str] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: told.append(type(context["exception"]).__name__)
        )
        alarms = Alarms()
        alarms.set(0.0, lambda: alarms.set(0.01, lambda: told.append("second")))
        await asyncio.sleep(0.05)
        alarms.set(0.0, lambda: {}["nothing"])
        alarms.set(0.0, lambda: told.append("at once"))
        alarms.set(0.05, lambda: told.append("last"))
        await asyncio.sleep(0.2)

    asyncio.run(run())
    assert told == ["second", "KeyError", "at once", "last"]
