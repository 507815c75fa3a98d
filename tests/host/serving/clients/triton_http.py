"""Run by test_clients.py with tritonclient as it comes: URL MODEL PATCHES.npy FRAMES.npy; prints what it got."""

import json
import sys

import numpy as np
import tritonclient.http as triton

url, model, patches, frames = sys.argv[1:]
client = triton.InferenceServerClient(url, concurrency=4)
told = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready(model, "1"),
    "metadata": client.get_model_metadata(model)["name"],
    "config": client.get_model_config(model)["max_batch_size"],
    "index": client.get_model_repository_index(),
}
for name, path in (("patches", patches), ("frames", frames)):
    array = np.load(path)
    given = triton.InferInput(name, list(array.shape), "UINT8")
    given.set_data_from_numpy(array)
    answer = client.infer(model, [given], request_id="7")
    told[name] = answer.as_numpy("labels").tolist()
    told[f"{name}_names"] = [text.decode() for text in answer.as_numpy("names")]
    told[f"{name}_id"] = answer.get_response()["id"]
    under_way = [client.async_infer(model, [given]) for _ in range(8)]
    told[f"{name}_async"] = [each.get_result().as_numpy("labels").tolist() for each in under_way]
    given.set_data_from_numpy(array, binary_data=False)
    wanted = [triton.InferRequestedOutput("logits", binary_data=False)]
    told[f"{name}_json"] = client.infer(model, [given], outputs=wanted).as_numpy("logits").tolist()
wanted = [triton.InferRequestedOutput("scores", class_count=1)]
told["best"] = [text.decode() for text in client.infer(model, [given], outputs=wanted).as_numpy("scores")[:, 0]]
told["counted"] = client.get_inference_statistics(model)["model_stats"][0]["inference_stats"]["success"]["count"]
try:
    client.infer("nothing", [given])
except triton.InferenceServerException as error:
    told["refused"] = [error.status(), error.message()]
print(json.dumps(told))
