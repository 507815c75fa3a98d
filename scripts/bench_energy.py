"""Energy per patch of a bundle on a backend, gross and net of idle, by a power meter of this machine.

python scripts/bench_energy.py BUNDLE [--backend emulator|pynq] [--board BOARD] [--images ZIP --split test]
    [--meter NAME] [--rail RAIL ...] [--rounds 5] [--round-s 5] [--idle-s 5] [--json FILE] [--plot FILE]

It is ``bitswath bench --what energy``; --help tells all options. Without a sensor there is no figure, and the output
says why. docs/power.md says what is measured where.
"""

from __future__ import annotations

import sys

from bitswath.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["bench", "--what", "energy"]
    main()
