"""What a machine draws: meters behind one interface, and sampling them while something runs."""

from __future__ import annotations

from bitswath.power.kinds import find_meters, open_meter
from bitswath.power.meters import Meter, Quantity
from bitswath.power.sampler import Sampler, Samples

__all__ = ["Meter", "Quantity", "Sampler", "Samples", "find_meters", "open_meter"]
