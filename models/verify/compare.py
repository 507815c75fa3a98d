"""Proof that every form of a network computes the same integers.

Keras against QONNX against the integer network against the emulator, tensor by tensor; the first
difference is named. The emulator's plain scalar kernels give every tensor of the network; its fast
fused kernels, fed packed frames as a board is, must give the same output.

Ties. Keras and QONNX round half to even, hardware compares with ``>=``. The network's thresholds are
integers found by evaluating QONNX's own chain on every reachable accumulator, so the tie has been
decided there, once. Where QONNX's float32 sum, in an order of its own, falls on the other side of one, the sum is
compared within its rounding and taken as the exact one; `bitswath.models.training.settle` keeps trained
boundaries away from ties altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.emulator import EmulatorBackend, run
from bitswath.bundle.bundle import Bundle
from bitswath.codecs.transform.codec import TransformCodec
from bitswath.errors import BitswathError, BundleError, InputError, VerificationError
from bitswath.models.verify.frames import decoded
from bitswath.network.network import INPUT, Add, Conv, Dense, Head, SumPool

if TYPE_CHECKING:
    from bitswath.models.lowering import Lowered

__all__ = ["Comparison", "Difference", "Verification", "compare", "verify_bundle"]

Tensors = dict[str, NDArray[np.int64]]
SUMS = (Conv, Dense, Add, SumPool)


@dataclass(frozen=True)
class Difference:
    """The first place where two sides differ: a tensor's name in QONNX and Keras, or in the network.

    `index`: (frame, ...) in the network's layout; for the head's scale and offset, the class.
    """

    tensor: str
    index: tuple[int, ...]
    expected: float
    actual: float


@dataclass(frozen=True)
class Comparison:
    """One side against another over all tensors both have."""

    left: str
    right: str
    tensors: int
    values: int
    differing: int
    first: Difference | None

    @property
    def equal(self) -> bool:
        return self.differing == 0 and self.tensors > 0


@dataclass
class Verification:
    """All comparisons over all codes; `notes` say what could not be compared and why."""

    frames: int = 0
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return bool(self.comparisons) and all(comparison.equal for comparison in self.comparisons)


def verify_bundle(bundle: Bundle, patches: NDArray[Any], batch: int = 16) -> Verification:
    """Compare all sides of a bundle on raw patches (N, H, W, C) of its shape and dtype.

    The model is fed what `bundle.manifest.input.model` says of them, the network the codes of the bundle's codec.
    Raises `BundleError` if the bundle has no QONNX model, `VerificationError` where two sides cannot be
    compared integer by integer: tensors of other shapes, or reals that are no integers of their scale.
    """
    if len(patches) == 0:
        raise InputError("expected at least one frame to verify on, got none")
    from bitswath.models.export.onnx_bundle import training_config

    model, lowered = _lowered(bundle)
    result = Verification(frames=len(patches))
    keras_model, config = None, training_config(bundle)
    if config is not None:
        from bitswath.models.export.restore import restore_keras

        keras_model = restore_keras(bundle, config)
    else:
        result.notes.append("Keras: the bundle was not trained by bitswath, so there is no Keras model to compare")
    if lowered.coarse:
        result.notes.append(
            f"QONNX: float32 sums such as {lowered.coarse[0]!r} cannot tell their integers, and are compared within"
            " their rounding"
        )
    execute = _qonnx_executor(model, lowered)
    totals: dict[tuple[str, str], Comparison] = {}
    rounded = 0
    for start in range(0, len(patches), batch):
        raw = patches[start : start + batch]
        part = bundle.codec.encode(raw)
        network = _network_tensors(bundle, part)
        named = {name: network[pair.tensor] for name, pair in lowered.tensors.items()}
        fed = _fed(bundle, lowered, raw, part)
        try:
            qonnx = execute(fed, named, False)
            differing = compare("QONNX", qonnx, "network", named, start).differing
        except VerificationError:  # a sum that float32 cannot tell, of integers that a tie changed
            differing = 1
        if differing:
            qonnx, rounded = execute(fed, named, True), rounded + differing
        pairs = [("QONNX", qonnx, "network", named)]
        if keras_model is not None:
            pairs.insert(0, ("Keras", _keras_tensors(keras_model, lowered, part), "QONNX", qonnx))
        pairs.append(("network", network, "emulator", _emulator_output(bundle, raw)))
        if isinstance(bundle.codec, TransformCodec):
            frames = decoded(bundle.codec, bundle.codec.encode_packed(raw), bundle.manifest.input.patch_shape)
            documented, native = ({INPUT: codes.astype(np.int64)} for codes in (frames, part))
            pairs.insert(0, ("frames as documented", documented, "codec", native))
        for left, expected, right, actual in pairs:
            found = compare(left, expected, right, actual, start)
            totals[left, right] = _merged(totals.get((left, right)), found)
    if rounded:
        result.notes.append(
            f"QONNX: sums in float32, which may round a tie the other way: {rounded:,} of its integers are others; they"
            " are compared behind exact sums, each of which its own was found to be within its rounding"
        )
    result.comparisons.extend(totals.values())
    result.comparisons.append(_compare_heads(lowered.network.head, bundle.network.head))
    return result


def _lowered(bundle: Bundle) -> tuple[Path, Lowered]:
    """The bundle's QONNX file, and what it lowers to, which is the network that the bundle holds.

    Raises as `verify_bundle`.
    """
    from bitswath.models.export.onnx_bundle import lower_as

    if bundle.onnx_path is None:
        raise BundleError(f"{bundle.path}: has no model.onnx to verify against; export it again")
    lowered = lower_as(bundle.onnx_path, bundle.manifest.input.model)
    if lowered.entry is None:
        raise VerificationError(
            "pixels and QONNX: the model takes reals, and the bundle does not say which real a raw pixel is; it may"
            " have answered wrongly: export the model again with --input-scale"
        )
    if dict(lowered.network.tensors) != dict(bundle.network.tensors):
        raise VerificationError("QONNX and network: model.onnx lowers to tensors of other names, shapes or ranges")
    return bundle.onnx_path, lowered


def _fed(bundle: Bundle, lowered: Any, raw: NDArray[Any], codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the model is fed: made of the user's patches where it says how, of their codes where it takes what another
    codec gives."""
    if lowered.declared and bundle.codec != lowered.entry.codec():
        integers = lowered.entry.integers
        codes = codes.reshape(len(codes), *lowered.tensors[lowered.input].shape)
        fed: NDArray[np.float32] = lowered.reals(lowered.input, integers[0] + integers.step * codes.astype(np.int64))
    else:
        fed = lowered.fed(raw)
    return fed


