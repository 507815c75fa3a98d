"""Bundles of vectors, signals and images of any samples answer what their graph answers, at every boundary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

import bitswath as bs
from bitswath.bundle.bundle import Bundle, how_pixels_enter
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError, ExportError, LoweringError
from bitswath.models.commands import export, verify
from bitswath.models.export.onnx_bundle import bundle_onnx
from bitswath.models.verify.compare import verify_bundle
from bitswath.network.network import Network, Threshold
from tests.models.graphs import QONNX, Graph, run_qonnx
from tests.paths import DATA

MODELS = DATA / "models"
FEATURES = 6
PIXELS = 1 / 255


def classes_of(graph: Graph, x: str, width: int, seed: int = 0) -> str:
    """Five logits of a flat tensor that is quantized already."""
    return graph.node("MatMul", x, graph.weights(np.random.default_rng(seed).integers(-7, 8, (width, 5)), 0.5))


def saved(graph: Graph, y: str, folder: Path) -> Path:
    path = folder / "model.onnx"
    graph.model(y).save(str(path))
    return path


def bundled(path: Path, **options: Any) -> Bundle:
    bundle, _ = bundle_onnx(path, path.with_name("m.bsw"), **options)
    return bundle


def assert_answers(bundle: Bundle, graph: Graph, y: str, handed: NDArray[Any], fed: NDArray[np.float32]) -> None:
    """Every frame `fed` to qonnx's executor gives what the bundle says of `handed`."""
    model = graph.model(y)
    expected = np.concatenate([run_qonnx(model, frame[None])[y].reshape(1, -1) for frame in fed])
    rounding = 1e-5 * np.abs(expected).max()  # of qonnx's float32 sums; a code makes ten times as much
    with bs.open(bundle) as accelerator:
        np.testing.assert_allclose(accelerator.classify(handed).logits, expected, rtol=0, atol=rounding)
    assert verify_bundle(bundle, handed.reshape(-1, *bundle.manifest.input.patch_shape)).equal


def chained(graph: Graph, chain: str, rng: np.random.Generator) -> str:
    """What may stand between an input and its quantizer, by feature or for all."""
    gain, shift = (rng.uniform(0.2, 3, FEATURES).astype(np.float32) for _ in range(2))
    if chain == "standardized":
        return graph.node("Div", graph.node("Sub", "global_in", shift), gain)
    if chain == "scaled, shifted":
        return graph.node("Add", graph.node("Mul", "global_in", gain * np.float32(-1) ** np.arange(FEATURES)), shift)
    if chain == "twice minus one":
        return graph.node("Sub", graph.node("Mul", "global_in", np.float32(2)), np.float32(1))
    if chain == "normalized":
        return graph.normalize("global_in", gain, shift, shift - 1, gain)
    if chain == "clipped":
        return graph.node("Clip", graph.node("Relu", "global_in"), np.float32(0.1), np.float32(1.5))
    return "global_in"


