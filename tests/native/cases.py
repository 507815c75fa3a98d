"""Networks and frames as `emulate.cpp` reads them, and its tensors read back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.emulator import _parameters
from bitswath.network.network import Network
from tests import reference
from tests.networks import random_codes

OPERATORS = ("Input", "Conv", "Dense", "Threshold", "MaxPool", "SumPool", "Add", "Concat", "Lookup", "Take", "ArgMax")
VALUES = ("weights", "thresholds", "table", "index")
WINDOW = {"kernel": (1, 1), "strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0)}


@dataclass(frozen=True)
class Case:
    """A network, frames of codes for it, and every tensor that must come out."""

    name: str
    network: Network
    codes: NDArray[np.int64]
    expected: dict[str, NDArray[np.int64]]
    packed: bool

    @classmethod
    def of(cls, name: str, network: Network, seed: int = 0, frames: int = 3) -> Case:
        codes = random_codes(network.input, frames, np.random.default_rng(seed))
        spec = network.input
        return cls(name, network, codes, reference.interpret(network, codes), spec.lo >= 0 and spec.hi < 256)


def write(cases: list[Case], path: Path) -> None:
    words = [len(cases)]
    for case in cases:
        words += _network_words(case.network)
        words += _frame_words(case)
    path.write_bytes(np.array(words, "<i8").tobytes())


def _network_words(network: Network) -> list[int]:
    numbers = {name: number for number, name in enumerate(network.tensors)}
    spec = network.input
    words = [*_array(spec.shape), spec.lo, spec.hi, len(network.stages)]
    for stage in network.stages:
        fields: dict[str, Any] = _parameters(stage)
        values = next((fields[key] for key in VALUES if key in fields), np.zeros(0))
        words += [OPERATORS.index(fields["op"]), *_array([numbers[name] for name in fields["inputs"]])]
        for key, default in WINDOW.items():
            words += fields.get(key, default)
        words += [fields.get("groups", 1), fields.get("base", 0), fields.get("step", 1), fields.get("fill", 0)]
        for key in ("shape", "multipliers", "directions"):
            words += _array(fields.get(key, ()))
        words += [*_array(values.shape), *_array(values.astype(np.int64).ravel().tolist())]
    return words


def _frame_words(case: Case) -> list[int]:
    count, bits = len(case.codes), case.network.input.hi.bit_length() if case.packed else 0
    frames = case.codes.reshape(count, -1)
    if case.packed:
        bits = max(bits, 1)
        planes = np.unpackbits(frames.astype(np.uint8)[..., None], axis=-1, count=bits, bitorder="little")
        frames = np.packbits(planes.reshape(count, -1), axis=-1, bitorder="little")
    data = frames.astype(frames.dtype.newbyteorder("<")).tobytes()
    padded = np.frombuffer(data + bytes(-len(data) % 8), "<i8")
    return [count, len(data) // count, bits, *_array(padded.tolist())]


def _array(values: Any) -> list[int]:
    return [len(values), *map(int, values)]


def read(path: Path, cases: list[Case]) -> Iterator[tuple[Case, dict[str, NDArray[np.int64]]]]:
    """Each case with the tensors that were written for it, by name, (frames, *shape)."""
    words, at = np.frombuffer(path.read_bytes(), "<i8"), 0
    for case in cases:
        names, tensors = list(case.network.tensors), {}
        count, at = int(words[at]), at + 1
        for _ in range(count):
            name, size = names[words[at]], int(words[at + 1])
            shape = (len(case.codes), *case.network.tensors[name].shape)
            tensors[name] = words[at + 2 : at + 2 + size].reshape(shape)
            at += 2 + size
        yield case, tensors
    assert at == len(words), "expected no words after the last case"
