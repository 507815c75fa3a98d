"""Nodes with random data, what streams through them, and what numpy says that comes out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.packing import pack
from bitswath.hw.units.lines import fit_lines
from tests.compressed_cases import codec_of, smooth
from tests.reference import windows
from tests.rtl.simulate import packed, random_integers, to_beats

Values = NDArray[np.int64]
FRAMES = 3


@dataclass(frozen=True)
class Result:
    """Integers (frames, ...) that leave `elements` a beat; bits of BIPOLAR ones stand for -1 and +1."""

    values: Values
    elements: int
    bits: int
    signed: bool = False


@dataclass(frozen=True)
class Case:
    """`values`: of each input, (frames, ...) in the order of FINN's functional model; `beats`: as they stream."""

    name: str
    op: str
    attributes: dict[str, Any]
    values: list[list[list[int]]]
    beats: list[list[int]]
    results: list[Result]
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def job(self) -> dict[str, Any]:
        """What the worker needs."""
        job = {
            "name": self.name,
            "op": self.op,
            "attributes": self.attributes,
            "inputs": [f"{self.name}_x{i}" for i in range(len(self.beats))],
            "outputs": [f"{self.name}_y{i}" for i in range(len(self.results))],
            "values": self.values,
            "frames": FRAMES,
        }
        return job | ({"parameters": self.parameters} if self.parameters else {})


def cases(random: np.random.Generator) -> list[Case]:
    return [
        pool("maximum", "MaxPool", 4, True, channels=6, pe=2, kernel=(2, 2), random=random),
        pool("maximum_of_signs", "MaxPool", 1, False, channels=4, pe=4, kernel=(3, 1), random=random, bipolar=True),
        pool("window_sum", "AccPool", 3, False, channels=4, pe=1, kernel=(2, 3), random=random),
        pool("window_mean", "QuantAvgPool", 5, False, channels=4, pe=4, kernel=(2, 2), random=random),
        global_pool("global_sum", 4, True, channels=6, pe=3, random=random),
        select("label", labels=10, pe=1, k=1, random=random),
        select("labels", labels=12, pe=4, k=5, random=random),
        duplicate("two", outputs=2, pe=3, random=random),
        duplicate("three", outputs=3, pe=6, random=random),
        add("sum", (4, False), (4, False), (1, 1), 5, random),
        add("weighted", (4, False), (3, True), (3, -5), 8, random),
        affine("line", (4, True), 3, (-5, 0), (), 8, random),
        affine("falling", (3, False), 1, (0, 7), (1, 2), 4, random),
        requantize("levels_of_channels", shared=False, random=random),
        requantize("levels_of_all", shared=True, random=random),
        take("cropped", [*range(12, 24), *range(30, 36)], 6, random),
        take("framed", [-1, -1, *range(36), -1, -1], 2, random),
        take("turned", [i + j for i in range(33, -1, -3) for j in range(3)], 3, random),
        concat("joined", [2, 6, 4], [(4, True), (3, False), (1, False)], 2, random),
        lines("neighbours", pixels=2, pads=(1, 1, 1, 1), strides=(1, 1), random=random),
        lines("every_other", pixels=2, pads=(0, 0, 1, 1), strides=(2, 2), random=random),
        whole_pool("whole_maximum", "MaxPool", (4, True), 4, random),
        whole_pool("whole_sum", "AccPool", (3, False), 6, random),
        side_by_side("abreast", lanes=4, random=random),
        lookup("palette", channels=1, simd=1, entries=13, depth=3, random=random),
        lookup("levels", channels=6, simd=2, entries=16, depth=1, random=random),
        unpack("thin", (7, 5, 3), 4, 3, 64, random),
        unpack("wide", (4, 4, 13), 7, 13, 512, random),
        decode("decoded", (16, 16, 1), 1, random),
        dense_pack("logits", 10, 13, 1, 64, random),
        dense_pack("straddling", 12, 11, 4, 32, random),
        dense_pack("short", 6, 5, 6, 128, random),
        pack_status("with_status", 10, 13, 1, 64, random),
        pack_status("status_alone", 8, 16, 4, 64, random),
        matvec("ternary_like", (2, False), (2, True), 18, 6, 9, 3, random),
        matvec("few_bits", (4, True), (3, True), 12, 4, 4, 2, random),
        matvec("binary_weights", (4, False), None, 20, 4, 10, 2, random),
        matvec("binary", None, None, 16, 4, 8, 4, random),
        matvec("constants", (4, False), (3, True), 12, 4, 12, 4, random, op="ConstMVAU_rtl"),
        matvec("constant_signs", None, None, 16, 3, 16, 3, random, op="ConstMVAU_rtl"),
        matvec("in_dsps", (4, False), (3, True), 9, 4, 3, 1, random, op="MVAU_rtl"),
        depthwise("channelwise", (4, False), (4, True), 6, (3, 3), 2, 3, random),
        depthwise("channelwise_binary", (2, True), None, 4, (2, 2), 4, 4, random),
    ]


