"""A bundle of a QONNX file answers what the file answers on the user's pixels, however they were scaled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto

import bitswath as bs
from bitswath.bundle.bundle import Bundle, how_pixels_enter, load_bundle, save_bundle
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.threshold import ThresholdCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import ExportError, LoweringError, VerificationError
from bitswath.models.commands import export, verify
from bitswath.models.export.onnx_bundle import bundle_onnx, training_config
from bitswath.models.lowering.chains.values import CHANNELS_LAST
from bitswath.models.verify.compare import verify_bundle
from tests.models.graphs import QONNX, Graph, run_qonnx

PIXELS = 1 / 255
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def behind(graph: Graph, x: str, seed: int = 0) -> str:
    """A padded convolution, a quantizer and a dense layer of five classes."""
    rng = np.random.default_rng(seed)
    y = graph.node("Conv", x, graph.weights(rng.integers(-7, 8, (4, 3, 3, 3)), 0.1), pads=[1, 1, 1, 1])
    y = graph.quant(graph.node("Relu", y), 0.1103719, 4)  # no accumulator lies half way between two codes
    return graph.node("MatMul", graph.node("Flatten", y), graph.weights(rng.integers(-7, 8, (256, 5)), 0.05))


def dark(dtype: str = "uint8", frames: int = 12, top: int = 255) -> NDArray[Any]:
    return (np.random.default_rng(5).beta(2, 6, (frames, 8, 8, 3)) * top).astype(dtype)


def answers(graph: Graph, y: str, fed: NDArray[np.float32]) -> NDArray[np.float32]:
    """What qonnx's executor gives for (N, 8, 8, 3), one frame at a time."""
    model = graph.model(y)
    return np.concatenate([run_qonnx(model, frame[None].transpose(0, 3, 1, 2))[y] for frame in fed])


def assert_answers(bundle: Bundle, patches: NDArray[Any], expected: NDArray[np.float32]) -> None:
    with bs.open(bundle) as accelerator:
        np.testing.assert_allclose(accelerator.classify(patches).logits, expected, rtol=1e-5, atol=1e-5)
    assert verify_bundle(bundle, patches).equal


def bundled(path: Path, output: Path, **options: Any) -> Bundle:
    bundle, _ = bundle_onnx(path, output, **options)
    return bundle


def saved(graph: Graph, y: str, folder: Path) -> Path:
    path = folder / "model.onnx"
    graph.model(y).save(str(path))
    return path


@given(
    bits=st.integers(2, 8),
    signed=st.booleans(),
    narrow=st.booleans(),
    zero_point=st.sampled_from([0, 0, 3, -2, 7]),
    mode=st.sampled_from(["ROUND", "FLOOR", "CEIL", "HALF_UP", "DOWN"]),
    reach=st.floats(0.3, 2.5),
    normalized=st.booleans(),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_input_quantizer_gets_its_own_codec(
    tmp_path_factory: pytest.TempPathFactory,
    bits: int,
    signed: bool,
    narrow: bool,
    zero_point: int,
    mode: str,
    reach: float,
    normalized: bool,
) -> None:
    scale, offset = (tuple(PIXELS / STD), tuple(-MEAN / STD)) if normalized else ((PIXELS,), None)
    graph = Graph((1, 3, 8, 8), None)
    step = reach / (2 ** (bits - 1 if signed else bits) - 1)
    y = behind(graph, graph.quant("global_in", step, bits, int(signed), int(narrow), float(zero_point), mode))
    folder = tmp_path_factory.mktemp("bundle")
    bundle = bundled(saved(graph, y, folder), folder / "m.bsw", scale=scale, offset=offset)
    patches = dark()
    fed = (patches * np.array(scale) + np.array(offset or 0)).astype(np.float32)
    assert bundle.codec.bits == bits
    assert_answers(bundle, patches, answers(graph, y, fed))


@pytest.mark.parametrize("order", ["Div, Sub", "Sub, Div", "Mul, Add", "BatchNormalization"])
def test_normalization_in_the_graph_is_part_of_its_quantizer(tmp_path: Path, order: str) -> None:
    mean, std = (v.reshape(1, 3, 1, 1).astype(np.float32) for v in (255 * MEAN, 255 * STD))
    graph = Graph((1, 3, 8, 8), None)
    x = "global_in"
    if order == "Div, Sub":
        x = graph.node("Sub", graph.node("Div", x, std), mean / std)
    elif order == "Sub, Div":
        x = graph.node("Div", graph.node("Sub", x, mean), std)
    elif order == "Mul, Add":
        x = graph.node("Add", graph.node("Mul", x, 1 / std), -mean / std)
    else:
        x = graph.normalize(x, [1, 1, 1], [0, 0, 0], mean.reshape(3), std.reshape(3) ** 2)
    y = behind(graph, graph.quant(x, 1 / 40, 8, signed=1))
    bundle = bundled(saved(graph, y, tmp_path), tmp_path / "m.bsw", scale=(1.0,))
    patches = dark()
    assert_answers(bundle, patches, answers(graph, y, patches.astype(np.float32)))


def test_a_bipolar_input_is_one_bit_on_the_link(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), None)
    shifted = graph.node("Sub", graph.node("Mul", "global_in", 2.0), 0.5)
    y = behind(graph, graph.node("BipolarQuant", shifted, 0.7, domain=QONNX))
    bundle = bundled(saved(graph, y, tmp_path), tmp_path / "m.bsw", scale=(PIXELS,))
    assert (bundle.codec.bits, bundle.manifest.input.frame_bytes) == (1, 24)
    patches = dark()
    assert_answers(bundle, patches, answers(graph, y, (patches * PIXELS).astype(np.float32)))


