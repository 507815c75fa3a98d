"""The same over gRPC."""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton

url, model, patches, frames = sys.argv[1:]
client = triton.InferenceServerClient(url)
told = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready(model, "1"),
    "metadata": client.get_model_metadata(model, as_json=True)["name"],
    "extensions": list(client.get_server_metadata().extensions),
    "index": client.get_model_repository_index(as_json=True)["models"],
}
for name, path in (("patches", patches), ("frames", frames)):
    array = np.load(path)
    given = triton.InferInput(name, list(array.shape), "UINT8")
    given.set_data_from_numpy(array)
    answer = client.infer(model, [given], request_id="7")
    told[name] = answer.as_numpy("labels").tolist()
    told[f"{name}_names"] = [text.decode() for text in answer.as_numpy("names")]
    told[f"{name}_id"] = answer.get_response().id
    told[f"{name}_logits"] = answer.as_numpy("logits").tolist()
answers: "queue.Queue" = queue.Queue()
client.start_stream(callback=lambda result, error: answers.put((result, error)))
for number in range(5):
    client.async_stream_infer(model, [given], request_id=str(number))
client.async_stream_infer("nothing", [given])
got = [answers.get(timeout=30) for _ in range(6)]
client.stop_stream()
told["streamed"] = [result.get_response().id for result, error in got if error is None]
told["streamed_errors"] = [error.message() for result, error in got if error is not None]
told["counted"] = int(client.get_inference_statistics(model).model_stats[0].inference_stats.success.count)
try:
    client.infer("nothing", [given])
except triton.InferenceServerException as error:
    told["refused"] = [error.status(), error.message()]
print(json.dumps(told))
