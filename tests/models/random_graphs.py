"""Random valid QONNX graphs, of blocks that take and give few-bit integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from tests.models.graphs import QONNX, Graph, powers

DOMAINS = ("", "onnx.brevitas", "finn.custom_op.general", QONNX)
QUANTIZERS = ("Quant", "BipolarQuant", "MultiThreshold", "Trunc")
LARGEST = 12
"""Height, width and channels that blocks keep to."""


@dataclass
class Draft:
    """A graph under way: its last tensor holds integers of at most 8 bits, of shape (C, H, W)."""

    rng: np.random.Generator
    graph: Graph
    x: str
    shape: tuple[int, int, int]
    scale: float = 1.0
    outputs: list[str] = field(default_factory=list)

    def node(self, op: str, *inputs: object, **attributes: object) -> str:
        return self.graph.node(op, *inputs, **attributes)

    def ints(self, values: object) -> str:
        return self.graph.constant(values, np.int64)

    def one_scale(self) -> str:
        """The last tensor, of one scale for all its channels."""
        return self.graph.quant(self.x, 0.5, 6, signed=1)

    def weights(self, *shape: int) -> str:
        column = powers(self.rng, shape[0], *[1] * (len(shape) - 1)) if self.rng.random() < 0.5 else 1.0
        return self.graph.weights(self.rng.integers(-3, 4, shape), column)

    def pick(self, *choices: object) -> object:
        return choices[self.rng.integers(len(choices))]

    def whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))


Block = Callable[[Draft], tuple[str, tuple[int, int, int]]]


def windows(d: Draft, most: int = 3) -> tuple[list[int], list[int], list[int]]:
    """Kernel, strides and pads that fit the shape."""
    kernel = [d.whole(1, min(most, n)) for n in d.shape[1:]]
    return kernel, [d.whole(1, 2), d.whole(1, 2)], [d.whole(0, k - 1) for k in (*kernel, *kernel)]


def slid(d: Draft, kernel: list[int], strides: list[int], pads: list[int]) -> tuple[int, int]:
    h, w = ((n + pads[a] + pads[a + 2] - k) // s + 1 for a, (n, k, s) in enumerate(zip(d.shape[1:], kernel, strides)))
    return h, w


def conv(d: Draft) -> tuple[str, tuple[int, int, int]]:
    kernel, strides, pads = windows(d)
    groups = int(d.pick(1, 1, d.shape[0]))
    outputs = groups * d.whole(1, max(1, 6 // groups))
    bias = [d.rng.integers(-32, 33, outputs) / 16] if d.rng.random() < 0.5 else []  # which sums hold exactly
    weights = d.weights(outputs, d.shape[0] // groups, *kernel)
    y = d.node("Conv", d.x, weights, *bias, kernel_shape=kernel, strides=strides, pads=pads, group=groups)
    return y, (outputs, *slid(d, kernel, strides, pads))


def transposed(d: Draft) -> tuple[str, tuple[int, int, int]]:
    kernel, stride = [d.whole(1, 3), d.whole(1, 3)], d.whole(1, 2)
    if max(d.shape[1:]) * stride + 2 > LARGEST:
        return conv(d)
    y = d.node("ConvTranspose", d.x, d.weights(d.shape[0], 2, *kernel), kernel_shape=kernel, strides=[stride] * 2)
    h, w = (stride * (n - 1) + k for n, k in zip(d.shape[1:], kernel))
    return y, (2, h, w)


def product(d: Draft) -> tuple[str, tuple[int, int, int]]:
    """Along the channels, or along the columns."""
    if d.rng.random() < 0.5:
        y = d.node("Transpose", d.x, perm=(0, 2, 3, 1))
        y = d.node("MatMul", y, d.weights(d.shape[0], 4))
        return d.node("Transpose", y, perm=(0, 3, 1, 2)), (4, *d.shape[1:])
    weights = d.graph.weights(d.rng.integers(-3, 4, (d.shape[2], 3)))
    return d.node("MatMul", d.one_scale(), weights), (*d.shape[:2], 3)


def max_pool(d: Draft) -> tuple[str, tuple[int, int, int]]:
    kernel, strides, pads = windows(d)
    return d.node("MaxPool", d.x, kernel_shape=kernel, strides=strides, pads=pads), (
        d.shape[0],
        *slid(d, kernel, strides, pads),
    )


def mean_pool(d: Draft) -> tuple[str, tuple[int, int, int]]:
    kernel, strides, pads = windows(d)
    y = d.node(
        "AveragePool", d.x, kernel_shape=kernel, strides=strides, pads=pads, count_include_pad=d.whole(0, 1)
    )  # fmt: skip
    return y, (d.shape[0], *slid(d, kernel, strides, pads))


def cut(d: Draft) -> tuple[str, tuple[int, int, int]]:
    axis = d.whole(1, 3)
    size = d.shape[axis - 1]
    start = d.whole(0, size - 1)
    stop, step = d.whole(start + 1, size), d.whole(1, 2)
    shape = list(d.shape)
    shape[axis - 1] = len(range(start, stop, step))
    y = d.node("Slice", d.x, *(d.ints([v]) for v in (start, stop, axis, step)))
    return y, (shape[0], shape[1], shape[2])


def padded(d: Draft) -> tuple[str, tuple[int, int, int]]:
    mode = d.pick("constant", "edge", "reflect")
    low = 0 if mode == "constant" else 1
    amounts = [min(d.whole(0, 2), n - 1) if low else d.whole(0, 2) for n in (*d.shape[1:], *d.shape[1:])]
    shape = (d.shape[0], d.shape[1] + amounts[0] + amounts[2], d.shape[2] + amounts[1] + amounts[3])
    if max(shape) > LARGEST:
        return cut(d)
    y = d.node("Pad", d.x, d.ints([0, 0, *amounts[:2], 0, 0, *amounts[2:]]), mode=mode)
    return y, shape


def resized(d: Draft) -> tuple[str, tuple[int, int, int]]:
    if max(d.shape[1:]) * 2 > LARGEST:
        return max_pool(d)
    y = d.node(
        "Resize", d.x, d.graph.constant([]), d.graph.constant([1, 1, 2, 2]), mode="nearest",
        coordinate_transformation_mode=d.pick("asymmetric", "half_pixel"), nearest_mode="floor",
    )  # fmt: skip
    return y, (d.shape[0], d.shape[1] * 2, d.shape[2] * 2)


def depth_to_space(d: Draft) -> tuple[str, tuple[int, int, int]]:
    y = d.node("Conv", d.x, d.graph.weights(d.rng.integers(-3, 4, (8, d.shape[0], 1, 1))))
    if max(d.shape[1:]) * 2 > LARGEST:
        return y, (8, *d.shape[1:])
    return d.node("DepthToSpace", y, blocksize=2, mode=d.pick("DCR", "CRD")), (2, d.shape[1] * 2, d.shape[2] * 2)


def joined(d: Draft) -> tuple[str, tuple[int, int, int]]:
    """A tensor beside itself, moved or convolved."""
    axis = d.whole(1, 3)
    y = d.node("Concat", d.x, d.node("Mul", d.x, np.float32(d.pick(1, -1, 2, 0.5))), axis=axis)
    shape = list(d.shape)
    shape[axis - 1] *= 2
    if max(shape) > LARGEST:
        return cut(d)
    return y, (shape[0], shape[1], shape[2])


def residual(d: Draft) -> tuple[str, tuple[int, int, int]]:
    """The sum with a branch of the same scale, or of another, which is quantized at once."""
    branch = d.node("Conv", d.x, d.weights(d.shape[0], d.shape[0], 1, 1))
    same = d.rng.random() < 0.5
    left, right = (d.graph.quant(x, s, 5, signed=1) for x, s in ((branch, 0.5), (d.x, 0.5 if same else 0.1237)))
    total = d.node(str(d.pick("Add", "Sub")), left, right)
    return total if same else d.graph.quant(d.node("Relu", total), 0.25, 6), d.shape


def with_mean(d: Draft) -> tuple[str, tuple[int, int, int]]:
    """A sum that is broadcast over the pixels."""
    means = d.graph.quant(d.node("GlobalAveragePool", d.x), 0.5, 6, signed=1)
    return d.node("Add", d.graph.quant(d.x, 0.5, 6, signed=1), means), d.shape


def position_bias(d: Draft) -> tuple[str, tuple[int, int, int]]:
    return d.node("Add", d.x, d.rng.integers(-16, 17, (1, *d.shape)) / 8), d.shape


def shuffled(d: Draft) -> tuple[str, tuple[int, int, int]]:
    c, h, w = d.shape
    if c % 2:
        return d.node("Transpose", d.x, perm=(0, 1, 3, 2)), (c, w, h)
    y = d.node("Reshape", d.x, d.ints([1, 2, c // 2, h, w]))
    return d.node("Reshape", d.node("Transpose", y, perm=(0, 2, 1, 3, 4)), d.ints([1, c, h, w])), d.shape


def reduced(d: Draft) -> tuple[str, tuple[int, int, int]]:
    axis = d.whole(1, 3)
    shape = list(d.shape)
    shape[axis - 1] = 1
    y = d.node(str(d.pick("ReduceMean", "ReduceSum", "ReduceMax")), d.one_scale(), d.ints([axis]))
    return y, (shape[0], shape[1], shape[2])


BLOCKS: dict[str, Block] = {
    f.__name__: f
    for f in (conv, transposed, product, max_pool, mean_pool, cut, padded, resized, depth_to_space, joined, residual,
              with_mean, position_bias, shuffled, reduced)
}  # fmt: skip


def activation(d: Draft, x: str) -> str:
    """Some elementwise nodes, or none."""
    channels = d.shape[0]
    per_channel = lambda low, high: d.rng.uniform(low, high, (1, channels, 1, 1))  # noqa: E731
    if d.rng.random() < 0.4:
        gamma = d.rng.uniform(0.3, 2, channels) * d.rng.choice([-1, 1, 1], channels)
        x = d.graph.normalize(
            x, gamma, d.rng.normal(size=channels), d.rng.normal(size=channels), d.rng.uniform(0.5, 4, channels)
        )
    op = d.pick("", "Relu", "LeakyRelu", "PRelu", "HardSwish", "Sigmoid", "Tanh", "Clip", "Mul", "Abs")
    if op == "PRelu":
        return d.node(op, x, d.rng.uniform(0, 0.5, (channels, 1, 1)))
    if op == "Clip":
        return d.node(op, x, np.float32(-1.5), np.float32(d.whole(1, 9)))
    if op == "Mul":
        return d.node(op, x, per_channel(0.2, 2))
    return d.node(str(op), x) if op else x


def quantized(d: Draft, x: str) -> str:
    """Integers of at most 6 bits again, by one of the quantizers there are."""
    kind = d.pick("Quant", "Quant", "Quant", "per channel", "BipolarQuant", "MultiThreshold", "QDQ")
    scale = np.float32(d.pick(0.25, 0.5, 1.0, 2.0))  # whose sums float32 holds exactly, so that ties stay ties
    if kind == "BipolarQuant":
        return d.node("BipolarQuant", x, np.float32(1), domain=QONNX)
    if kind == "MultiThreshold":
        rows = np.sort(d.rng.normal(0, 6, (d.shape[0], 7)).astype(np.float32), axis=1)
        return d.node("MultiThreshold", x, rows, domain=QONNX, out_dtype="INT4", out_scale=1.0, out_bias=-4.0)
    if kind == "QDQ":
        zero = d.graph.constant(d.whole(0, 200), np.uint8)
        y = d.node("QuantizeLinear", x, scale, zero)
        return d.node("DequantizeLinear", y, scale, zero)
    signed = d.whole(0, 1)
    if kind == "per channel":
        scale = 2.0 ** d.rng.integers(-2, 2, (1, d.shape[0], 1, 1))
    mode = str(d.pick("ROUND", "ROUND", "FLOOR", "CEIL", "HALF_UP"))
    return d.graph.quant(x, scale, d.whole(2, 6), signed=signed, narrow=d.whole(0, 1), mode=mode)


def random_graph(blocks: list[str], seed: int) -> ModelWrapper:
    """The blocks one behind the other, each with an activation and a quantizer, then logits or an image."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 5)), int(rng.integers(4, 9)), int(rng.integers(4, 9)))
    d = Draft(rng, Graph((1, *shape), "UINT4"), "global_in", shape)
    for name in blocks:
        y, d.shape = BLOCKS[name](d)
        d.x = quantized(d, activation(d, y))
    end = d.pick("logits", "logits", "image", "both")
    outputs = [d.node("Conv", d.x, d.weights(3, d.shape[0], 1, 1))] if end != "logits" else []
    if end != "image":
        flat = d.node("Flatten", d.x)
        outputs.append(d.node("MatMul", flat, d.graph.weights(rng.integers(-3, 4, (int(np.prod(d.shape)), 4)))))
    return d.graph.model(*outputs, opset=18)


def disguised(model: ModelWrapper, rng: np.random.Generator) -> ModelProto:
    """The same graph as other tools write it: quantizers of any domain, nodes out of order, value_info repeated,
    initializers among the inputs, a constant among the outputs, a batch without a size."""
    proto = type(model.model)()
    proto.CopyFrom(model.model)
    graph = proto.graph
    domain = DOMAINS[rng.integers(len(DOMAINS))]
    for node in graph.node:
        if node.op_type in QUANTIZERS:
            node.domain = domain
    if rng.random() < 0.5:
        order = rng.permutation(len(graph.node))
        nodes = [NodeProto.FromString(graph.node[i].SerializeToString()) for i in order]
        del graph.node[:]
        graph.node.extend(nodes)
    if rng.random() < 0.5:
        graph.value_info.extend([*graph.output, *graph.value_info[:1]])
    if rng.random() < 0.3:
        del proto.opset_import[1:]
    if rng.random() < 0.3:
        dim = graph.input[0].type.tensor_type.shape.dim[0]
        dim.dim_param = "batch"
    return proto