@given(
    chain=st.sampled_from(["", "standardized", "scaled, shifted", "twice minus one", "normalized", "clipped"]),
    bits=st.integers(2, 8),
    signed=st.booleans(),
    narrow=st.booleans(),
    zero_point=st.sampled_from([0, 0, 3, -2]),
    mode=st.sampled_from(["ROUND", "FLOOR", "CEIL", "HALF_UP", "HALF_DOWN", "DOWN", "UP"]),
    quantizer=st.sampled_from(["Quant", "Quant", "BipolarQuant", "QuantizeLinear"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=16, deadline=None, derandomize=True)
def test_vectors_of_reals_answer_what_the_graph_does(
    tmp_path_factory: pytest.TempPathFactory,
    chain: str,
    bits: int,
    signed: bool,
    narrow: bool,
    zero_point: int,
    mode: str,
    quantizer: str,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    graph = Graph((1, FEATURES), None)
    x, step = chained(graph, chain, rng), np.float32(rng.uniform(0.001, 0.5))
    if quantizer == "BipolarQuant":
        x = graph.node("BipolarQuant", x, step, domain=QONNX)
    elif quantizer == "QuantizeLinear":
        zero = graph.constant(100 * zero_point % 256, np.uint8)
        x = graph.node("DequantizeLinear", graph.node("QuantizeLinear", x, step, zero), step, zero)
    else:
        x = graph.quant(x, step, bits, int(signed), int(narrow), float(zero_point), mode)
    y = classes_of(graph, x, FEATURES)
    bundle = bundled(saved(graph, y, tmp_path_factory.mktemp("bundle")))
    entry = bundle.manifest.input
    assert (entry.layout, entry.patch_shape, entry.patch_dtype) == ("flat", (1, 1, FEATURES), "float32")
    handed = bundle.codec.samples(rng, 60, entry.patch_shape).reshape(60, FEATURES)
    handed[0], handed[1], handed[2] = 0.0, np.finfo(np.float32).max, -np.finfo(np.float32).max
    handed[3] = -0.0
    handed[4] = rng.normal(0, 1e-40, FEATURES)
    assert_answers(bundle, graph, y, handed, handed)


def test_features_may_have_steps_of_their_own(tmp_path: Path) -> None:
    """And fall in some, so that codes count from the highest."""
    graph = Graph((1, FEATURES), None)
    scale = np.array([0.5, 0.25, 2, 1, 0.125, 4], np.float32)
    x = graph.node("Mul", "global_in", np.array([1, -1, 1, -3, 0, 1], np.float32))
    y = classes_of(graph, graph.quant(x, scale, 4, signed=1), FEATURES)
    bundle = bundled(saved(graph, y, tmp_path))
    handed = bundle.codec.samples(np.random.default_rng(0), 100, (1, 1, FEATURES)).reshape(100, FEATURES)
    assert_answers(bundle, graph, y, handed, handed)


def test_images_of_reals_are_handed_over_if_that_is_said(tmp_path: Path) -> None:
    graph = Graph((1, 2, 5, 4), None)
    x = graph.quant("global_in", 1 / 100, 8, signed=1)
    y = classes_of(graph, graph.node("Flatten", x), 40)
    path = saved(graph, y, tmp_path)
    with pytest.raises(ExportError, match=r"give --input-scale .* or --input-datatype FLOAT32"):
        bundled(path)
    bundle = bundled(path, datatype="FLOAT32")
    assert how_pixels_enter(bundle).startswith("float32 images 5 x 4 x 2 enter as 8-bit codes of the model's own input")
    handed = bundle.codec.samples(np.random.default_rng(0), 20, (5, 4, 2))
    assert_answers(bundle, graph, y, handed, handed.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("layout", [None, "nchw", "nhwc", "flat"])
def test_signals_are_time_by_channels_whatever_the_graph_has_first(tmp_path: Path, layout: str | None) -> None:
    graph = Graph((1, 12, 3) if layout == "nhwc" else (1, 3, 12), None)
    x = graph.quant("global_in", 0.25, 4, signed=1)
    if layout is None:
        x = graph.node("Conv", x, graph.weights(np.random.default_rng(0).integers(-3, 4, (2, 3, 3))), kernel_shape=[3])
        x = graph.quant(x, 1.7, 4, signed=1)
    y = classes_of(graph, graph.node("Flatten", x), 20 if layout is None else 36)
    bundle = bundled(saved(graph, y, tmp_path), layout=layout)
    entry = bundle.manifest.input
    assert (entry.layout, entry.sample_shape) == (("flat", (36,)) if layout == "flat" else ("sequence", (12, 3)))
    assert entry.model.layout == layout
    handed = np.random.default_rng(1).normal(0, 1, (10, *entry.sample_shape)).astype(np.float32)
    axes = (0, 2, 1) if layout in (None, "nchw") else tuple(range(handed.ndim))
    assert_answers(bundle, graph, y, handed, handed.transpose(axes).reshape(10, *graph.shape[1:]))


@pytest.mark.parametrize(
    ("datatype", "lowest", "highest", "step"),
    [("INT8", -128, 127, 1), ("INT4", -8, 7, 1), ("TERNARY", -1, 1, 1), ("BIPOLAR", -1, 1, 2), ("BINARY", 0, 1, 1),
     ("UINT2", 0, 3, 1)],
)  # fmt: skip
@pytest.mark.parametrize("told", ["annotation", "option"])
def test_vectors_of_narrow_integers_are_handed_over_as_they_are(
    tmp_path: Path, datatype: str, lowest: int, highest: int, step: int, told: str
) -> None:
    graph = Graph((1, 600), datatype if told == "annotation" else None)
    y = classes_of(graph, "global_in", 600)
    path = saved(graph, y, tmp_path)
    annotated = told == "annotation"
    bundle = bundled(path) if annotated else bundled(path, datatype=datatype, scale=(0.5,))
    assert bundle.codec == IntegerCodec(bundle.codec.bits, lowest=lowest, highest=highest, step=step)
    assert bundle.manifest.input.frame_bytes == 75 * bundle.codec.bits
    values = np.arange(lowest, highest + 1, step)
    handed = np.random.default_rng(0).choice(values, (12, 600)).astype(bundle.codec.dtype)
    assert_answers(bundle, graph, y, handed, handed * np.float32(1 if annotated else 0.5))
    if step == 2:
        with bs.open(bundle) as accelerator, pytest.raises(CodecError, match="samples -1 or 1, got 0"):
            accelerator.classify(np.zeros((1, 600), np.int8))


def test_an_image_of_signed_integers_is_padded_by_its_zero(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), "INT8")
    rng = np.random.default_rng(0)
    x = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (4, 3, 3, 3))), pads=[1, 1, 1, 1])
    y = classes_of(graph, graph.node("Flatten", graph.quant(x, 200.3, 4, signed=1)), 256)
    bundle = bundled(saved(graph, y, tmp_path))
    assert how_pixels_enter(bundle) == "int8 images 8 x 8 x 3 enter as 8-bit integers -128..127"
    handed = rng.integers(-128, 128, (6, 8, 8, 3), np.int8)
    assert_answers(bundle, graph, y, handed, handed.transpose(0, 3, 1, 2).astype(np.float32))


