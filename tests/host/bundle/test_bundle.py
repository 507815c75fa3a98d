"""A bundle comes back as it was saved, is replaced whole or not at all, and is refused when it is damaged."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.bundle import bundle as bundle_module
from bitswath.bundle.bundle import Bundle, how_pixels_enter, load_bundle, save_bundle, update_accuracy
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BundleError
from bitswath.network.network import INPUT, ArgMax, Conv, Dense, Network, TensorSpec, Threshold
from tests.host.kinds import linear

CLASSES = ("forest", "river", "sea lake")
Manifest = dict[str, Any]


def weights(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-7, 8, (3, 4 * 5 * 2))


def save(path: Path, seed: int = 0, **changes: Any) -> Bundle:
    values: dict[str, Any] = {
        "network": linear(weights(seed), (4, 5, 2), 4),
        "codec": UniformCodec(4),
        "patch_shape": (4, 5, 2),
        "classes": CLASSES,
        "onnx_model": b"a model",
        "provenance": {"dataset": "synthetic", "dataset_digest": "12", "training": {"epochs": 3}, "exporter": "ours"},
        "accuracy": {"val": (9, 10)},
    }
    return save_bundle(path, **{**values, **changes})


def edit(path: Path, change: Callable[[Manifest], object]) -> None:
    manifest = json.loads((path / "manifest.json").read_bytes())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def refused(path: Path, named: str) -> None:
    with pytest.raises(BundleError, match=named) as caught:
        load_bundle(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_bundle_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = save(tmp_path / "x.bsw")
    loaded = load_bundle(str(tmp_path / "x.bsw"))
    assert loaded.manifest == saved.manifest
    assert loaded.path == tmp_path / "x.bsw"
    assert loaded.codec.to_dict() == UniformCodec(4).to_dict()
    assert loaded.onnx_path is not None
    assert loaded.onnx_path.read_bytes() == b"a model"
    dense = loaded.network.stages[0]
    assert isinstance(dense, Dense)
    np.testing.assert_array_equal(dense.weights, weights())


@pytest.mark.parametrize(
    ("shape", "layout", "described"),
    [
        ((1, 1, 40), "flat", "int8 vectors of 40 enter as 4-bit integers -8..7"),
        ((1, 20, 2), "sequence", "int8 signals 20 x 2 enter as 4-bit integers -8..7"),
        ((4, 5, 2), "image", "int8 images 4 x 5 x 2 enter as 4-bit integers -8..7"),
    ],
)
def test_a_bundle_may_take_other_things_than_pixels(
    tmp_path: Path, shape: tuple[int, int, int], layout: Any, described: str
) -> None:
    flat = linear(weights(), (40,) if layout == "flat" else shape, 4)
    codec = IntegerCodec(4, lowest=-8, highest=7)
    save(tmp_path / "x.bsw", network=flat, codec=codec, patch_shape=shape, layout=layout)
    loaded = load_bundle(tmp_path / "x.bsw")
    assert (loaded.codec, loaded.manifest.input.layout) == (codec, layout)
    assert how_pixels_enter(loaded) == described


def test_bundles_of_before_there_were_layouts_are_of_images(tmp_path: Path) -> None:
    save(tmp_path / "x.bsw")
    edit(tmp_path / "x.bsw", lambda m: m["input"].pop("layout"))
    edit(tmp_path / "x.bsw", lambda m: m["input"]["model"].pop("layout"))
    assert load_bundle(tmp_path / "x.bsw").manifest.input.layout == "image"


def test_the_manifest_says_what_is_in_the_folder(tmp_path: Path) -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    save(tmp_path / "x.bsw")
    manifest = json.loads((tmp_path / "x.bsw" / "manifest.json").read_bytes())
    assert manifest["schema_version"] == 1
    assert manifest["name"] == "x"
    assert manifest["classes"] == list(CLASSES)
    assert {k: v for k, v in manifest["input"].items() if k != "codec"} == {
        "patch_shape": [4, 5, 2],
        "patch_dtype": "uint8",
        "layout": "image",
        "code_shape": [4, 5, 2],
        "bits": 4,
        "frame_bytes": 20,
        "model": {"datatype": None, "scale": None, "offset": None, "layout": None},
    }
    assert manifest["network"] == {"macs": 120, "weight_bits": 4, "activation_bits": None}
    for name in ("network.safetensors", "model.onnx"):
        content = (tmp_path / "x.bsw" / name).read_bytes()
        assert manifest["files"][name] == {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    assert manifest["accuracy"]["val"]["accuracy"] == 0.9
    assert manifest["accuracy"]["val"]["interval"] == pytest.approx([0.5958, 0.9821], abs=1e-4)
    assert manifest["provenance"]["source"]["training"] == {"epochs": 3}
    assert before <= datetime.fromisoformat(manifest["provenance"]["created"].replace("Z", "+00:00"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.bsw"]


def test_widths_are_the_widest_there_are(tmp_path: Path) -> None:
    stages = (
        Conv("c", (INPUT,), np.where(weights()[:, :2] > 0, 1, -1).reshape(3, 1, 1, 2)),
        Threshold("t", ("c",), np.array([[0, 1, 2]])),
        Dense("d", ("t",), np.ones((3, 60), int)),
    )
    bipolar = Network(TensorSpec((4, 5, 2), 0, 15), (*stages[:2], Dense("d", ("t",), -np.ones((3, 60), int))))
    info = save(tmp_path / "x.bsw", network=bipolar).manifest.network
    assert (info.weight_bits, info.activation_bits) == (1, 2)


def test_the_onnx_model_is_optional_and_may_be_a_file(tmp_path: Path) -> None:
    assert save(tmp_path / "x.bsw", onnx_model=None).onnx_path is None
    (tmp_path / "m.onnx").write_bytes(b"other")
    bundle = save(tmp_path / "y.bsw", onnx_model=tmp_path / "m.onnx")
    assert bundle.onnx_path is not None
    assert bundle.onnx_path.read_bytes() == b"other"
    with pytest.raises(BundleError, match=r"absent\.onnx: cannot be read \(No such file"):
        save(tmp_path / "z.bsw", onnx_model=tmp_path / "absent.onnx")


def test_a_network_that_ends_in_argmax_has_its_inputs_as_classes(tmp_path: Path) -> None:
    dense = Dense("logits", (INPUT,), weights())
    network = Network(TensorSpec((4, 5, 2), 0, 15), (dense, ArgMax("label", ("logits",))))
    assert save(tmp_path / "x.bsw", network=network).classes == CLASSES


@pytest.mark.parametrize("shape", [(4, 10, 1), (1, 1, 40)])
def test_a_flat_network_takes_images_of_one_band_or_one_pixel(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    flat = Network(TensorSpec((40,), 0, 15), (Dense("logits", (INPUT,), weights()),))
    assert save(tmp_path / "x.bsw", network=flat, patch_shape=shape).manifest.input.code_shape == shape
    with pytest.raises(BundleError, match=r"\(4, 5, 2\), the network says \(40,\)"):
        save(tmp_path / "y.bsw", network=flat)


def test_the_path_does_not_depend_on_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "x.bsw")
    monkeypatch.chdir(tmp_path)
    assert load_bundle("x.bsw").path == tmp_path / "x.bsw"


class TestSaving:
    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"codec": UniformCodec(3)}, r"input\.bits.*codes 0\.\.7.*network.*codes 0\.\.15"),
            ({"patch_shape": (4, 5, 3)}, r"input\.code_shape.*\(4, 5, 3\).*network.*\(4, 5, 2\)"),
            ({"patch_shape": (4, 5)}, r"\(height, width, bands\), got \(4, 5\)"),
            ({"classes": ("a", "b")}, "classes: says 2, the network says 3"),
            ({"classes": ("a", "a", "b")}, "distinct"),
            ({"provenance": {"epochs": 1}}, r"epochs: Extra inputs"),
            ({"accuracy": {"val": (11, 10)}}, "'val'.*11 of 10"),
            ({"accuracy": {"val": 0.9}}, "'val'"),
        ],
    )
    def test_parts_that_do_not_fit_leave_nothing(self, tmp_path: Path, changes: Any, named: str) -> None:
        with pytest.raises(BundleError, match=named):
            save(tmp_path / "x.bsw", **changes)
        assert list(tmp_path.iterdir()) == []

    def test_an_older_bundle_is_replaced_whole(self, tmp_path: Path) -> None:
        save(tmp_path / "x.bsw")
        save(tmp_path / "x.bsw", 1, onnx_model=None)
        assert sorted(p.name for p in (tmp_path / "x.bsw").iterdir()) == ["manifest.json", "network.safetensors"]
        assert sorted(p.name for p in tmp_path.iterdir()) == ["x.bsw"]

    def test_builds_of_an_older_bundle_are_never_lost(self, tmp_path: Path) -> None:
        save(tmp_path / "x.bsw")
        (tmp_path / "x.bsw" / "hw" / "Pynq-Z2").mkdir(parents=True)
        with pytest.raises(BundleError, match="holds builds below hw/"):
            save(tmp_path / "x.bsw", 1)
        assert (tmp_path / "x.bsw" / "hw" / "Pynq-Z2").is_dir()

    @pytest.mark.parametrize("extra", [{"manifest.json": '{"name": "my web app"}'}, {"thesis.txt": "years of work"}])
    def test_a_folder_that_only_looks_like_a_bundle_is_never_replaced(
        self, tmp_path: Path, extra: dict[str, str]
    ) -> None:
        save(tmp_path / "x.bsw")
        for name, text in extra.items():
            (tmp_path / "x.bsw" / name).write_text(text)
        with pytest.raises(BundleError, match="exists and is no bundle"):
            save(tmp_path / "x.bsw", 1)
        assert all((tmp_path / "x.bsw" / name).read_text() == text for name, text in extra.items())

    def test_what_is_no_bundle_is_never_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "x.bsw").mkdir()
        (tmp_path / "x.bsw" / "thesis.tex").write_text("years of work")
        (tmp_path / "y.bsw").write_text("a file")
        for name in ("x.bsw", "y.bsw"):
            with pytest.raises(BundleError, match=f"{name}: exists and is no bundle"):
                save(tmp_path / name)
        assert (tmp_path / "x.bsw" / "thesis.tex").read_text() == "years of work"

    def test_a_missing_parent_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match=re.escape(str(tmp_path / "no"))):
            save(tmp_path / "no" / "x.bsw")

    @pytest.mark.parametrize("failing", ["write_synced", "load_bundle", "swap_folders"])
    def test_a_failure_leaves_the_older_bundle(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
    ) -> None:
        save(tmp_path / "x.bsw")
        before = (tmp_path / "x.bsw" / "manifest.json").read_bytes()

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(bundle_module, failing, fail)
        with pytest.raises(BundleError, match=r"x\.bsw: cannot be written \(No space left"):
            save(tmp_path / "x.bsw", 1)
        monkeypatch.undo()
        assert [p.name for p in tmp_path.iterdir()] == ["x.bsw"]
        assert load_bundle(tmp_path / "x.bsw").manifest.files
        assert (tmp_path / "x.bsw" / "manifest.json").read_bytes() == before

    def test_the_older_bundle_returns_if_the_new_one_cannot_take_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(tmp_path / "x.bsw")
        before = (tmp_path / "x.bsw" / "manifest.json").read_bytes()
        rename, calls = Path.rename, []

        def second_fails(self: Path, target: Path) -> Path:
            calls.append(target)
            if len(calls) == 2:
                raise OSError(5, "Input/output error")
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", second_fails)
        with pytest.raises(BundleError, match="Input/output error"):
            save(tmp_path / "x.bsw", 1)
        monkeypatch.undo()
        assert [p.name for p in tmp_path.iterdir()] == ["x.bsw"]
        assert (tmp_path / "x.bsw" / "manifest.json").read_bytes() == before

    def test_through_a_symlink_the_folder_behind_it_is_replaced(self, tmp_path: Path) -> None:
        save(tmp_path / "x.bsw")
        (tmp_path / "link.bsw").symlink_to("x.bsw")
        save(tmp_path / "link.bsw", 1, onnx_model=None)
        assert (tmp_path / "link.bsw").is_symlink()
        assert load_bundle(tmp_path / "x.bsw").onnx_path is None


class TestLoading:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return save(tmp_path / "x.bsw").path

    def test_every_flipped_byte_is_found(self, path: Path) -> None:
        for name in ("network.safetensors", "model.onnx"):
            whole = (path / name).read_bytes()
            for position in range(0, len(whole), max(1, len(whole) // 7)):
                flipped = bytearray(whole)
                flipped[position] ^= 0x10
                (path / name).write_bytes(flipped)
                refused(path, f"{name}: its SHA-256 differs")
            (path / name).write_bytes(whole)
        load_bundle(path)

    @pytest.mark.parametrize("name", ["network.safetensors", "model.onnx", "manifest.json"])
    def test_a_missing_file_is_named(self, path: Path, name: str) -> None:
        (path / name).unlink()
        refused(path, f"{name}: is missing")

    def test_a_truncated_file_is_named(self, path: Path) -> None:
        (path / "model.onnx").write_bytes(b"a mod")
        refused(path, r"model\.onnx: expected 7 bytes, found 5")

    def test_an_unlisted_file_is_named(self, path: Path) -> None:
        (path / "extra").mkdir()
        (path / "extra" / "notes.txt").write_text("?")
        refused(path, r"extra/notes\.txt: is not listed")

    def test_builds_below_hw_and_hidden_files_are_let_be(self, path: Path) -> None:
        (path / "hw" / "Pynq-Z2").mkdir(parents=True)
        (path / "hw" / "Pynq-Z2" / "report.json").write_text("{}")
        (path / ".DS_Store").write_text("")
        load_bundle(path)

    @pytest.mark.parametrize("version", [0, 2, "1", None, True, [1] * 1000])
    def test_an_unknown_schema_version_says_what_is_known(self, path: Path, version: object) -> None:
        edit(path, lambda m: m.update(schema_version=version))
        refused(path, r"schema version .* is unknown, this bitswath reads version 1; update")

    @pytest.mark.parametrize("content", ["", "{", "[]", "1", "\x00", "[" * 100_000, '{"schema_version": 1}'])
    def test_a_manifest_that_is_none_is_refused(self, path: Path, content: str) -> None:
        (path / "manifest.json").write_text(content)
        refused(path, r"manifest\.json: ")

    def test_an_enormous_manifest_is_not_read(self, path: Path) -> None:
        os.truncate(path / "manifest.json", 1 << 40)
        refused(path, rf"at most \d+ bytes, found {1 << 40}")

    @pytest.mark.parametrize(
        "name", ["../secret", "/etc/passwd", "a/../../secret", "a\\b", "c:x", "./model.onnx", "a//b", "", ".", ".."]
    )
    def test_a_path_that_leaves_the_bundle_is_refused(self, path: Path, name: str) -> None:
        (path.parent / "secret").write_bytes(b"a model")
        edit(path, lambda m: m["files"].update({name: m["files"]["model.onnx"]}))
        refused(path, r"manifest\.json: files")

    def test_a_symlink_that_leaves_the_bundle_is_refused(self, path: Path) -> None:
        (path / "model.onnx").rename(path.parent / "model.onnx")
        (path / "model.onnx").symlink_to("../model.onnx")
        refused(path, r"model\.onnx: must not be listed, it lies outside")

    def test_a_symlink_within_the_bundle_is_followed(self, path: Path) -> None:
        (path / "hw").mkdir()
        (path / "model.onnx").rename(path / "hw" / "model.onnx")
        (path / "model.onnx").symlink_to("hw/model.onnx")
        load_bundle(path)

    def test_a_pipe_is_not_opened(self, path: Path) -> None:
        (path / "model.onnx").unlink()
        os.mkfifo(path / "model.onnx")
        refused(path, r"model\.onnx: is missing")

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (lambda m: m.update(more=1), "more: Extra inputs"),
            (lambda m: m.pop("classes"), "classes: Field required"),
            (lambda m: m.update(classes=["a", "b"]), "classes: says 2, the network says 3"),
            (lambda m: m.update(classes=["a", "b", 3]), r"classes\.2"),
            (lambda m: m.update(classes=["a", "b", "a"]), "distinct"),
            (lambda m: m["input"].update(bits=3), "input.bits: says 3, the codec says 4"),
            (lambda m: m["input"].update(bits=4.0), r"input\.bits"),
            (lambda m: m["input"].update(frame_bytes=21), "frame_bytes: says 21, the codec says 20"),
            (lambda m: m["input"].update(patch_dtype="uint16"), "patch_dtype: says uint16, the codec says uint8"),
            (lambda m: m["input"].update(patch_dtype="object"), r"input\.patch_dtype"),
            (lambda m: m["input"].update(layout="flat"), r"patches of shape \(4, 5, 2\) are no flat ones"),
            (lambda m: m["input"].update(layout="sequence"), r"patches of shape \(4, 5, 2\) are no sequence ones"),
            (lambda m: m["input"].update(layout="cube"), r"input\.layout"),
            (lambda m: m["input"].update(code_shape=[4, 5, 1]), "code_shape"),
            (lambda m: m["input"].update(patch_shape=[4, 5, 1]), "code_shape"),
            (lambda m: m["input"].update(patch_shape=[10**9, 10**9, 3]), r"input\.patch_shape\.0"),
            (lambda m: m["input"].update(patch_shape=[10**6, 10**6, 3]), r"input\.patch_shape.*more than"),
            (lambda m: m["input"].update(patch_shape=[0, 5, 2]), r"input\.patch_shape\.0"),
            (lambda m: m["input"].update(codec={"kind": "__import__"}), r"input\.codec"),
            (lambda m: m["input"].update(codec={}), r"input\.codec"),
            (lambda m: m["network"].update(macs=1), "network: says macs=1"),
            (lambda m: m["files"].pop("network.safetensors"), "'network.safetensors' is not listed"),
            (lambda m: m["files"].update({"manifest.json": m["files"]["model.onnx"]}), "must not be listed"),
            (lambda m: m["files"]["model.onnx"].update(sha256="x"), "files.model.onnx.sha256"),
            (lambda m: m["files"]["model.onnx"].update(bytes=1 << 62), rf"expected {1 << 62} bytes, found 7"),
            (lambda m: m["accuracy"]["val"].update(accuracy=0.99), "0.99 is not 9 of 10"),
            (lambda m: m["accuracy"]["val"].update(interval=[0.89, 0.91]), "does not belong to 9 of 10"),
            (lambda m: m["provenance"].update(created="yesterday"), r"provenance\.created"),
        ],
    )
    def test_a_manifest_that_does_not_fit_is_refused_by_name(
        self, path: Path, change: Callable[[Manifest], object], named: str
    ) -> None:
        edit(path, change)
        refused(path, named)

    def test_a_network_that_is_none_is_refused_even_with_its_digest(self, path: Path) -> None:
        content = b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "
        (path / "network.safetensors").write_bytes(content)
        entry = {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
        edit(path, lambda m: m["files"].update({"network.safetensors": entry}))
        refused(path, r"network\.safetensors: .*holds no network")

    def test_what_is_no_folder_is_refused(self, path: Path) -> None:
        refused(path / "model.onnx", "expected a bundle folder, found a file")
        refused(path.parent / "absent.bsw", "expected a bundle folder, found nothing")
        (path.parent / "empty.bsw").mkdir()
        refused(path.parent / "empty.bsw", r"empty\.bsw is no bundle; 'bitswath export' makes one")


class TestUpdatingAccuracy:
    def test_a_split_is_added_or_replaced_and_nothing_else_changes(self, tmp_path: Path) -> None:
        first = save(tmp_path / "x.bsw")
        update_accuracy(first, "test", 95, 100)
        second = update_accuracy(first, "val", 8, 10)
        assert load_bundle(tmp_path / "x.bsw").manifest == second.manifest
        assert {split: (a.correct, a.patches) for split, a in second.manifest.accuracy.items()} == {
            "val": (8, 10),
            "test": (95, 100),
        }
        told, asked = second.manifest.model_dump(), first.manifest.model_dump()
        assert {**told, "accuracy": None} == {**asked, "accuracy": None}
        assert sorted(p.name for p in first.path.iterdir()) == ["manifest.json", "model.onnx", "network.safetensors"]

    def test_a_bundle_replaced_in_the_meantime_is_not_touched(self, tmp_path: Path) -> None:
        first = save(tmp_path / "x.bsw")
        save(tmp_path / "x.bsw", 1)
        with pytest.raises(BundleError, match="was replaced since it was opened"):
            update_accuracy(first, "test", 1, 2)

    def test_an_impossible_count_is_refused(self, tmp_path: Path) -> None:
        bundle = save(tmp_path / "x.bsw")
        with pytest.raises(BundleError, match=r"'test'.*3 of 2"):
            update_accuracy(bundle, "test", 3, 2)
        assert load_bundle(bundle.path).manifest == bundle.manifest

    def test_a_bundle_that_is_gone_is_named(self, tmp_path: Path) -> None:
        bundle = save(tmp_path / "x.bsw")
        shutil.rmtree(bundle.path)
        with pytest.raises(BundleError, match=r"manifest\.json: is missing"):
            update_accuracy(bundle, "test", 1, 2)
