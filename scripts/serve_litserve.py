"""LitServe on 8-bit ONNX, a peer of the server: run by bench_serve.py in an environment that has it.

python scripts/serve_litserve.py MODEL.onnx PORT

It takes a patch's codes in Base64 in JSON, joins up to 16 requests, and gives a label.
"""

import base64
import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Patches(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self._session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])

    def decode_request(self, request: dict[str, str]) -> Any:
        codes = np.frombuffer(base64.b64decode(request["codes"]), np.uint8)
        return codes.reshape(self._session.get_inputs()[0].shape[1:])

    def batch(self, inputs: Any) -> Any:
        return np.stack(inputs)

    def predict(self, codes: Any) -> Any:
        return self._session.run(None, {self._session.get_inputs()[0].name: codes})[0].argmax(1)

    def unbatch(self, output: Any) -> Any:
        return list(output)

    def encode_response(self, output: Any) -> Any:
        return {"label": int(output)}


if __name__ == "__main__":
    server = litserve.LitServer(Patches(max_batch_size=16, batch_timeout=0.001), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
