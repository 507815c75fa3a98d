"""gRPC with messages of the public specification: typed contents, errors, tokens, deadlines, and who goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host.fake_backend import FakeBackend
from tests.host.serving.served import SHAPE, ask, bundle, frames_of, logits_of, patches, serving
from tests.host.serving.test_faults import on, until
from tests.host.serving.test_limits import TOKEN, waiting

grpc = pytest.importorskip("grpc", reason="needs the extra serve-grpc")
from bitswath.serving.grpc.messages import METHODS, SERVICE, message  # noqa: E402


class Client:
    def __init__(self, place: str) -> None:
        self.channel = grpc.insecure_channel(place)

    def __call__(self, name: str, request: Any = None, metadata: Any = None, timeout: float = 30) -> Any:
        return self.method(name)(request or message(f"{name}Request")(), metadata=metadata, timeout=timeout)

    def method(self, name: str) -> Any:
        return self.channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=message(f"{name}Request").SerializeToString,
            response_deserializer=message(f"{name}Response").FromString,
        )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Client]]:
    with serving(bundle(tmp_path).path, grpc_port=0) as addresses:
        http, place = addresses.split()
        client = Client(place)
        yield http, client
        client.channel.close()


def request(batch: Any, name: str = "patches", **more: Any) -> Any:
    made = message("ModelInferRequest")(model_name="small", **more)
    made.inputs.add(name=name, datatype="UINT8", shape=batch.shape)
    made.raw_input_contents.append(batch.tobytes())
    return made


def logits(answer: Any) -> Any:
    index = [output.name for output in answer.outputs].index("logits")
    return np.frombuffer(answer.raw_output_contents[index], "<f4").reshape(answer.outputs[index].shape)


def code_of(step: Any) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as refused:
        step()
    return refused.value.code(), refused.value.details()


def test_raw_and_typed_contents_give_the_same(served: tuple[str, Client]) -> None:
    _, client = served
    batch = patches(3)
    np.testing.assert_array_equal(logits(client("ModelInfer", request(batch))), logits_of(batch))
    np.testing.assert_array_equal(logits(client("ModelInfer", request(frames_of(batch), "frames"))), logits_of(batch))
    typed = message("ModelInferRequest")(model_name="small", model_version="1", id="42")
    typed.inputs.add(name="patches", datatype="UINT8", shape=batch.shape)
    typed.inputs[0].contents.uint_contents.extend(batch.reshape(-1).tolist())
    typed.outputs.add(name="logits")
    answer = client("ModelInfer", typed)
    assert answer.id == "42" and [output.name for output in answer.outputs] == ["logits"]
    np.testing.assert_array_equal(logits(answer), logits_of(batch))


def test_what_is_wrong_is_told_by_codes_and_one_line(served: tuple[str, Client]) -> None:
    _, client = served
    batch = patches(2)
    wrong = request(batch)
    wrong.model_name = "nothing"
    assert code_of(lambda: client("ModelInfer", wrong)) == (
        grpc.StatusCode.NOT_FOUND,
        "no model 'nothing'; there are small",
    )
    for change in (
        lambda made: made.raw_input_contents.append(b""),
        lambda made: made.inputs[0].shape.append(-1),
        lambda made: made.inputs[0].shape.append(1 << 62),
        lambda made: made.inputs[0].contents.uint_contents.append(1),
        lambda made: setattr(made.inputs[0], "datatype", "UINT9"),
        lambda made: setattr(made.inputs[0], "name", "x"),
        lambda made: made.raw_input_contents.__setitem__(0, b"123"),
        lambda made: made.outputs.add(name="x"),
    ):
        wrong = request(batch)
        change(wrong)
        code, line = code_of(lambda wrong=wrong: client("ModelInfer", wrong))
        assert code == grpc.StatusCode.INVALID_ARGUMENT and line and "\n" not in line
    with pytest.raises(grpc.RpcError):
        client.channel.unary_unary(f"/{SERVICE}/ModelInfer")(b"\xff\xff nonsense", timeout=30)
    np.testing.assert_array_equal(logits(client("ModelInfer", request(batch))), logits_of(batch))


def test_metadata_is_that_of_http(served: tuple[str, Client]) -> None:
    http, client = served
    told = client("ModelMetadata", message("ModelMetadataRequest")(name="small"))
    assert (told.inputs[0].name, list(told.inputs[0].shape)) == ("patches", [-1, *SHAPE])
    assert list(told.versions) == ["1"] and told.platform == ask(http, "/v2/models/small").json["platform"]
    assert client("ModelReady", message("ModelReadyRequest")(name="small")).ready
    assert client("ServerLive").live and client("ServerReady").ready
    assert {"ServerLive", "ModelInfer", "ModelMetadata"} <= set(METHODS)


def test_tokens(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(TOKEN)
    with serving(bundle(tmp_path).path, grpc_port=0, token_file=tmp_path / "tokens") as addresses:
        client = Client(addresses.split()[1])
        assert client("ServerReady").ready
        for metadata in (None, (("authorization", "Bearer x"),)):
            code, _ = code_of(lambda m=metadata: client("ModelInfer", request(patches(1)), m))
            assert code == grpc.StatusCode.UNAUTHENTICATED
        answer = client("ModelInfer", request(patches(1)), (("authorization", f"Bearer {TOKEN}"),))
        np.testing.assert_array_equal(logits(answer), logits_of(patches(1)))
        client.channel.close()


def test_deadlines_and_leaving_free_the_queue(tmp_path: Path) -> None:
    backends: list[FakeBackend] = []

    def make(made: Any) -> FakeBackend:
        backends.append(FakeBackend(made.network, 4))
        backends[-1].hold.clear()
        return backends[-1]

    with serving(bundle(tmp_path).path, devices_of=on(make, timeout_s=30), grpc_port=0) as addresses:
        http, place = addresses.split()
        client = Client(place)
        first = client.method("ModelInfer").future(request(patches(1)))
        until(lambda: backends[0].submitted == 1)
        started = time.monotonic()
        code, _ = code_of(lambda: client("ModelInfer", request(patches(4)), timeout=0.3))
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - started < 10
        until(lambda: waiting(http) == 0)
        gone = client.method("ModelInfer").future(request(patches(5)))
        until(lambda: waiting(http) == 5)
        gone.cancel()
        until(lambda: waiting(http) == 0)
        backends[0].hold.set()
        np.testing.assert_array_equal(logits(first.result(30)), logits_of(patches(1)))
        client.channel.close()


def test_a_stream_answers_each_request_and_goes_on_after_an_error(served: tuple[str, Client]) -> None:
    _, client = served
    stream = client.channel.stream_stream(
        f"/{SERVICE}/ModelStreamInfer",
        request_serializer=message("ModelInferRequest").SerializeToString,
        response_deserializer=message("ModelStreamInferResponse").FromString,
    )
    batches = [patches(n, n) for n in (1, 3, 2)]
    sent = [request(batch, id=str(n)) for n, batch in enumerate(batches)]
    sent.insert(1, message("ModelInferRequest")(model_name="nothing", id="x"))
    answers = list(stream(iter(sent), timeout=30))
    assert answers[1].error_message.startswith("no model 'nothing'") and answers[1].infer_response.id == "x"
    del answers[1]
    for number, (batch, answer) in enumerate(zip(batches, answers)):
        assert answer.infer_response.id == str(number) and not answer.error_message
        np.testing.assert_array_equal(logits(answer.infer_response), logits_of(batch))


def test_many_at_once(served: tuple[str, Client]) -> None:
    _, client = served
    wrong: list[int] = []

    def some(seed: int) -> None:
        for number in range(20):
            batch = patches(1 + number % 5, seed * 100 + number)
            if not np.array_equal(logits(client("ModelInfer", request(batch))), logits_of(batch)):
                wrong.append(seed)

    threads = [threading.Thread(target=some, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