def test_wide_pixels_enter_through_the_quantizer(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), None)
    y = behind(graph, graph.quant("global_in", 1 / 100, 6))
    bundle = bundled(saved(graph, y, tmp_path), tmp_path / "m.bsw", datatype="UINT16", scale=(1e-4,))
    assert (bundle.codec.depth, bundle.codec.bits) == (16, 6)
    patches = dark("uint16", top=12000)
    assert_answers(bundle, patches, answers(graph, y, (patches * 1e-4).astype(np.float32)))


def test_a_quantizer_of_whole_pixels_costs_nothing(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), None)
    bundle = bundled(
        saved(graph, behind(graph, graph.quant("global_in", PIXELS, 8)), tmp_path), tmp_path / "m.bsw", scale=(PIXELS,)
    )
    assert bundle.codec == UniformCodec(8)
    assert how_pixels_enter(bundle) == "uint8 pixels enter as they are; the model is fed 0.00392157 * pixel + 0"


def test_four_bits_of_a_seventeenth_are_rounded_not_cut_off(tmp_path: Path) -> None:
    """A published fault: p >> 4 where the graph computes round(p / 17)."""
    graph = Graph((1, 3, 8, 8), None)
    path = saved(graph, behind(graph, graph.quant("global_in", 1 / 15, 4)), tmp_path)
    bundle = bundled(path, tmp_path / "m.bsw", scale=(PIXELS,))
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    np.testing.assert_array_equal(bundle.codec.encode(pixels), np.rint(pixels / 17))
    assert how_pixels_enter(bundle).startswith(
        "uint8 pixels enter as 4-bit codes of the model's own input quantizer, which change at 9, 26, 43, ..., 247;"
    )


def test_reals_without_a_scale_are_refused_with_what_to_give(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), None)
    path = saved(graph, behind(graph, graph.quant("global_in", 1 / 127, 8, signed=1)), tmp_path)
    with pytest.raises(ExportError, match=r"give --input-scale \(1/255"):
        bundled(path, tmp_path / "m.bsw")
    assert not (tmp_path / "m.bsw").exists()


def test_raw_pixels_for_a_quantizer_of_scaled_ones_are_refused(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), "UINT8")
    path = saved(graph, behind(graph, graph.quant("global_in", 1 / 127, 8, signed=1)), tmp_path)
    with pytest.raises(ExportError, match="reach 2 of the 256 levels"):
        bundled(path, tmp_path / "m.bsw")
    bundle = bundled(path, tmp_path / "m.bsw", scale=(PIXELS,))
    graph.datatype = None
    y = graph.nodes[-1].output[0]
    assert_answers(bundle, dark(), answers(graph, y, (dark() * PIXELS).astype(np.float32)))