def pool(
    name: str, function: str, bits: int, signed: bool, channels: int, pe: int, kernel: tuple[int, int],
    random: np.random.Generator, bipolar: bool = False,
) -> Case:  # fmt: skip
    window = kernel[0] * kernel[1]
    x = random_integers(random, bits, signed, (FRAMES, 3, 2, window, channels))
    kind = "BIPOLAR" if bipolar else datatype(bits, signed)
    values = 2 * x - 1 if bipolar else x
    folded = x.reshape(FRAMES, 3, 2, window, channels // pe, pe).swapaxes(3, 4)
    width = {"MaxPool": bits, "AccPool": bits + 3, "QuantAvgPool": bits}[function]
    out = datatype(width, signed)
    y = x.max(axis=3) if function == "MaxPool" else x.sum(axis=3)
    y = y >> (((2**bits - 1) * window).bit_length() - width) if function == "QuantAvgPool" else y
    attributes = {
        "Channels": channels, "PE": pe, "KernelSize": list(kernel), "Function": function, "OutImgDims": [3, 2],
        "InputDataType": kind, "OutputDataType": kind if function == "MaxPool" else out,
    }  # fmt: skip
    result = Result(2 * y - 1 if bipolar else y, pe, width, signed)
    return Case(name, "Pool_rtl", attributes, [flat(values)], [to_beats(folded.reshape(-1, pe), bits)], [result])


def global_pool(name: str, bits: int, signed: bool, channels: int, pe: int, random: np.random.Generator) -> Case:
    x = random_integers(random, bits, signed, (FRAMES, 4, 5, channels))
    attributes = {"NumChannels": channels, "PE": pe, "inputDataType": datatype(bits, signed)}
    attributes |= {"numInputVectors": [1, 4, 5], "outputDataType": "INT9"}
    result = Result(x.sum(axis=(1, 2)), pe, 9, True)
    return Case(name, "GlobalAccPool_rtl", attributes, [flat(x)], [to_beats(x.reshape(-1, pe), bits)], [result])


def select(name: str, labels: int, pe: int, k: int, random: np.random.Generator) -> Case:
    x = random_integers(random, 5, True, (FRAMES, labels))
    attributes = {"Labels": labels, "PE": pe, "K": k, "inputDataType": "INT5", "outputDataType": "UINT4"}
    attributes |= {"numInputVectors": [1]}
    best = np.lexsort((np.broadcast_to(np.arange(labels), x.shape), -x), axis=-1)[:, :k]
    return Case(name, "LabelSelect_rtl", attributes, [flat(x)], [to_beats(x.reshape(-1, pe), 5)], [Result(best, 1, 4)])


def duplicate(name: str, outputs: int, pe: int, random: np.random.Generator) -> Case:
    x = random_integers(random, 3, False, (FRAMES, 4, 3, 6))
    attributes = {"NumChannels": 6, "PE": pe, "NumOutputStreams": outputs, "inputDataType": "UINT3"}
    attributes |= {"numInputVectors": [1, 4, 3]}
    beats = [to_beats(x.reshape(-1, pe), 3)]
    return Case(name, "DuplicateStreams_rtl", attributes, [flat(x)], beats, [Result(x, pe, 3)] * outputs)


def add(
    name: str, a: tuple[int, bool], b: tuple[int, bool], factors: tuple[int, int], bits: int,
    random: np.random.Generator,
) -> Case:  # fmt: skip
    x = [random_integers(random, *kind, (FRAMES, 5, 4)) for kind in (a, b)]
    y = factors[0] * x[0] + factors[1] * x[1]
    signed = a[1] or b[1] or min(factors) < 0
    attributes = {
        "NumChannels": 4, "PE": 2, "numInputVectors": [1, 5], "inputDataTypes": [datatype(*a), datatype(*b)],
        "outputDataType": datatype(bits, signed), "multipliers": list(factors),
    }  # fmt: skip
    beats = [to_beats(v.reshape(-1, 2), kind[0]) for v, kind in zip(x, (a, b))]
    return Case(name, "AddStreams_rtl", attributes, [flat(v) for v in x], beats, [Result(y, 2, bits, signed)])


def concat(
    name: str, channels: list[int], kinds: list[tuple[int, bool]], simd: int, random: np.random.Generator
) -> Case:
    x = [random_integers(random, *kind, (FRAMES, 5, n)) for n, kind in zip(channels, kinds)]
    attributes = {
        "SIMD": simd, "ChannelsPerStream": channels, "inputDataTypes": [datatype(*kind) for kind in kinds],
        "numInputVectors": [1, 5], "outputDataType": "INT4",
    }  # fmt: skip
    beats = [to_beats(v.reshape(-1, simd), kind[0]) for v, kind in zip(x, kinds)]
    result = Result(np.concatenate(x, axis=-1), simd, 4, True)
    return Case(name, "StreamingConcat_rtl", attributes, [flat(v) for v in x], beats, [result])


def affine(
    name: str, kind: tuple[int, bool], factor: int, offsets: tuple[int, int], falling: tuple[int, ...], bits: int,
    random: np.random.Generator,
) -> Case:  # fmt: skip
    x = random_integers(random, *kind, (FRAMES, 5, 4))
    falls = np.isin(np.arange(4), falling)
    y = np.where(falls, offsets[1] - factor * x, offsets[0] + factor * x)
    attributes = {
        "NumChannels": 4, "PE": 2, "numInputVectors": [1, 5], "inputDataType": datatype(*kind),
        "outputDataType": datatype(bits, True), "factor": factor, "offsets": list(offsets),
        "falling": list(falling) or [-1],
    }  # fmt: skip
    beats = [to_beats(x.reshape(-1, 2), kind[0])]
    return Case(name, "Affine_rtl", attributes, [flat(x)], beats, [Result(y, 2, bits, True)])


def requantize(name: str, shared: bool, random: np.random.Generator) -> Case:
    x = random_integers(random, 10, True, (FRAMES, 5, 4))
    rows = np.ceil(np.linspace(7, 9, 4)[:, None] * np.arange(40) - 180).astype(np.int64)
    rows = (rows + random.integers(0, 2, rows.shape))[: 1 if shared else 4]
    lines = fit_lines(rows, np.full(len(rows), -512), np.full(len(rows), 511))
    assert lines is not None and lines.exceptions.any()
    y = (x[..., None] >= rows).sum(-1) - 20
    attributes = {
        "NumChannels": 2 if shared else 4, "PE": 2, "numInputVectors": [1, 10 if shared else 5],
        "inputDataType": "INT10", "outputDataType": "INT6", "numSteps": 40, "ActVal": -20,
        "gains": lines.gains.tolist(), "offsets": lines.offsets.tolist(), "shift": lines.shift,
    }  # fmt: skip
    parameters = {"values": rows.tolist(), "datatype": "INT10"}
    beats = [to_beats(x.reshape(-1, 2), 10)]
    return Case(name, "Requantize_rtl", attributes, [flat(x)], beats, [Result(y, 2, 6, True)], parameters)


def take(name: str, index: list[int], pe: int, random: np.random.Generator) -> Case:
    x = random_integers(random, 4, False, (FRAMES, 36))
    y = np.where(np.array(index) < 0, -7, x[:, index])
    taken = [i for i in index if i >= 0]
    op = "TakeRuns_rtl" if taken == sorted(taken) else "TakeRing_rtl"
    attributes = {
        "Sizes": [36, len(index)], "PE": pe, "inputDataType": "UINT4", "outputDataType": "INT5", "fill": -7,
        "filled": index.count(-1),
    }  # fmt: skip
    beats = [to_beats(x.reshape(-1, pe), 4)]
    parameters = {"values": index, "datatype": "INT7"}
    return Case(name, op, attributes, [flat(x)], beats, [Result(y, pe, 5, True)], parameters)


def lines(
    name: str, pixels: int, pads: tuple[int, int, int, int], strides: tuple[int, int], random: np.random.Generator
) -> Case:
    x = random_integers(random, 3, False, (FRAMES, 4, 8, 2))
    top, left, bottom, right = pads
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    y = windows(padded, (3, 3), strides, (1, 1))
    lanes = pixels // strides[1]
    attributes = {
        "ImgDim": [4, 8], "NumChannels": 2, "Pixels": pixels, "KernelSize": [3, 3], "Stride": list(strides),
        "Padding": list(pads), "inputDataType": "UINT3",
    }  # fmt: skip
    results = [Result(y[:, :, lane::lanes].reshape(FRAMES, -1), 18, 3) for lane in range(lanes)]
    return Case(name, "LineWindows_rtl", attributes, [flat(x)], [to_beats(x.reshape(-1, 2 * pixels), 3)], results)


def whole_pool(name: str, function: str, kind: tuple[int, bool], taps: int, random: np.random.Generator) -> Case:
    x = random_integers(random, *kind, (FRAMES, 5, taps, 3))
    y, bits = (x.max(axis=2), kind[0]) if function == "MaxPool" else (x.sum(axis=2), kind[0] + 3)
    attributes = {
        "Channels": 3, "Taps": taps, "numInputVectors": [1, 5], "Function": function,
        "inputDataType": datatype(*kind), "outputDataType": datatype(bits, kind[1]),
    }  # fmt: skip
    beats = [to_beats(x.reshape(FRAMES * 5, -1), kind[0])]
    return Case(name, "WindowPool_rtl", attributes, [flat(x)], beats, [Result(y, 3, bits, kind[1])])


def side_by_side(name: str, lanes: int, random: np.random.Generator) -> Case:
    x = [random_integers(random, 5, True, (FRAMES, 6, 3)) for _ in range(lanes)]
    attributes = {"NumChannels": 3, "NumInputStreams": lanes, "numInputVectors": [1, 6], "inputDataType": "INT5"}
    result = Result(np.concatenate(x, axis=-1), 3 * lanes, 5, True)
    beats = [to_beats(v.reshape(-1, 3), 5) for v in x]
    return Case(name, "JoinStreams_rtl", attributes, [flat(v) for v in x], beats, [result])


def lookup(name: str, channels: int, simd: int, entries: int, depth: int, random: np.random.Generator) -> Case:
    table = random_integers(random, 8, True, (channels, entries, depth))
    x = random.integers(0, entries, (FRAMES, 4, 3, channels))
    y = table[np.arange(channels), x].reshape(FRAMES, 4, 3, -1)
    attributes = {
        "NumChannels": channels, "NumEmbeddings": entries, "EmbeddingDim": depth, "SIMD": simd,
        "InputShape": [1, 4, 3, channels], "InputType": "UINT4", "EmbeddingType": "INT8",
    }  # fmt: skip
    parameters = {"values": table.tolist(), "datatype": "INT8"}
    beats = [to_beats(x.reshape(-1, simd), 4)]
    return Case(name, "Lookup_rtl", attributes, [flat(x)], beats, [Result(y, simd * depth, 8, True)], parameters)


def unpack(
    name: str, shape: tuple[int, int, int], bits: int, simd: int, width: int, random: np.random.Generator
) -> Case:
    codes = random.integers(0, 1 << bits, (FRAMES, *shape), np.uint8)
    frames = pack(codes, bits)
    padded = np.pad(frames, ((0, 0), (0, -frames.shape[1] % (width // 8)))).reshape(FRAMES, -1, width // 8)
    words = [[int.from_bytes(word.tobytes(), "little") for word in frame] for frame in padded]
    attributes = {"Shape": list(shape), "dataType": f"UINT{bits}", "wordBits": width, "SIMD": simd}
    beats = [[word for frame in words for word in frame]]
    return Case(name, "DenseUnpack_rtl", attributes, [words], beats, [Result(codes.astype(np.int64), simd, bits)])


def decode(name: str, shape: tuple[int, int, int], simd: int, random: np.random.Generator) -> Case:
    """Frames that take one word, and fewer cycles than their pixels; the last is damaged, and its pixels grey."""
    codec, width = codec_of(shape[2], 32), 512
    frames = codec.encode_packed(smooth(FRAMES, int(random.integers(1000)), shape))
    frames[-1, 3] ^= 1
    pixels, faults = codec.unpack_sound(frames, shape)
    pixels[faults > 0] = 128
    words = [int.from_bytes(frame.tobytes(), "little") for frame in frames]
    attributes = {
        "codec": json.dumps(codec.to_dict()), "PatchShape": list(shape), "Shape": list(shape), "wordBits": width,
        "maxBytes": 256, "SIMD": simd,
    }  # fmt: skip
    results = [Result(pixels.astype(np.int64), simd, 8), Result((faults > 0).astype(np.int64)[:, np.newaxis], 1, 1)]
    return Case(name, "TransformDecode_rtl", attributes, [[[word] for word in words]], [words], results)


def dense_pack(name: str, count: int, bits: int, pe: int, width: int, random: np.random.Generator) -> Case:
    x = random_integers(random, bits, True, (FRAMES, count))
    words = -(-count * bits // width)
    whole = packed(x, bits)
    y = np.array([[frame >> (i * width) & ((1 << width) - 1) for i in range(words)] for frame in whole], object)
    attributes = {"Shape": [count], "dataType": f"INT{bits}", "wordBits": width, "PE": pe}
    beats = [to_beats(x.reshape(-1, pe), bits)]
    return Case(name, "DensePack_rtl", attributes, [flat(x)], beats, [Result(y, 1, width)])


def pack_status(name: str, count: int, bits: int, pe: int, width: int, random: np.random.Generator) -> Case:
    """As `dense_pack`, with a second input of a bit a frame, which is the frame's last byte."""
    case, status = dense_pack(name, count, bits, pe, width, random), random.integers(0, 2, FRAMES)
    words = -(-(count * bits + 8) // width)
    y = np.zeros((FRAMES, words), object)
    y[:, : case.results[0].values.shape[1]] += case.results[0].values
    y[:, -1] += np.array([int(bit) << (width - 8) for bit in status], object)
    beats = [*case.beats, status.tolist()]
    return Case(name, "PackStatus_rtl", case.attributes, [*case.values, flat(status)], beats, [Result(y, 1, width)])


Kind = tuple[int, bool] | None
"""Bits and sign, or None for BIPOLAR."""


def matvec(
    name: str, a: Kind, w: Kind, mw: int, mh: int, simd: int, pe: int, random: np.random.Generator,
    op: str = "LutMVAU_rtl",
) -> Case:  # fmt: skip
    (x, coded), (weights, _) = numbers(random, a, (FRAMES, 4, mw)), numbers(random, w, (mw, mh))
    attributes = products(a, w) | {"MW": mw, "MH": mh, "SIMD": simd, "PE": pe, "numInputVectors": [1, 4]}
    attributes |= {"mem_mode": "internal_embedded"} if op == "ConstMVAU_rtl" else {}
    parameters = {"values": weights.tolist(), "datatype": datatype(*w) if w else "BIPOLAR"}
    beats = [to_beats(coded.reshape(-1, simd), a[0] if a else 1)]
    return Case(name, op, attributes, [flat(x)], beats, [Result(x @ weights, pe, 14, True)], parameters)


def depthwise(
    name: str, a: Kind, w: Kind, channels: int, kernel: tuple[int, int], pe: int, simd: int,
    random: np.random.Generator,
) -> Case:  # fmt: skip
    window = kernel[0] * kernel[1]
    (x, coded), (weights, _) = (
        numbers(random, a, (FRAMES, 2, 3, window, channels)),
        numbers(random, w, (channels, window)),
    )

    def folded(v: Values) -> Values:
        return v.reshape(FRAMES, 2, 3, window, channels // pe, pe).swapaxes(3, 4)

    attributes = products(a, w) | {
        "Channels": channels, "Kernel": list(kernel), "Dim": [2, 3], "PE": pe, "SIMD": simd,
    }  # fmt: skip
    values = weights.reshape(channels, 1, *kernel)
    parameters = {"values": values.tolist(), "datatype": datatype(*w) if w else "BIPOLAR"}
    beats = [to_beats(folded(coded).reshape(-1, simd * pe), a[0] if a else 1)]
    result = Result((x * weights.T).sum(axis=3), pe, 14, True)
    return Case(name, "LutVVAU_rtl", attributes, [flat(folded(x))], beats, [result], parameters)


def products(a: Kind, w: Kind) -> dict[str, Any]:
    names = [datatype(*kind) if kind else "BIPOLAR" for kind in (a, w)]
    return {
        "inputDataType": names[0], "weightDataType": names[1], "outputDataType": "INT14", "accDataType": "INT14",
        "noActivation": 1, "mem_mode": "internal_decoupled", "ram_style": "auto",
    }  # fmt: skip


def numbers(random: np.random.Generator, kind: Kind, shape: tuple[int, ...]) -> tuple[Values, Values]:
    """Random numbers and their codes."""
    coded = random_integers(random, *(kind or (1, False)), shape)
    return (coded, coded) if kind else (2 * coded - 1, coded)


def datatype(bits: int, signed: bool) -> str:
    return f"{'INT' if signed else 'UINT'}{bits}"


def flat(values: NDArray[Any]) -> list[list[int]]:
    return values.reshape(FRAMES, -1).tolist()
