"""MLServer on 8-bit ONNX, a peer of the server: run by bench_serve.py in an environment that has it.

python scripts/serve_mlserver.py MODEL.onnx PORT

Its REST has no binary tensors: it takes a patch's codes in Base64, joins up to 16 requests, and gives labels.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import onnxruntime
from mlserver import MLModel, MLServer
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.settings import ModelParameters, ModelSettings, Settings
from mlserver.types import InferenceRequest, InferenceResponse


class Patches(MLModel):
    async def load(self) -> bool:
        self._session = onnxruntime.InferenceSession(self.settings.parameters.uri, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        given = self._session.get_inputs()[0]
        rows = [np.frombuffer(item, np.uint8) for item in Base64Codec.decode_input(payload.inputs[0])]
        logits = self._session.run(None, {given.name: np.stack(rows).reshape(-1, *given.shape[1:])})[0]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("labels", logits.argmax(1))])


async def run(path: str, port: int) -> None:
    model = ModelSettings(
        name="patches",
        implementation="serve_mlserver.Patches",
        max_batch_size=16,
        max_batch_time=0.001,
        parameters=ModelParameters(uri=path),
    )
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    settings = Settings(host="127.0.0.1", parallel_workers=0, debug=False, **ports)
    await MLServer(settings).start([model])


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