def test_declared_integers_are_handed_over_unless_it_is_said_what_pixels_are(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), "INT8")
    y = behind(graph, graph.quant("global_in", 1 / 127, 8, signed=1))
    path = saved(graph, y, tmp_path)
    signed = np.random.default_rng(0).integers(-128, 128, (4, 8, 8, 3), np.int8)
    bundle = bundled(path, tmp_path / "m.bsw")
    assert bundle.codec == IntegerCodec(8, lowest=-128, highest=127)
    assert_answers(bundle, signed, answers(graph, y, signed.astype(np.float32)))
    bundle = bundled(path, tmp_path / "m.bsw", datatype="FLOAT32", scale=(PIXELS,))
    graph.datatype = None
    assert_answers(bundle, dark(), answers(graph, y, (dark() * PIXELS).astype(np.float32)))


@pytest.mark.parametrize("band", [None, 1])
def test_codes_may_fall_as_pixels_rise(tmp_path: Path, band: int | None) -> None:
    """In all bands, or in one."""
    graph = Graph((1, 3, 8, 8), None)
    sign = np.ones((1, 3, 1, 1), np.float32)
    sign[:, slice(None) if band is None else band] = -1
    y = behind(graph, graph.quant(graph.node("Mul", "global_in", sign), 1 / 15, 5, signed=1))
    path = saved(graph, y, tmp_path)
    bundle = bundled(path, tmp_path / "m.bsw", scale=(PIXELS,))
    assert bundle.codec.bits == 5
    assert_answers(bundle, dark(), answers(graph, y, (dark() * PIXELS).astype(np.float32)))


def test_two_quantizers_of_one_input_must_be_one(tmp_path: Path) -> None:
    def graph_of(second: str) -> Path:
        graph = Graph((1, 3, 8, 8), None)
        both = [graph.quant("global_in", 1 / 15, 4), graph.quant("global_in", 1 / 15, 4, mode=second)]
        return saved(graph, behind(graph, graph.node("Add", *both)), tmp_path)

    with pytest.raises(LoweringError, match="quantize it once"):
        bundled(graph_of("FLOOR"), tmp_path / "m.bsw", scale=(PIXELS,))
    assert bundled(graph_of("ROUND"), tmp_path / "m.bsw", scale=(PIXELS,)).codec.bits == 4


def test_a_scale_for_each_band_must_be_of_as_many_bands(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), None)
    path = saved(graph, behind(graph, graph.quant("global_in", 1 / 15, 4)), tmp_path)
    with pytest.raises(LoweringError, match="3 bands"):
        bundled(path, tmp_path / "m.bsw", scale=(PIXELS, PIXELS))


