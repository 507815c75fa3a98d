"""The clock of the programmable logic through pynq's Clocks: never faster than allowed, not even on the way there.

pynq itself takes the divisors nearest to a frequency, which may be faster, and warns.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from bitswath.backends.board.handoff import Wizard
from bitswath.backends.board.overlay import Overlay
from bitswath.errors import BackendError, InputError

__all__ = ["Clock", "aim_clocks", "set_clock", "wanted_clock"]

_TOLERANCE = 0.01
_ROUNDING = 1e-4
"""pynq rounds frequencies, and takes a third of 100 MHz for 33.333."""
_LARGEST = 63
"""Of each of the two divisors, on both families."""
_DIVISORS = {j * i: (i, j) for i in range(1, _LARGEST + 1) for j in range(1, min(i, _LARGEST) + 1)}
"""By their product; the first the larger one, as pynq has them."""


def wanted_clock(overlay: Overlay, clock_hz: float | None) -> float | None:
    """The accelerator's: `clock_hz`, by default what the bitstream was routed for, and never more."""
    if clock_hz is None:
        return overlay.clock_hz
    if overlay.is_alveo:
        raise InputError(f"clock_hz is for boards; {overlay.bitfile.name} is for a card, which has a clock of its own")
    if not clock_hz > 0:
        raise InputError(f"expected clock_hz above 0, got {clock_hz}")
    if overlay.clock_hz is not None and clock_hz > overlay.clock_hz * (1 + _TOLERANCE):
        raise InputError(f"expected clock_hz of at most {overlay.clock_hz:g}, the routed one, got {clock_hz:g}")
    return clock_hz


def aim_clocks(pynq: ModuleType, device: Any) -> None:
    """pynq 4 keeps the clock registers of the device it met first, for the whole process."""
    clocks = pynq.Clocks
    if hasattr(clocks, "set_device"):
        clocks.set_device(device)
        if "_real_instance" in vars(clocks):
            del clocks._real_instance


@dataclass(frozen=True)
class Clock:
    """`accelerator_hz`: as made of clock 0, `zero_hz`: that, as read back; `divisors`: of clock 0, if they were set."""

    accelerator_hz: float
    zero_hz: float
    divisors: tuple[int, int] | None


def set_clock(pynq: ModuleType, wanted_hz: float | None, *, exact: bool, wizard: Wizard | None = None) -> Clock:
    """Set clock 0 for an accelerator that is to run at `wanted_hz` (None: at whatever it is), and read it back.

    Clock 0 becomes the fastest that is not above `wanted_hz`, or above the input of a clocking `wizard` behind it,
    which makes one frequency only. `exact`: what comes of it must be `wanted_hz` within 1 %; else it may be slower.
    Raises `BackendError` that names both.
    """
    if wizard is not None:
        _check("the accelerator", wanted_hz, wizard.output_hz, exact)  # before the clock is there
    limit_hz = wanted_hz if wizard is None else wizard.input_hz
    made_hz, divisors = (None, None) if limit_hz is None else _divide(pynq.Clocks, limit_hz)
    found_hz = float(pynq.Clocks.fclk0_mhz) * 1e6
    _check("clock 0", limit_hz, found_hz, exact or wizard is not None)
    if made_hz is not None and abs(found_hz - made_hz) > _TOLERANCE * made_hz:
        raise _unmet("clock 0", made_hz, found_hz)
    factor = 1.0 if wizard is None else wizard.output_hz / wizard.input_hz
    return Clock(found_hz * factor, found_hz, divisors)


def _divide(clocks: Any, limit_hz: float) -> tuple[float, tuple[int, int]]:
    """Set divisors for the fastest clock that is not above the limit; what it should be then."""
    # slow first: the two divisors are written one after the other, and the source is read from what they leave
    clocks.set_pl_clk(0, _LARGEST, _LARGEST)
    source_hz = float(clocks.fclk0_mhz) * 1e6 * _LARGEST**2
    product = min((one for one in _DIVISORS if source_hz <= one * limit_hz * (1 + _ROUNDING)), default=_LARGEST**2)
    clocks.set_pl_clk(0, *_DIVISORS[product])
    return source_hz / product, _DIVISORS[product]


def _check(what: str, wanted_hz: float | None, found_hz: float, exact: bool) -> None:
    if wanted_hz is not None:
        ratio = found_hz / wanted_hz
        if ratio > 1 + _TOLERANCE or (exact and ratio < 1 - _TOLERANCE):
            raise _unmet(what, wanted_hz, found_hz)


def _unmet(what: str, wanted_hz: float, found_hz: float) -> BackendError:
    return BackendError(
        f"expected {what} at {wanted_hz / 1e6:g} MHz, the board runs it at {found_hz / 1e6:g} MHz; "
        "ask for a clock it can make with clock_hz="
    )