@pytest.mark.parametrize(("datatype", "dtype"), [("INT16", "int16"), ("INT12", "int16"), ("UINT16", "uint16")])
def test_wide_integers_enter_through_the_quantizer(tmp_path: Path, datatype: str, dtype: str) -> None:
    graph = Graph((1, 40), datatype)
    gain = np.linspace(0.5, 2, 40).astype(np.float32)
    y = classes_of(graph, graph.quant(graph.node("Mul", "global_in", gain), 20.0, 6, signed=1), 40)
    bundle = bundled(saved(graph, y, tmp_path))
    assert (bundle.codec.bits, bundle.codec.dtype) == (6, np.dtype(dtype))
    handed = bundle.codec.samples(np.random.default_rng(0), 30, (1, 1, 40)).reshape(30, 40)
    assert_answers(bundle, graph, y, handed, handed.astype(np.float32))


def test_bits_of_a_boolean_input(tmp_path: Path) -> None:
    graph = Graph((1, 40), None)
    model = graph.unchecked(classes_of(graph, graph.node("Cast", "global_in", to=TensorProto.FLOAT), 40))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.BOOL
    model.save(str(tmp_path / "model.onnx"))
    bundle = bundled(tmp_path / "model.onnx")
    assert bundle.codec == IntegerCodec(1, lowest=0, highest=1)
    bits = np.random.default_rng(0).integers(0, 2, (9, 1, 1, 40), np.uint8)
    assert verify_bundle(bundle, bits).equal


@pytest.mark.parametrize(
    "form", ["Div 255", "Mul 1/255", "2x - 1", "(x - 0.5) / 0.5", "Quant", "Quant 16", "QuantizeLinear"]
)
def test_what_pixels_are_is_read_off_the_graph(tmp_path: Path, form: str) -> None:
    graph = Graph((1, 3, 8, 8), None)
    unit = form not in ("Div 255", "Mul 1/255", "Quant 16")  # the graph takes pixels from 0 to 1
    x = "global_in"
    if form == "Div 255":
        x = graph.node("Div", x, np.float32(255))
    elif form == "Mul 1/255":
        x = graph.node("Mul", np.float32(1 / 255), x)
    elif form == "2x - 1":
        x = graph.node(
            "Sub",
            graph.node("Mul", graph.node("Reshape", x, graph.constant([1, 192], np.int64)), np.float32(2)),
            np.float32([1]),
        )
    elif form == "(x - 0.5) / 0.5":
        x = graph.node("Div", graph.node("Sub", x, np.float32(0.5)), np.float32(0.5))
    if form == "QuantizeLinear":
        zero = graph.constant(-128, np.int8)
        x = graph.node(
            "DequantizeLinear", graph.node("QuantizeLinear", x, np.float32(1 / 255), zero), np.float32(1 / 255), zero
        )
    else:
        step = {"Quant 16": 16.0, "Quant": 1 / 15, "Div 255": 1 / 15, "Mul 1/255": 1 / 15}.get(form, 1 / 8)
        x = graph.quant(x, step, 4, signed=int(unit and form != "Quant"))
    y = classes_of(graph, graph.node("Flatten", x), 192)
    bundle = bundled(saved(graph, y, tmp_path))
    assert bundle.manifest.input.model.scale == ((PIXELS,) if unit else (1.0,))
    handed = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
    fed = (handed * (PIXELS if unit else 1.0)).astype(np.float32).transpose(0, 3, 1, 2)
    assert_answers(bundle, graph, y, handed, fed)