def test_an_image_of_scores_and_several_outputs(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    graph = Graph((1, 3, 8, 8), "UINT8")
    scores = graph.node("Conv", "global_in", graph.weights(rng.integers(-3, 4, (4, 3, 1, 1))), rng.normal(size=4))
    logits = graph.node("MatMul", graph.node("Flatten", "global_in"), graph.weights(rng.integers(-3, 4, (192, 5))))
    patches = dark()
    for outputs in ([scores], [scores, logits], [logits, scores]):
        model = graph.model(*outputs)
        model.save(str(tmp_path / "m.onnx"))
        bundle = bundled(tmp_path / "m.onnx", tmp_path / "m.bsw")
        assert len(bundle.classes) == (4 if outputs[0] == scores else 5)
        assert verify_bundle(bundle, patches).equal
        with bs.open(bundle) as accelerator:
            result = accelerator.classify(patches)
        each = {scores: result} if len(outputs) == 1 else result.outputs
        for i, patch in enumerate(patches.transpose(0, 3, 1, 2)):
            context = run_qonnx(model, patch[None].astype(np.float32))
            for name in outputs:
                expected = context[name][0].transpose(1, 2, 0) if name == scores else context[name][0]
                np.testing.assert_allclose(each[name].logits[i], expected, rtol=1e-5, atol=1e-4)
                np.testing.assert_array_equal(each[name].labels[i], expected.argmax(axis=-1))


def test_verify_executes_channels_last_operators_of_the_files_own_operator_set(tmp_path: Path) -> None:
    """qonnx takes their domain's version, 1 where it is not imported, for that of the operators they wrap."""
    graph = Graph((1, 8, 8, 3), "UINT8")
    y = graph.node(
        "MaxPool",
        "global_in",
        domain=CHANNELS_LAST,
        kernel_shape=(2, 2),
        strides=(2, 2),
        pads=(0, 0, 0, 0),
        ceil_mode=0,
    )
    y = graph.node("Transpose", y, perm=(0, 3, 1, 2))
    y = graph.node("MatMul", graph.node("Flatten", y), graph.weights(np.arange(96).reshape(48, 2) - 48))
    model = graph.unchecked(y, shapes={"maxpool0": (1, 4, 4, 3)})
    model.save(str(tmp_path / "m.onnx"))
    assert verify_bundle(bundled(tmp_path / "m.onnx", tmp_path / "m.bsw"), dark()).equal


def test_verify_starts_from_pixels(tmp_path: Path) -> None:
    """Another codec, or a bundle that does not say what the model is fed, is never called equal."""
    graph = Graph((1, 3, 8, 8), None)
    bundle = bundled(
        saved(graph, behind(graph, graph.quant("global_in", 1 / 15, 4)), tmp_path), tmp_path / "m.bsw", scale=(PIXELS,)
    )
    found = verify_bundle(replace(bundle, codec=UniformCodec(4)), dark())
    assert not found.equal
    assert found.comparisons[0].first is not None
    assert found.comparisons[0].first.tensor.startswith("quant")
    assert bundle.onnx_path is not None
    old = save_bundle(
        tmp_path / "old.bsw",
        network=bundle.network,
        codec=UniformCodec(4),
        patch_shape=(8, 8, 3),
        classes=bundle.classes,
        onnx_model=bundle.onnx_path,
    )
    assert not verify_bundle(old, dark()).equal
    graph = Graph((1, 3, 8, 8), None)
    path = saved(graph, behind(graph, graph.quant("global_in", 1 / 7, 4, signed=1)), tmp_path)
    blind = replace(bundle, path=tmp_path, manifest=old.manifest)
    assert blind.onnx_path == path
    with pytest.raises(VerificationError, match="may have answered wrongly: export the model again with --input-scale"):
        verify_bundle(blind, dark())


@pytest.mark.parametrize(("batch", "shape"), [("N", [-1, 256]), (None, [-1, 256]), (10, [10, -1]), (3, [3, -1])])
def test_graphs_of_any_batch_verify(tmp_path: Path, batch: int | str | None, shape: list[int]) -> None:
    graph = Graph((batch, 3, 8, 8), "UINT8")  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (4, 3, 3, 3))), pads=[1, 1, 1, 1])
    y = graph.quant(graph.node("Relu", y), 200.0, 4)
    flat = graph.node("Reshape", y, graph.constant(shape, np.int64))
    y = graph.node("MatMul", flat, graph.weights(rng.integers(-7, 8, (256, 5))))
    path = tmp_path / "model.onnx"
    graph.unchecked(y).save(str(path))
    assert verify_bundle(bundled(path, tmp_path / "m.bsw"), dark()).equal


def test_another_tools_record_of_training_is_passed_over(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), None)
    made = bundled(
        saved(graph, behind(graph, graph.quant("global_in", PIXELS, 8)), tmp_path), tmp_path / "m.bsw", scale=(PIXELS,)
    )
    manifest = json.loads((made.path / "manifest.json").read_text())
    manifest["provenance"]["source"] |= {"training": {"optimizer": "SGD", "epochs": 3}, "exporter": "another"}
    (made.path / "manifest.json").write_text(json.dumps(manifest))
    bundle = load_bundle(made.path)
    assert training_config(bundle) is None
    result = CliRunner().invoke(verify.command, [str(bundle.path), "--frames", "2"])
    assert result.exit_code == 0, result.output
    assert "EQUAL" in result.output


def test_the_command_says_how_pixels_enter(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), None)
    path = saved(graph, behind(graph, graph.quant("global_in", 1 / 15, 4)), tmp_path)
    bundle = str(tmp_path / "m.bsw")
    result = CliRunner().invoke(export.command, [str(path), "-o", bundle, "--input-scale", "1/255,1/255,0.004"])
    assert result.exit_code == 0, result.output
    assert "4-bit codes of the model's own input quantizer" in " ".join(result.output.split())
    assert "0.00392157, 0.00392157, 0.004 * pixel" in " ".join(result.output.split())
    assert isinstance(load_bundle(bundle).codec, ThresholdCodec)
    for wrong in ("1/0", "a", "1,,2", "nan", "1e999"):
        result = CliRunner().invoke(export.command, [str(path), "-o", bundle, "--input-scale", wrong])
        assert result.exit_code == 2, wrong
        assert "--input-scale" in result.output


