"""Throughput of a bundle on a backend: a stream from patches to labels beside the bare device, by size of its batches,
by bits of its input, and over two devices (bitswath.bench.throughput says how).

python scripts/bench_throughput.py BUNDLE [--backend emulator|rtl|pynq] [--board BOARD] [--threads 1] [--bits 1,2,4,8]
    [--second] [--turns 31] [--json FILE] [--plot FILE]

It is ``bitswath bench --what throughput``; --help tells all options. In the JSON, `emulator.stream_over_kernel` is the
stream's rate over the bare device's.
"""

from __future__ import annotations

import sys

from bitswath.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["bench", "--what", "throughput"]
    main()
