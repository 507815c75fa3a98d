"""Bundles of any network built for a board with a deep queue in every stream, and run against the emulator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bitswath.backends.emulator import EmulatorBackend
from bitswath.backends.rtl.backend import RtlBackend
from bitswath.builds.design import Design
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.packing import pack
from bitswath.codecs.uniform import UniformCodec
from bitswath.hw.generating.compile import compile_design, save_design
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.folding import find_folding
from bitswath.hw.planning.plan import plan
from bitswath.hw.units import decoding_of
from bitswath.network.network import ArgMax, Network

FRAMES = 5
DEPTH = 257
"""Of every queue: enough for the residual branches of small images."""


def bundled(network: Network, folder: Path) -> Bundle:
    """A network over codes (H, W, C) of whole bits."""
    height, width, bands = network.input.shape
    last = network.stages[-1]
    scores = network.tensors[last.inputs[0]] if isinstance(last, ArgMax) else network.output
    classes = [str(label) for label in range(scores.shape[-1])]
    codec = UniformCodec(network.input.bits)
    return save_bundle(
        folder / "x.bsw", network=network, codec=codec, patch_shape=(height, width, bands), classes=classes
    )


def built(
    bundle: Bundle,
    board_name: str,
    folder: Path,
    changes: Mapping[str, int] | None = None,
    *,
    cycles: int = 2500,
    depth: int = DEPTH,
    pixels: int = 1,
) -> Design:
    """Compiled into `folder`, with a queue in every stream."""
    board = find_board(board_name)
    hardware = plan(bundle.network, bundle.codec.bits, board.link_width, decoding_of(bundle), pixels=pixels)
    foldings = find_folding(hardware, board, margin=0.1, cycles=cycles).foldings
    for unit in hardware.units:
        for key, value in (changes or {}).items():
            if value in unit.choices().get(key, ()):
                foldings[unit.name][key] = value
    design = compile_design(bundle, board, 100e6, foldings, folder, pixels=pixels)
    deep = tuple(
        stream.model_copy(update={"depth": depth}) if stream.source and stream.sink and stream.beats else stream
        for stream in design.streams
    )
    return save_design(design.model_copy(update={"streams": deep}), folder)


def assert_equal(bundle: Bundle, folder: Path, *, exact: bool) -> None:
    """Random frames through the RTL, with pauses at both ends, and through the emulator."""
    seed = np.random.SeedSequence().entropy
    print(f"seed {seed}")
    entry = bundle.manifest.input
    codes = np.random.default_rng(seed).integers(0, 2**entry.bits, (FRAMES, *entry.code_shape), np.uint8)
    frames = pack(codes, entry.bits)
    with EmulatorBackend(bundle.network, entry.bits) as emulator:
        expected = emulator.collect(emulator.submit(frames))
    with RtlBackend(folder, output_shape=bundle.network.output.shape, stall=0.3, exact=exact) as rtl:
        np.testing.assert_array_equal(rtl.collect(rtl.submit(frames)), expected)