@pytest.mark.parametrize("datatype", ["UINT", "UINTx", "UINT8.5", "FIXED<", "", "UINT0", "UINT17", "UINT65"])
def test_a_datatype_that_pixels_are_not_is_refused_in_a_line(tmp_path: Path, datatype: str) -> None:
    graph = Graph((1, 3, 8, 8), None)
    path = saved(graph, behind(graph, graph.quant("global_in", 1 / 15, 4)), tmp_path)
    with pytest.raises((ExportError, LoweringError), match="input"):
        bundled(path, tmp_path / "m.bsw", datatype=datatype, scale=(PIXELS,))


@pytest.mark.parametrize("annotated", ["UINT8", "UINT12"])
def test_a_scale_for_each_band_of_declared_integers_too(tmp_path: Path, annotated: str) -> None:
    graph = Graph((1, 3, 8, 8), annotated)
    path = saved(graph, behind(graph, graph.quant("global_in", 1 / 15, 4)), tmp_path)
    with pytest.raises(LoweringError, match="3 bands; expected one scale and offset"):
        bundled(path, tmp_path / "m.bsw", scale=(PIXELS,), offset=(0.1, 0.2))


def test_a_sign_of_whole_pixels_uses_both_its_levels(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), "UINT8")
    y = behind(graph, graph.quant(graph.node("Sub", "global_in", 128.0), 1.0, 1, signed=1))
    patches = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    assert_answers(
        bundled(saved(graph, y, tmp_path), tmp_path / "m.bsw"), patches, answers(graph, y, patches.astype(np.float32))
    )


def test_the_sign_of_scaled_pixels_is_told_in_pixels(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), None)
    path = saved(graph, behind(graph, graph.node("BipolarQuant", "global_in", 1.0, domain=QONNX)), tmp_path)
    bundle = bundled(path, tmp_path / "m.bsw", scale=(PIXELS,), offset=(-0.5,))
    assert how_pixels_enter(bundle).endswith("which change at 128; the model is fed 0.00392157 * pixel + -0.5")


@pytest.mark.parametrize("element", [TensorProto.INT8, TensorProto.BOOL, TensorProto.UINT4, TensorProto.BFLOAT16])
def test_a_cast_that_does_not_hold_its_integers_is_refused(tmp_path: Path, element: int) -> None:
    graph = Graph((1, 3, 8, 8), "UINT8")
    y = behind(graph, graph.node("Cast", graph.node("Cast", "global_in", to=element), to=TensorProto.FLOAT))
    path = tmp_path / "model.onnx"
    graph.unchecked(y).save(str(path))
    with pytest.raises(LoweringError, match=r"casts 0\.\.255 to"):
        bundled(path, tmp_path / "m.bsw")


@pytest.mark.parametrize(("element", "dtype"), [(TensorProto.UINT8, "uint8"), (TensorProto.UINT16, "uint16")])
def test_inputs_of_an_integer_element_type_are_fed_such(tmp_path: Path, element: int, dtype: str) -> None:
    graph = Graph((1, 3, 8, 8), None)
    scaled = graph.node("Mul", graph.node("Cast", "global_in", to=TensorProto.FLOAT), PIXELS)
    model = graph.unchecked(behind(graph, graph.quant(scaled, 1 / 15, 4)))
    model.graph.input[0].type.tensor_type.elem_type = element
    path = tmp_path / "model.onnx"
    model.save(str(path))
    assert verify_bundle(bundled(path, tmp_path / "m.bsw"), dark(dtype)).equal
    with pytest.raises(LoweringError, match=f"takes {dtype} elements"):
        bundled(path, tmp_path / "m.bsw", scale=(PIXELS,))


def test_a_scale_of_zero_is_refused(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), "UINT8")
    path = saved(graph, graph.node("Flatten", graph.node("GlobalMaxPool", "global_in")), tmp_path)
    with pytest.raises(LoweringError, match="a scale other than 0"):
        bundled(path, tmp_path / "m.bsw", scale=(PIXELS, 0.0, PIXELS))


def test_an_output_that_nothing_quantizes_is_no_constant(tmp_path: Path) -> None:
    graph = Graph((1, 3, 8, 8), None)
    path = saved(graph, graph.node("Flatten", graph.node("Relu", "global_in")), tmp_path)
    with pytest.raises(LoweringError, match="gives reals that no node quantized"):
        bundled(path, tmp_path / "m.bsw", scale=(PIXELS,))
