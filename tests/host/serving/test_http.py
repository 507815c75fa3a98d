"""The Open Inference Protocol over HTTP: what is asked for is answered, and equal to what the bundle computes."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bitswath.accelerator import open as open_accelerator
from bitswath.bundle.bundle import save_bundle
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.transform.codec import TransformCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BundleError
from bitswath.network.network import Head
from tests.host.kinds import linear
from tests.host.serving.served import (
    CLASSES,
    FRAME_BYTES,
    SHAPE,
    WEIGHTS,
    ask,
    binary,
    bundle,
    frames_of,
    logits_of,
    patches,
    serving,
    tensor,
)

INFER = "/v2/models/small/infer"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(bundle(tmp_path_factory.mktemp("models")).path) as address:
        yield address


def test_health_is_told_in_json(address: str) -> None:
    assert ask(address, "/v2/health/live").json == {"live": True}
    assert ask(address, "/v2/health/ready").json["ready"] is True
    assert ask(address, "/v2/models/small/ready").json == {"name": "small", "ready": True}
    assert ask(address, "/v2/models/small/versions/1/ready").json == {"name": "small", "ready": True}


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_server_tells_its_extensions(address: str, path: str) -> None:
    told = ask(address, path).json
    assert told["name"] == "bitswath"
    assert {"binary_tensor_data", "statistics", "model_repository", "model_configuration"} <= set(told["extensions"])


def test_a_model_tells_its_tensors(address: str) -> None:
    told = ask(address, "/v2/models/small").json
    assert (told["name"], told["versions"]) == ("small", ["1"])
    inputs = {entry["name"]: (entry["datatype"], entry["shape"]) for entry in told["inputs"]}
    assert inputs == {
        "patches": ("UINT8", [-1, *SHAPE]),
        "codes": ("UINT8", [-1, *SHAPE]),
        "frames": ("UINT8", [-1, FRAME_BYTES]),
        "image": ("BYTES", [-1]),
    }
    outputs = {entry["name"]: (entry["datatype"], entry["shape"]) for entry in told["outputs"]}
    assert outputs == {
        "labels": ("INT64", [-1]),
        "names": ("BYTES", [-1]),
        "logits": ("FP32", [-1, 3]),
        "scores": ("FP32", [-1, 3]),
    }


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("kind", ["patches", "codes", "frames"])
def test_every_input_gives_the_same_answer(address: str, kind: str, flat: bool) -> None:
    batch = patches(3, seed=5)
    given = {"patches": batch, "codes": batch >> 4, "frames": frames_of(batch)}[kind]
    entry = tensor(kind, given)
    if flat:
        entry["data"] = given.reshape(-1).tolist()
    reply = ask(address, INFER, {"id": "a 42", "inputs": [entry]})
    assert reply.status == 200 and reply.json["id"] == "a 42"
    assert (reply.json["model_name"], reply.json["model_version"]) == ("small", "1")
    logits = logits_of(batch)
    assert reply.outputs["logits"]["data"] == logits.reshape(-1).tolist()
    assert reply.outputs["labels"]["data"] == logits.argmax(1).tolist()
    assert reply.outputs["names"]["data"] == [CLASSES[label] for label in logits.argmax(1)]
    scores = (
        np.exp(logits - logits.max(1, keepdims=True)) / np.exp(logits - logits.max(1, keepdims=True)).sum(1)[:, None]
    )
    np.testing.assert_allclose(np.array(reply.outputs["scores"]["data"]).reshape(3, 3), scores, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 7, 300])
def test_binary_tensors_in_and_out(address: str, count: int) -> None:
    batch = patches(count, seed=count)
    body, headers = binary({"frames": frames_of(batch)}, parameters={"binary_data_output": True})
    reply = ask(address, INFER, body, **headers)
    assert reply.headers["Content-Type"] == "application/octet-stream"
    at = int(reply.headers["Inference-Header-Content-Length"])
    for entry in reply.json["outputs"]:
        size = entry["parameters"]["binary_data_size"]
        content, at = reply.body[at : at + size], at + size
        if entry["name"] == "logits":
            np.testing.assert_array_equal(np.frombuffer(content, "<f4").reshape(count, 3), logits_of(batch))
        if entry["name"] == "names":
            first = CLASSES[logits_of(batch).argmax(1)[0]].encode()
            assert content.startswith(len(first).to_bytes(4, "little") + first)
    assert at == len(reply.body)


def test_outputs_that_are_named_come_in_their_order_each_as_it_is_asked_for(address: str) -> None:
    batch = patches(2)
    wanted = [{"name": "logits", "parameters": {"binary_data": True}}, {"name": "labels"}]
    reply = ask(address, INFER, {"inputs": [tensor("patches", batch)], "outputs": wanted})
    assert [entry["name"] for entry in reply.json["outputs"]] == ["logits", "labels"]
    assert reply.outputs["labels"]["data"] == logits_of(batch).argmax(1).tolist()
    length = int(reply.headers["Inference-Header-Content-Length"])
    np.testing.assert_array_equal(np.frombuffer(reply.body[length:], "<f4").reshape(2, 3), logits_of(batch))


def test_classification_gives_the_best_classes_by_value(address: str) -> None:
    batch = patches(2)
    wanted = [{"name": "logits", "parameters": {"classification": 2}}]
    entry = ask(address, INFER, {"inputs": [tensor("patches", batch)], "outputs": wanted}).outputs["logits"]
    assert (entry["datatype"], entry["shape"]) == ("BYTES", [2, 2])
    best = np.argsort(-logits_of(batch), axis=1, kind="stable")[:, :2]
    expected = [f"{logits_of(batch)[row, c]:f}:{c}:{CLASSES[c]}" for row in range(2) for c in best[row]]
    assert entry["data"] == expected


def image(pixels: Any, kind: str) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return encoded.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_an_image_file_is_a_patch(tmp_path: Path, kind: str) -> None:
    shape = (16, 16, 3)
    weights = np.random.default_rng(3).integers(-7, 8, (3, 768))
    network = linear(weights, shape, 4, Head())
    made = save_bundle(tmp_path / "rgb.bsw", network=network, codec=UniformCodec(4), patch_shape=shape, classes=CLASSES)
    content = image(np.random.default_rng(4).integers(0, 256, shape, np.uint8), kind)
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    expected = (pixels >> 4).reshape(1, -1).astype(np.int64) @ weights.T
    entry = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(content).decode()]}
    with serving(made.path) as address:
        reply = ask(address, "/v2/models/rgb/infer", {"inputs": [entry]})
        raw = ask(address, "/v2/models/rgb/infer", content, Inference_Header_Content_Length="0")
        larger = image(np.zeros((20, 16, 3), np.uint8), "PNG")
        entry["data"] = [base64.b64encode(larger).decode()]
        refused = ask(address, "/v2/models/rgb/infer", {"inputs": [entry]})
        fitted = ask(address, "/v2/models/rgb/infer", {"inputs": [{**entry, "parameters": {"resize": True}}]})
    assert reply.outputs["logits"]["data"] == expected.reshape(-1).tolist()
    assert raw.outputs["labels"]["parameters"] == {"binary_data_size": 8}
    assert refused.status == 400 and "image 0: is 20 x 16 x 3; expected 16 x 16 x 3" in refused.error
    assert fitted.status == 200


def test_compressed_frames_go_as_bytes(tmp_path: Path) -> None:
    shape = (16, 16, 3)
    weights = np.random.default_rng(3).integers(-7, 8, (3, 768))
    codec = TransformCodec.fit(np.random.default_rng(1).integers(0, 256, (8, *shape), np.uint8), quality=16)
    network = linear(weights, shape, 8, Head())
    made = save_bundle(tmp_path / "t.bsw", network=network, codec=codec, patch_shape=shape, classes=CLASSES)
    batch = np.random.default_rng(2).integers(0, 256, (5, *shape), np.uint8)
    rows = codec.encode_packed(batch)
    items = [rows[i, : rows[i, 0] | int(rows[i, 1]) << 8].tobytes() for i in range(5)]
    with open_accelerator(made, "emulator") as accelerator, serving(made.path) as address:
        expected = accelerator.classify(batch).labels.tolist()
        entry = {
            "name": "frames",
            "shape": [5],
            "datatype": "BYTES",
            "data": [base64.b64encode(i).decode() for i in items],
        }
        reply = ask(address, "/v2/models/t/infer", {"inputs": [entry]})
        broken = items[2][:-1] + bytes([items[2][-1] ^ 1])
        entry["data"][2] = base64.b64encode(broken).decode()
        damaged = ask(address, "/v2/models/t/infer", {"inputs": [entry]})
        entry["data"][2] = base64.b64encode(items[2] + b"x").decode()
        longer = ask(address, "/v2/models/t/infer", {"inputs": [entry]})
    assert reply.outputs["labels"]["data"] == expected
    assert damaged.status == 400 and damaged.error.startswith("frame 2: ")
    assert longer.status == 400 and "frame 2" in longer.error


def test_numbers_of_another_type_are_taken_as_a_vector(tmp_path: Path) -> None:
    weights = np.random.default_rng(3).integers(-7, 8, (3, 6))
    codec = IntegerCodec(8, lowest=-128, highest=127)
    network = linear(weights, (1, 1, 6), 8, Head())
    made = save_bundle(
        tmp_path / "v.bsw", network=network, codec=codec, patch_shape=(1, 1, 6), classes=CLASSES, layout="flat"
    )
    batch = np.random.default_rng(2).integers(-128, 128, (4, 6), np.int8)
    with open_accelerator(made, "emulator") as accelerator, serving(made.path) as address:
        expected = accelerator.classify(batch).labels.tolist()
        reply = ask(address, "/v2/models/v/infer", {"inputs": [tensor("patches", batch, "INT8")]})
        names = [entry["name"] for entry in ask(address, "/v2/models/v").json["inputs"]]
    assert reply.outputs["labels"]["data"] == expected
    assert names == ["patches", "codes", "frames"]


def test_versions_lie_in_folders(tmp_path: Path) -> None:
    other = np.random.default_rng(9).integers(-7, 8, (3, 40))
    for version, weights in (("1", WEIGHTS), ("3", other)):
        bundle(tmp_path, weights=weights).path.rename(tmp_path / version)
    folder = tmp_path / "land-cover"
    folder.mkdir()
    for version in ("1", "3"):
        (tmp_path / version).rename(folder / version)
    batch = patches(4)
    body = {"inputs": [tensor("patches", batch)], "outputs": [{"name": "logits"}]}
    with serving(folder) as address:
        assert ask(address, "/v2/models/land-cover").json["versions"] == ["1", "3"]
        answers = {
            path: ask(address, f"/v2/models/land-cover{path}/infer", body)
            for path in ("", "/versions/1", "/versions/3")
        }
        unknown = ask(address, "/v2/models/land-cover/versions/2/infer", body)
    for path, weights, version in (("", other, "3"), ("/versions/1", WEIGHTS, "1"), ("/versions/3", other, "3")):
        assert answers[path].json["model_version"] == version
        assert answers[path].outputs["logits"]["data"] == logits_of(batch, weights).reshape(-1).tolist()
    assert unknown.status == 404 and "it has 1, 3" in unknown.error


def test_statistics_count_requests_frames_and_chunks(address: str) -> None:
    def counted() -> Any:
        return ask(address, "/v2/models/small/stats").json["model_stats"][0]

    before = counted()
    for count in (1, 4):
        assert ask(address, INFER, {"inputs": [tensor("patches", patches(count))]}).status == 200
    assert ask(address, INFER, {"inputs": []}).status == 400
    after = counted()
    stages = {
        stage: times["count"] - before["inference_stats"][stage]["count"]
        for stage, times in after["inference_stats"].items()
    }
    assert after["inference_count"] - before["inference_count"] == 5
    assert after["execution_count"] - before["execution_count"] == 2
    assert stages == {
        **dict.fromkeys(("success", "queue", "compute_input", "compute_infer", "compute_output"), 2),
        "fail": 1,
        "cache_hit": 0,
        "cache_miss": 0,
    }
    assert {"batch_size": 4}.items() <= after["batch_stats"][-1].items() or len(after["batch_stats"]) > 2
    assert ask(address, "/v2/models/stats").json["model_stats"][0]["name"] == "small"


def test_the_repository_is_listed_and_not_changed_by_requests(address: str) -> None:
    listed = [{"name": "small", "version": "1", "state": "READY", "reason": ""}]
    assert ask(address, "/v2/repository/index", b"").json == listed
    assert ask(address, "/v2/repository/index", {"ready": True}).json == listed
    for action in ("load", "unload"):
        refused = ask(address, f"/v2/repository/models/small/{action}", {"parameters": {"config": "{}"}})
        assert refused.status == 400 and "not loaded or unloaded by request" in refused.error


def test_the_configuration_is_tritons(address: str) -> None:
    told = ask(address, "/v2/models/small/config").json
    assert told["max_batch_size"] == 4096 and told["platform"] == "bitswath_bsw"
    assert {"name": "patches", "data_type": "TYPE_UINT8", "dims": list(SHAPE), "optional": True} in told["input"]


def test_the_openapi_document_names_every_address_of_the_protocol(address: str) -> None:
    document = ask(address, "/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert "/v2/models/{model}/versions/{version}/infer" in document["paths"]
    text = json.dumps(document)
    for name in set(text.split('"#/components/schemas/')[1:]):
        assert name.split('"')[0] in document["components"]["schemas"]


def test_two_bundles_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, second = bundle(tmp_path), bundle(tmp_path / "other")
    with pytest.raises(BundleError, match="there is a model 'small' already"), serving(first.path, second.path):
        pass
