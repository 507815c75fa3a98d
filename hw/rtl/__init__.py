"""Our kernels, one SystemVerilog module a file: `dma` around an accelerator, `links` and `frames` (compressed ones) at
its ends, `streams` between its stages, `products`, `windows` and `takes` in them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["KERNELS"]

KERNELS = {path.name: path for path in sorted(Path(__file__).parent.rglob("*.sv"))}
"""Every kernel's file, by its name."""
