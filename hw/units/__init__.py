"""The hardware units that compute a network: FINN's operators and our own, with their foldings and cycles.

A folding gives a unit's degrees of parallelism: `PE` (outputs or channels at a time) and `SIMD` (inputs at a
time). Shapes are channels-last, without a batch axis. Cycle counts are those of a frame in the steady state;
FINN's own are repeated here because searching a folding needs thousands of them, and FINN runs elsewhere.
"""

from __future__ import annotations

from bitswath.hw.units.base import MEMORIES, Folding, Numbers, Pair, Unit, Wire, divisors
from bitswath.hw.units.decode import Decode, Decoding, decoding_of
from bitswath.hw.units.lanes import Join, LineWindows, Raster, WindowPool
from bitswath.hw.units.products import Depthwise, MatVec
from bitswath.hw.units.streams import AddStreams, ArgMax, Concat, Duplicate, Lookup, Pack, Unpack
from bitswath.hw.units.takes import Take
from bitswath.hw.units.thresholds import Affine, Threshold
from bitswath.hw.units.windows import GlobalSum, MaxPool, Pad, Pool, SumPool, Window

__all__ = [
    "MEMORIES",
    "AddStreams",
    "Affine",
    "ArgMax",
    "Concat",
    "Decode",
    "Decoding",
    "Depthwise",
    "Duplicate",
    "Folding",
    "GlobalSum",
    "Join",
    "LineWindows",
    "Lookup",
    "MatVec",
    "MaxPool",
    "Numbers",
    "Pack",
    "Pad",
    "Pair",
    "Pool",
    "Raster",
    "SumPool",
    "Take",
    "Threshold",
    "Unit",
    "Unpack",
    "Window",
    "WindowPool",
    "Wire",
    "decoding_of",
    "divisors",
]