def _compare_heads(expected: Head, actual: Head) -> Comparison:
    """What turns the last integers into logits, in QONNX and in the network."""
    first = None
    differing = int(expected.softmax != actual.softmax)
    pairs = {"head scale": (expected.scale, actual.scale), "head offset": (expected.offset, actual.offset)}
    for name, (left, right) in pairs.items():
        left, right = np.broadcast_arrays(left, right)
        wrong = left != right
        differing += int(wrong.sum())
        if first is None and wrong.any():
            index = next(_indices(wrong))
            first = Difference(name, index, float(left[index]), float(right[index]))
    if first is None and differing:
        first = Difference("head softmax", (), expected.softmax, actual.softmax)
    return Comparison("QONNX", "head", 3, expected.scale.size + expected.offset.size + 1, differing, first)


def _integers(
    side: str, lowered: Any, name: str, values: NDArray[Any], near: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    try:
        integers: NDArray[np.int64] = lowered.integers(name, values, near)
    except InputError as error:
        raise VerificationError(f"{side} at stage {name}: {error}") from error
    return integers


def _network_tensors(bundle: Bundle, codes: NDArray[np.uint8]) -> Tensors:
    codes = codes.reshape(len(codes), *bundle.network.input.shape)
    return {
        name: values.astype(np.int64) for name, values in run(bundle.network, codes, taps=True, kernel="scalar").items()
    }


def _emulator_output(bundle: Bundle, patches: NDArray[Any]) -> Tensors:
    with EmulatorBackend(bundle.network, bundle.codec.bits, unpack=bundle.unpacking) as backend:
        values = backend.collect(backend.submit(bundle.codec.encode_packed(patches)))
    return {bundle.network.stages[-1].name: values.astype(np.int64)}


def _qonnx_executor(path: Path, lowered: Any) -> Callable[[NDArray[np.float32], Tensors, bool], Tensors]:
    """From what the graph is fed, and the network's integers, to its integers by QONNX tensor, by qonnx's executor;
    with sums as they are in float32, or made exact once they are found to be the network's within their rounding.

    A graph of a fixed batch is given whole ones, the last frame repeated.
    """
    from onnx import helper
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_node, execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    from bitswath.models.lowering import read_model
    from bitswath.models.lowering.chains.chain import in_a_line, opset_of
    from bitswath.models.lowering.chains.values import CHANNELS_LAST

    model = ModelWrapper(read_model(path))
    model.set_tensor_datatype(lowered.input, DataType["FLOAT32"])  # it may be fed other reals than its annotation says
    model.set_tensor_shape(lowered.input, [lowered.batch, *lowered.index.shape[1:]])
    model = model.transform(InferShapes())
    if any(node.domain == CHANNELS_LAST for node in model.graph.node):
        model.set_opset_import(CHANNELS_LAST, model.get_opset_imports()[""])  # of what its nodes wrap; qonnx assumes 1
    wanted = [name for name in lowered.tensors if name != lowered.input]
    element = helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)

    kinds = {stage.name: type(stage) for stage in lowered.network.stages}
    sums = [name for name in wanted if kinds.get(lowered.tensors[name].tensor) in SUMS]
    opsets = model.get_opset_imports()

    def behind_exact_sums(given: NDArray[Any], near: Tensors) -> dict[str, NDArray[Any]]:
        context: dict[str, NDArray[Any]] = model.make_empty_exec_context() | {lowered.input: given}
        for node in model.graph.node:
            execute_node(node, context, model.graph, opset_of(node, opsets), True)
            for name in set(node.output) & set(sums):
                if np.array_equal(_integers("QONNX", lowered, name, context[name], near[name]), near[name]):
                    context[name] = lowered.reals(name, near[name]).astype(context[name].dtype)
        return context

    def execute(fed: NDArray[np.float32], near: Tensors, exact: bool) -> Tensors:
        frames: dict[str, list[NDArray[np.int64]]] = {}
        for start in range(0, len(fed), lowered.batch):
            rows = np.minimum(np.arange(start, start + lowered.batch), len(fed) - 1)
            given = fed[rows].astype(element)
            try:
                if exact:
                    context = behind_exact_sums(given, {name: near[name][rows] for name in sums})
                else:
                    context = execute_onnx(model, {lowered.input: given}, return_full_exec_context=True)
            except BitswathError:
                raise
            except Exception as error:  # qonnx raises bare ones, onnxruntime's have no base of their own
                raise VerificationError(f"QONNX: qonnx cannot execute the model: {in_a_line(error)}") from error
            for name in wanted:
                integers = _integers("QONNX", lowered, name, context[name], near[name][rows])
                frames.setdefault(name, []).append(integers)
        return {name: np.concatenate(parts)[: len(fed)] for name, parts in frames.items()}

    return execute