@pytest.mark.parametrize("form", ["signed", "too far", "another factor", "two ways", "a term for each band"])
def test_what_the_graph_does_not_tell_is_asked_for(tmp_path: Path, form: str) -> None:
    graph = Graph((1, 3, 8, 8), None)
    x = "global_in"
    if form == "another factor":
        x = graph.node("Sub", graph.node("Mul", x, np.float32(3)), np.float32(1))
    elif form == "a term for each band":
        x = graph.node("Sub", x, np.array([0.4, 0.5, 0.6], np.float32).reshape(1, 3, 1, 1))
    elif form == "two ways":
        x = graph.node("Add", graph.node("Relu", x), graph.node("Mul", x, np.float32(0.1)))
    step = 1 / 7 if form in ("signed", "too far") else 1 / 15
    y = classes_of(graph, graph.node("Flatten", graph.quant(x, step, 4, signed=int(form == "signed"))), 192)
    with pytest.raises((ExportError, LoweringError), match=r"--input-|expected one computed tensor and constants"):
        bundled(saved(graph, y, tmp_path))


@pytest.mark.parametrize("damage", ["no output", "text", "three inputs", "zero", "circle"])
def test_damage_where_pixels_are_looked_for_is_named(tmp_path: Path, damage: str) -> None:
    graph = Graph((1, 3, 8, 8), None)
    x = graph.node("Mul", "global_in", np.float32(0 if damage == "zero" else 2))
    y = graph.node("Flatten", graph.quant(x, 1 / 15, 4))
    model = graph.unchecked(classes_of(graph, y, 192))
    first, second = model.graph.node[:2]
    if damage == "no output":
        del first.output[:]
    elif damage == "text":
        tensor = next(t for t in model.graph.initializer if t.name == first.input[1])
        tensor.CopyFrom(helper.make_tensor(tensor.name, TensorProto.STRING, [], [b"two"]))
    elif damage == "three inputs":
        second.input[0] = "global_in"
        model.graph.node.remove(first)
        del second.input[3:]
    elif damage == "circle":
        first.op_type, first.input[0] = "Relu", first.output[0]
        del first.input[1:]
    model.save(str(tmp_path / "model.onnx"))
    with pytest.raises((ExportError, LoweringError)):
        bundled(tmp_path / "model.onnx")


def test_the_codec_asked_for_must_be_the_graphs(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), "UINT4")
    y = classes_of(graph, graph.node("Flatten", "global_in"), 192)
    path, output = str(saved(graph, y, tmp_path)), str(tmp_path / "m.bsw")

    def exported(*options: str) -> str:
        result = CliRunner().invoke(export.command, [path, "-o", output, *options])
        return str(result.exception) if result.exception else ""

    assert not exported()
    assert bs.open(output).bundle.codec == IntegerCodec(4, lowest=0, highest=15)
    assert not exported("--codec", "uniform:4:ordered")
    assert bs.open(output).bundle.codec == UniformCodec(4, "ordered")
    verified = CliRunner().invoke(verify.command, [output, "--frames", "4"])
    assert verified.exit_code == 0, verified.output
    assert "its integers are not 3-bit codes of pixels; leave --codec out" in exported("--codec", "uniform:3")
    assert "fitted to images" in exported("--codec", "palette:4")
    quantized = Graph((1, 3, 8, 8), None)
    saved(
        quantized,
        classes_of(quantized, quantized.node("Flatten", quantized.quant("global_in", 1 / 15, 4)), 192),
        tmp_path,
    )
    assert "its own quantizer makes 4-bit codes" in exported("--codec", "uniform:4")
    assert not exported()


