"""The integer network, in memory and on disk."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "file": ("load_network", "save_network"),
        "network": (
            "INPUT",
            "Add",
            "ArgMax",
            "Concat",
            "Conv",
            "Dense",
            "Head",
            "Lookup",
            "MaxPool",
            "Network",
            "Stage",
            "SumPool",
            "Take",
            "TensorSpec",
            "Threshold",
        ),
    },
)
