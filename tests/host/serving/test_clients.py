"""The clients that people have, unmodified, each as a program of its own: they get what `classify` gives."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.accelerator import open as open_accelerator
from bitswath.bundle.bundle import load_bundle
from tests.host.serving.served import serving
from tests.paths import ROOT

CLIENTS = ROOT / ".venv-clients" / "bin" / "python"
MODEL = "eurosat-c2d-w4a4"
HERE = Path(__file__).parent / "clients"
needs_clients = pytest.mark.skipif(not CLIENTS.exists(), reason="needs .venv-clients, which ./scripts/test makes")


@pytest.fixture(scope="module")
def addresses() -> Iterator[list[str]]:
    """Of HTTP and of gRPC."""
    with serving(f"zoo:{MODEL}", grpc_port=0) as addresses:
        yield addresses.split()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Patches and frames as files, and what `classify` says of them."""
    made = load_bundle(f"zoo:{MODEL}")
    batch = made.codec.samples(np.random.default_rng(22), 9, made.manifest.input.patch_shape)
    folder = tmp_path_factory.mktemp("given")
    np.save(folder / "patches.npy", batch)
    np.save(folder / "frames.npy", made.codec.encode_packed(batch))
    with open_accelerator(made, "emulator") as accelerator:
        expected = accelerator.classify(batch)
    assert expected.logits is not None
    files = [str(folder / "patches.npy"), str(folder / "frames.npy")]
    return {"files": files, "labels": expected.labels.tolist(), "names": expected.names, "logits": expected.logits}


def client(script: str, *arguments: str) -> Any:
    done = subprocess.run([CLIENTS, HERE / script, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_clients
def test_tritonclient_over_http(addresses: list[str], given: dict[str, Any]) -> None:
    told = client("triton_http.py", addresses[0].removeprefix("http://"), MODEL, *given["files"])
    assert told["live"] and told["ready"] and told["model_ready"]
    assert told["metadata"] == MODEL and told["config"] == 4096
    assert told["index"] == [{"name": MODEL, "version": "1", "state": "READY", "reason": ""}]
    for name in ("patches", "frames"):
        assert told[name] == given["labels"]
        assert told[f"{name}_names"] == given["names"]
        assert told[f"{name}_id"] == "7"
        assert told[f"{name}_async"] == [given["labels"]] * 8
        np.testing.assert_array_equal(np.array(told[f"{name}_json"], np.float32), given["logits"])
    assert [text.split(":")[2] for text in told["best"]] == given["names"]
    assert told["counted"] >= 20
    assert told["refused"] == ["404", f"no model 'nothing'; there are {MODEL}"]


@needs_clients
def test_tritonclient_over_grpc(addresses: list[str], given: dict[str, Any]) -> None:
    told = client("triton_grpc.py", addresses[1], MODEL, *given["files"])
    assert told["live"] and told["ready"] and told["model_ready"]
    assert told["metadata"] == MODEL and "statistics" in told["extensions"]
    assert told["index"] == [{"name": MODEL, "version": "1", "state": "READY"}]
    for name in ("patches", "frames"):
        assert told[name] == given["labels"]
        assert told[f"{name}_names"] == given["names"]
        assert told[f"{name}_id"] == "7"
        np.testing.assert_array_equal(np.array(told[f"{name}_logits"], np.float32), given["logits"])
    assert told["streamed"] == [str(number) for number in range(5)]
    assert told["streamed_errors"] == [f"no model 'nothing'; there are {MODEL}"]
    assert told["counted"] >= 7
    assert told["refused"] == ["StatusCode.NOT_FOUND", f"no model 'nothing'; there are {MODEL}"]


@needs_clients
def test_the_client_of_the_documentation(addresses: list[str]) -> None:
    page = (ROOT / "docs" / "serve.md").read_text()
    program = page.split("```python\n")[1].split("```")[0]
    assert len(program.splitlines()) <= 10
    here = program.replace("localhost:8000", addresses[0].removeprefix("http://"))
    done = subprocess.run([CLIENTS, "-c", here], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with open_accelerator(f"zoo:{MODEL}", "emulator") as accelerator:
        name = accelerator.classify(np.zeros((1, 64, 64, 3), np.uint8)).names[0]
    assert f"b'{name}' b'{name}'" in done.stdout


@needs_clients
def test_the_protocols_own_client(addresses: list[str], given: dict[str, Any]) -> None:
    told = client("oip.py", addresses[0], MODEL, given["files"][0])
    assert told == {
        "server": "bitswath",
        "model": MODEL,
        "nested": given["labels"],
        "nested_id": "7",
        "flat": given["labels"],
        "flat_id": "7",
    }


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_with_json(addresses: list[str], given: dict[str, Any]) -> None:
    batch = np.load(given["files"][0])
    entry = {"name": "patches", "shape": list(batch.shape), "datatype": "UINT8", "data": batch.reshape(-1).tolist()}
    body = json.dumps({"inputs": [entry], "outputs": [{"name": "labels"}]})
    command = ["curl", "--silent", "--fail", "--data-binary", "@-", f"{addresses[0]}/v2/models/{MODEL}/infer"]
    done = subprocess.run(command, input=body, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"][0]["data"] == given["labels"]