def test_classes_come_from_a_list_or_a_file(tmp_path: Path) -> None:
    graph = Graph((1, 40), "INT4")
    path, output = str(saved(graph, classes_of(graph, "global_in", 40), tmp_path)), str(tmp_path / "m.bsw")
    names = ("gluon", "a, b", "c", "d", "e")
    (tmp_path / "names.txt").write_text("\ufeff" + "\n".join(names) + "\n", encoding="utf-8")
    (tmp_path / "names.json").write_text('["gluon", "a, b", "c", "d", "e"]')
    for told in ("names.txt", "names.json"):
        result = CliRunner().invoke(export.command, [path, "-o", output, "--classes", str(tmp_path / told)])
        assert result.exit_code == 0, result.output
        assert bs.open(output).classes == names
    assert CliRunner().invoke(export.command, [path, "-o", output, "--classes", "1,2,3,4,5"]).exit_code == 0
    assert bs.open(output).classes == ("1", "2", "3", "4", "5")
    (tmp_path / "names.json").write_text('["gluon", 3]')
    wrong = CliRunner().invoke(export.command, [path, "-o", output, "--classes", str(tmp_path / "names.json")])
    assert wrong.exit_code == 2 and "JSON list of names" in " ".join(wrong.output.split())


def test_reals_through_what_is_only_approximated_are_refused(tmp_path: Path) -> None:
    graph = Graph((1, FEATURES), None)
    y = classes_of(graph, graph.quant(graph.node("Tanh", "global_in"), 0.1, 4, signed=1), FEATURES)
    with pytest.raises(LoweringError, match="what Tanh makes of real inputs, of which not every one can be tried"):
        bundled(saved(graph, y, tmp_path))


def test_more_than_eight_bits_of_reals_are_refused(tmp_path: Path) -> None:
    graph = Graph((1, FEATURES), None)
    y = classes_of(graph, graph.quant("global_in", 0.1, 12, signed=1), FEATURES)
    with pytest.raises(LoweringError, match="4096 levels; codes have at most 8 bits"):
        bundled(saved(graph, y, tmp_path))


def test_sums_that_float32_rounds_over_a_tie_are_taken_exact(tmp_path: Path) -> None:
    """A boundary in the middle of every two sums, and scales that are no powers of two; a wrong threshold is found."""
    graph = Graph((1, 40), None)
    rng = np.random.default_rng(0)
    scale, step = np.float32(0.1), np.float32(1 / 127)
    x = graph.quant("global_in", step, 8, signed=1)
    x = graph.node("MatMul", x, graph.weights(rng.integers(-7, 8, (40, 30)), scale))
    y = classes_of(graph, graph.quant(x, 2 * scale * step, 8, signed=1), 30)
    bundle = bundled(saved(graph, y, tmp_path))
    handed = rng.normal(0, 0.02, (200, 1, 1, 40)).astype(np.float32)
    found = verify_bundle(bundle, handed)
    assert found.equal
    assert any("sums in float32, which may round a tie the other way" in note for note in found.notes)
    last = next(stage for stage in reversed(bundle.network.stages) if isinstance(stage, Threshold))
    wrong = replace(last, thresholds=last.thresholds + (np.arange(last.thresholds.shape[1]) == 127))
    stages = tuple(wrong if stage is last else stage for stage in bundle.network.stages)
    moved = replace(bundle, network=Network(bundle.network.input, stages, bundle.network.head))
    first = verify_bundle(moved, handed).comparisons[0].first
    assert first is not None and first.tensor.startswith("quant")


@pytest.mark.skipif(not MODELS.is_dir(), reason=f"needs the models in {MODELS}")
@pytest.mark.parametrize(
    ("name", "options", "described"),
    [
        ("qz_tfc_2w2a", {}, "uint8 images 28 x 28 x 1"),
        ("qz_kwsmlp_w3a3", {"datatype": "FLOAT32"}, "float32 images 10 x 49 x 1"),
        ("qz_jettagging_qkeras", {"datatype": "INT8", "scale": (1 / 16,)}, "int8 vectors of 16"),
        ("finncpp_ident_qonnx", {"datatype": "INT8"}, "int8 vectors of 20"),
        ("tcn_w_slice_qonnx", {}, "float32 signals 665 x 1"),
    ],
)
def test_models_that_others_made(tmp_path: Path, name: str, options: dict[str, Any], described: str) -> None:
    bundle, _ = bundle_onnx(MODELS / f"{name}.onnx", tmp_path / "m.bsw", **options)
    assert bundle.manifest.input.described == described
    handed = bundle.codec.samples(np.random.default_rng(0), 12, bundle.manifest.input.patch_shape)
    assert verify_bundle(bundle, handed).equal
