"""Waiting for the output engine's interrupt through pynq, whose interrupts are asyncio events."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from bitswath.backends.board.engines.iodma import RegisterEngine

__all__ = ["OutputInterrupt"]

_SLICE_S = 0.05
_MISSES = 3
_PYNQ_ERRORS = (RuntimeError, OSError, ValueError, TypeError, AttributeError, LookupError)


class OutputInterrupt:
    """The interrupt on `pin` (its full path). It is used by one thread.

    `rearm`: enable its line at the interrupt controller. A wait that was under way when the bitstream was loaded again
    leaves pynq with an old controller object, which takes the next interrupt and disables the line.
    """

    def __init__(self, pynq: ModuleType, pin: str, rearm: Callable[[], None]) -> None:
        self._pynq, self._pin, self._rearm = pynq, pin, rearm
        self._interrupt: Any = None
        self._engine: RegisterEngine | None = None
        self._misses = 0

    def attach(self, engine: RegisterEngine) -> None:
        """After a bitstream was loaded: pynq's interrupts from before are void."""
        engine.enable_interrupt()
        self._engine, self._interrupt = engine, None

    def wait(self) -> bool:
        """At most 0.05 s; False if pynq cannot wait for it, or the engine raises its line and nothing arrives."""
        if self._engine is None:
            return False
        try:
            arrived = asyncio.run_coroutine_threadsafe(self._wait(), _event_loop(os.getpid())).result()
        except _PYNQ_ERRORS:
            return False
        if arrived:
            self._misses = 0
            self._engine.clear_interrupt()
        elif self._engine.interrupting():
            self._misses += 1
            self._rearm()
        return self._misses < _MISSES

    async def _wait(self) -> bool:
        if self._interrupt is None:
            self._interrupt = self._pynq.Interrupt(self._pin)
        try:
            await asyncio.wait_for(self._interrupt.wait(), _SLICE_S)
        except asyncio.TimeoutError:
            return False
        return True


@functools.cache
def _event_loop(process: int) -> asyncio.AbstractEventLoop:
    """The one of this process, for ever: pynq binds an interrupt's file to the loop that waits for it first."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="bitswath-interrupts", daemon=True).start()
    return loop
