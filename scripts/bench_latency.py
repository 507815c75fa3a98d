"""Latency at batch 1 of a bundle on a backend: percentiles from image and patch to label and of the device alone, where
the time goes, and MLPerf-Tiny-like single streams (bitswath.bench.latency says how).

python scripts/bench_latency.py BUNDLE [--backend emulator|rtl|pynq] [--board BOARD] [--images ZIP --split test]
    [--queries 500] [--stream-s 10] [--json FILE] [--plot FILE]

It is ``bitswath bench --what latency``; --help tells all options.
"""

from __future__ import annotations

import sys

from bitswath.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["bench", "--what", "latency"]
    main()
