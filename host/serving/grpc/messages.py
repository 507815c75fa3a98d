"""The messages of the Open Inference Protocol's gRPC service, described here field by field.

Numbers and types are those of the public specification (open_inference_grpc.proto of KServe's Open Inference Protocol),
and of Triton's for streams, statistics and the repository. Described at run time they fit every version of protobuf,
where generated code asks for its own; in a pool of their own they meet no other library's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

__all__ = ["METHODS", "SERVICE", "message"]

_PACKAGE = "inference"
SERVICE = f"{_PACKAGE}.GRPCInferenceService"
METHODS = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "ModelStatistics",
    "RepositoryIndex",
)
"""Those of one request and one answer, ``NAMERequest`` and ``NAMEResponse``; beside them there is ModelStreamInfer."""

_Fields = Mapping[str, tuple[str, int]]
_NAMED: _Fields = {"name": ("string", 1), "version": ("string", 2)}
_TENSOR: _Fields = {"name": ("string", 1), "datatype": ("string", 2), "shape": ("repeated int64", 3)}
_PARAMETERS = "map InferParameter"
_DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")

_MESSAGES: Mapping[str, _Fields] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": ("bool", 1)},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": ("bool", 1)},
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": {"ready": ("bool", 1)},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {**_NAMED, "extensions": ("repeated string", 3)},
    "ModelMetadataRequest": _NAMED,
    "ModelMetadataResponse": {
        "name": ("string", 1),
        "versions": ("repeated string", 2),
        "platform": ("string", 3),
        "inputs": ("repeated ModelMetadataResponse.TensorMetadata", 4),
        "outputs": ("repeated ModelMetadataResponse.TensorMetadata", 5),
    },
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "ModelInferRequest": {
        "model_name": ("string", 1),
        "model_version": ("string", 2),
        "id": ("string", 3),
        "parameters": (_PARAMETERS, 4),
        "inputs": ("repeated ModelInferRequest.InferInputTensor", 5),
        "outputs": ("repeated ModelInferRequest.InferRequestedOutputTensor", 6),
        "raw_input_contents": ("repeated bytes", 7),
    },
    "ModelInferRequest.InferInputTensor": {
        **_TENSOR,
        "parameters": (_PARAMETERS, 4),
        "contents": ("InferTensorContents", 5),
    },
    "ModelInferRequest.InferRequestedOutputTensor": {"name": ("string", 1), "parameters": (_PARAMETERS, 2)},
    "ModelInferResponse": {
        "model_name": ("string", 1),
        "model_version": ("string", 2),
        "id": ("string", 3),
        "parameters": (_PARAMETERS, 4),
        "outputs": ("repeated ModelInferResponse.InferOutputTensor", 5),
        "raw_output_contents": ("repeated bytes", 6),
    },
    "ModelInferResponse.InferOutputTensor": {
        **_TENSOR,
        "parameters": (_PARAMETERS, 4),
        "contents": ("InferTensorContents", 5),
    },
    "ModelStreamInferResponse": {"error_message": ("string", 1), "infer_response": ("ModelInferResponse", 2)},
    "InferParameter": {
        "bool_param": ("oneof bool", 1),
        "int64_param": ("oneof int64", 2),
        "string_param": ("oneof string", 3),
        "double_param": ("oneof double", 4),
        "uint64_param": ("oneof uint64", 5),
    },
    "InferTensorContents": {
        "bool_contents": ("repeated bool", 1),
        "int_contents": ("repeated int32", 2),
        "int64_contents": ("repeated int64", 3),
        "uint_contents": ("repeated uint32", 4),
        "uint64_contents": ("repeated uint64", 5),
        "fp32_contents": ("repeated float", 6),
        "fp64_contents": ("repeated double", 7),
        "bytes_contents": ("repeated bytes", 8),
    },
    "ModelStatisticsRequest": _NAMED,
    "ModelStatisticsResponse": {"model_stats": ("repeated ModelStatistics", 1)},
    "ModelStatistics": {
        **_NAMED,
        "last_inference": ("uint64", 3),
        "inference_count": ("uint64", 4),
        "execution_count": ("uint64", 5),
        "inference_stats": ("InferStatistics", 6),
        "batch_stats": ("repeated InferBatchStatistics", 7),
    },
    "StatisticDuration": {"count": ("uint64", 1), "ns": ("uint64", 2)},
    "InferStatistics": {name: ("StatisticDuration", number) for number, name in enumerate(_DURATIONS, 1)},
    "InferBatchStatistics": {
        "batch_size": ("uint64", 1),
        "compute_input": ("StatisticDuration", 2),
        "compute_infer": ("StatisticDuration", 3),
        "compute_output": ("StatisticDuration", 4),
    },
    "RepositoryIndexRequest": {"repository_name": ("string", 1), "ready": ("bool", 2)},
    "RepositoryIndexResponse": {"models": ("repeated RepositoryIndexResponse.ModelIndex", 1)},
    "RepositoryIndexResponse.ModelIndex": {**_NAMED, "state": ("string", 3), "reason": ("string", 4)},
}


def message(name: str) -> Any:
    """The class of a message."""
    return _CLASSES[name]


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="bitswath/open_inference.proto", package=_PACKAGE, syntax="proto3")
    made: dict[str, DescriptorProto] = {}
    for name, fields in _MESSAGES.items():
        outer, _, inner = name.rpartition(".")
        one = made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=name)
        made[name] = one
        for field, (kind, number) in fields.items():
            _add_field(one, name, field, kind, number)
    return file


def _add_field(to: DescriptorProto, owner: str, name: str, kind: str, number: int) -> None:
    label, _, of = kind.rpartition(" ")
    field = to.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if label in ("repeated", "map"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if label == "oneof":
        field.oneof_index = 0
        if not to.oneof_decl:
            to.oneof_decl.add(name="parameter_choice")
    if label == "map":
        entry = to.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "", "key", "string", 1)
        _add_field(entry, "", "value", of, 2)
        of = f"{owner}.{entry.name}"
    if of in _MESSAGES or label == "map":
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{of}"
    else:
        field.type = getattr(FieldDescriptorProto, f"TYPE_{of.upper()}")


_POOL = DescriptorPool()
_POOL.Add(_file())
_CLASSES = {name: GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}
