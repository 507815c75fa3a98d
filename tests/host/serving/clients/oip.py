"""Run by test_clients.py with the protocol's own client: URL MODEL PATCHES.npy; prints what it got as JSON."""

import json
import sys

import numpy as np
from open_inference.openapi.client import OpenInferenceClient
from open_inference.openapi.types import InferenceRequest, RequestInput, TensorData

url, model, patches = sys.argv[1:]
client = OpenInferenceClient(base_url=url)
client.check_server_liveness()
client.check_server_readiness()
client.check_model_readiness(model)
client.check_model_version_readiness(model, "1")
array = np.load(patches)
told = {"server": client.read_server_metadata().name, "model": client.read_model_metadata(model).name}
for name, data in (("nested", array.tolist()), ("flat", array.reshape(-1).tolist())):
    given = RequestInput(name="patches", shape=list(array.shape), datatype="UINT8", data=TensorData.parse_obj(data))
    answer = client.model_infer(model, request=InferenceRequest(id="7", inputs=[given]))
    told[name] = [int(label) for label in answer.outputs[0].data.__root__]
    told[f"{name}_id"] = answer.id
print(json.dumps(told))
