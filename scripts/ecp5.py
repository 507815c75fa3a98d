"""Places and routes a build for a Lattice ECP5 with open tools, and makes a bitstream of it.

python scripts/ecp5.py BUNDLE [--board Pynq-Z2] --bitstream out.bit     the whole accelerator
python scripts/ecp5.py BUNDLE [--board Pynq-Z2] [--part NAME ...]       each of its stages and queues

Prints the clock that every path between registers allows on grade 6, the slowest, and writes --json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from bitswath.backends.netlist.mapping import part_key
from bitswath.backends.netlist.parts import Part, parts_of, whole_of
from bitswath.builds.folder import RTL, build_folder, load_design
from bitswath.errors import BuildError
from bitswath.hw.counting.ecp5 import DEVICES, PlacedAndRouted, pack_bitstream, place_and_route

USED = {"LUT4": ("TRELLIS_COMB",), "FF": ("TRELLIS_FF",), "EBR": ("DP16KD",), "DSP": ("MULT18X18D",)}


def shown(name: str, found: PlacedAndRouted, seconds: float) -> str:
    counts = [str(sum(found.used.get(cell, 0) for cell in cells)) for cells in USED.values()]
    return f"| {name} | {found.clock_hz / 1e6:.0f} | {' | '.join(counts)} | {seconds:.0f} |"


def placed(part: Part, rtl: Path, device: str, config: Path | None, direct: bool) -> PlacedAndRouted:
    log = Path(tempfile.gettempdir()) / f"ecp5-{part.name.replace(' ', '-')}.log"
    return place_and_route(part, rtl, log=log, device=device, config=config, direct=direct)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--board", help="Which of its builds.")
    parser.add_argument("--bitstream", type=Path, metavar="OUT.bit")
    parser.add_argument("--part", action="append", default=[], help="A stage, or 'queue STREAM'.")
    parser.add_argument("--device", choices=DEVICES, default="85k")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = build_folder(options.bundle, options.board)
    design, rtl = load_design(folder), folder / RTL
    parts = list({part_key(part, rtl): part for part in parts_of(design, rtl)}.values())
    if options.part:
        parts = [part for part in parts if part.name in options.part]
    if options.bitstream:
        parts = [whole_of(design, rtl)]
    print(f"| part | MHz | {' | '.join(USED)} | seconds |\n| --- | ---: |{' ---: |' * (len(USED) + 1)}", flush=True)
    results = {}
    for part in parts:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            config = Path(scratch) / "out.config" if options.bitstream else None
            try:
                found = placed(part, rtl, options.device, config, direct=config is not None)
            except BuildError as error:
                print(f"| {part.name} | {error} |", flush=True)
                continue
            if config is not None:
                pack_bitstream(config, options.bitstream)
        print(shown(part.name, found, time.monotonic() - started), flush=True)
        results[part.name] = asdict(found)
    if options.bitstream and options.bitstream.exists():
        print(f"\n{options.bitstream}: {options.bitstream.stat().st_size:,} bytes, for LFE5U-{options.device.upper()}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