def _keras_tensors(model: Any, lowered: Any, codes: NDArray[np.uint8]) -> Tensors:
    """Integers by QONNX tensor, from the fake-quantized Keras model; QONNX tensors carry layer names."""
    from bitswath.models.nets.graph import layer_calls, plain_layer
    from bitswath.models.nets.quantizers import keras

    results = {plain_layer(layer).name: node.outputs for layer, node in layer_calls(model)}
    shared = [name for name in lowered.tensors if name in results and name != lowered.input]
    outputs = keras.Model(model.input, [results[name] for name in shared])(codes.astype(np.float32), training=False)
    tensors: Tensors = {}
    for name, output in zip(shared, outputs if isinstance(outputs, list) else [outputs]):
        values = output.numpy()
        onnx_layout = values.transpose(0, 3, 1, 2) if values.ndim == 4 else values
        tensors[name] = _integers("Keras", lowered, name, onnx_layout)
    return tensors


def compare(left: str, expected: Tensors, right: str, actual: Tensors, start: int) -> Comparison:
    """Tensors, int64 (N, ...) by name, of one side against another; `start`: number of the first frame."""
    shared = [name for name in expected if name in actual]
    first: Difference | None = None
    differing = 0
    for name in shared:
        wrong = expected[name] != actual[name]
        differing += int(wrong.sum())
        if first is None and wrong.any():
            index = next(_indices(wrong))
            first = Difference(
                name, (index[0] + start, *index[1:]), int(expected[name][index]), int(actual[name][index])
            )
    return Comparison(left, right, len(shared), sum(expected[name].size for name in shared), differing, first)


def _indices(mask: NDArray[np.bool_]) -> Iterator[tuple[int, ...]]:
    for index in np.argwhere(mask):
        yield tuple(int(position) for position in index)


def _merged(total: Comparison | None, part: Comparison) -> Comparison:
    if total is None:
        return part
    return Comparison(
        part.left,
        part.right,
        part.tensors,
        total.values + part.values,
        total.differing + part.differing,
        total.first or part.first,
    )
