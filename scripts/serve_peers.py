"""Peers of the server on the same network, 8-bit in ONNX Runtime: run in an environment that has them.

python scripts/serve_peers.py mlserver|litserve MODEL.onnx PORT

Both take a patch's codes as uint8, join requests into batches of up to 16, and give the label. MLServer gets them as
binary tensors of the same protocol, LitServe as the body.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import numpy as np

MODEL = "patches"
BATCH, DELAY_S = 16, 0.001


def session(path: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    made = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name, shape = made.get_inputs()[0].name, made.get_inputs()[0].shape[1:]
    return lambda codes: made.run(None, {name: codes.reshape(-1, *shape)})[0].argmax(1)


def mlserver(path: str, port: int) -> None:
    import serve_peers
    from mlserver import MLServer
    from mlserver.settings import ModelParameters, ModelSettings, Settings

    model = ModelSettings(
        name=MODEL,
        implementation=serve_peers.of_mlserver(),
        max_batch_size=BATCH,
        max_batch_time=DELAY_S,
        parameters=ModelParameters(uri=path),
    )
    settings = Settings(
        host="127.0.0.1", http_port=port, grpc_port=port + 1, metrics_port=port + 2, parallel_workers=0, debug=False
    )

    async def run() -> None:
        server = MLServer(settings)
        await server.start([model])

    asyncio.run(run())


def of_mlserver() -> Any:
    from mlserver import MLModel
    from mlserver.codecs import NumpyCodec
    from mlserver.types import InferenceRequest, InferenceResponse

    class Patches(MLModel):
        async def load(self) -> bool:
            self._run = session(self.settings.parameters.uri)
            return True

        async def predict(self, payload: InferenceRequest) -> InferenceResponse:
            codes = NumpyCodec.decode_input(payload.inputs[0])
            labels = self._run(np.ascontiguousarray(codes, np.uint8))
            return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("labels", labels)])

    return Patches


def litserve(path: str, port: int) -> None:
    import litserve as ls

    class Patches(ls.LitAPI):
        def setup(self, device: str) -> None:
            self._run = session(path)

        async def decode_request(self, request: Any) -> Any:
            return np.frombuffer(await request.body(), np.uint8)

        def batch(self, inputs: Any) -> Any:
            return np.stack(inputs)

        def predict(self, codes: Any) -> Any:
            return self._run(codes)

        def unbatch(self, output: Any) -> Any:
            return list(output)

        def encode_response(self, output: Any) -> Any:
            return {"label": int(output)}

    from starlette.requests import Request

    Patches.decode_request.__annotations__["request"] = Request
    server = ls.LitServer(Patches(max_batch_size=BATCH, batch_timeout=DELAY_S), accelerator="cpu")
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    kind, model, number = sys.argv[1:]
    {"mlserver": mlserver, "litserve": litserve}[kind](model, int(number))
