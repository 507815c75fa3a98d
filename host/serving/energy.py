"""Power and energy while the server runs, where the machine has a meter."""

from __future__ import annotations

import logging
import threading
import time

from bitswath.errors import PowerError
from bitswath.power.kinds import open_meter
from bitswath.power.meters import Meter, Quantity, chosen_rails

__all__ = ["Energy"]

_PERIOD_S = 0.5
_log = logging.getLogger("bitswath.serving")


class Energy:
    """Reads a meter in a thread of its own, from `start` on. `name`: of the meter, or its kind; None: the best there
    is, if there is one. `watts` is None as long as nothing was measured: nothing is estimated."""

    def __init__(self, name: str | None = None, rails: tuple[str, ...] = ()) -> None:
        self.watts: float | None = None
        self.joules = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            meter = open_meter(name)
            self._rails = chosen_rails(meter, rails or None)
        except PowerError:
            if name is not None or rails:
                raise
            self._meter: Meter | None = None
        else:
            self._meter = meter

    @property
    def meter(self) -> str | None:
        """What it is called; None if there is none."""
        return None if self._meter is None else self._meter.name

    def start(self) -> None:
        if self._meter is not None:
            self._thread = threading.Thread(target=self._run, args=(self._meter,), name="bitswath-energy", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(5 * _PERIOD_S)

    def _run(self, meter: Meter) -> None:
        try:
            before, at = self._reading(meter), time.monotonic()
            while not self._stopped.wait(min(_PERIOD_S, meter.longest_gap_s / 2)):
                value, now = self._reading(meter), time.monotonic()
                counts = meter.quantity is Quantity.ENERGY
                joules = value - before if counts else (value + before) / 2 * (now - at)
                self.joules += joules
                self.watts = joules / (now - at) if counts else value
                before, at = value, now
        except PowerError as error:
            self.watts = None
            _log.error("the power meter cannot be read any more", extra={"reason": str(error)})

    def _reading(self, meter: Meter) -> float:
        values = meter.read()
        return sum(values[meter.rails.index(rail)] for rail in self._rails)
