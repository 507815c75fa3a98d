"""A process of its own for FINN: generates the nodes of a job, and runs their functional models.

``python node_worker.py job.json result.json``; both hold what `tests.hw.nodes` says.
"""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bitswath.hw.generating.rtllib import patched_rtllib
from bitswath.hw.worker.offline import prepare

PART, CLOCK_NS = "xc7z020clg400-1", 10.0


def main(job_file: str, result_file: str) -> None:
    job, folder = json.loads(Path(job_file).read_text()), Path(result_file).parent
    spec = find_spec("finn")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("finn-plus is not installed")
    patched_rtllib(Path(spec.submodule_search_locations[0]) / "finn-rtllib", folder / "finn-rtllib")
    prepare(folder / "finn", folder / "finn-rtllib")
    from bitswath.hw.worker.nodes import register

    register()
    result = {
        "cases": [generated(case, folder) for case in job["cases"]],
        "chains": [chained(c) for c in job["chains"]],
    }
    result["refusals"] = [refusal(case) for case in job["refusals"]]
    Path(result_file).write_text(json.dumps(result))


def model_of(nodes: list[dict[str, Any]]) -> Any:
    from onnx import TensorProto, helper
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.custom_op.registry import getCustomOp

    from bitswath.hw.worker.nodes import DOMAIN

    model = ModelWrapper(helper.make_model(helper.make_graph([], "nodes", [], [])))
    for case in nodes:
        inputs = [*case["inputs"], *([f"{case['name']}_parameters"] if "parameters" in case else [])]
        node = helper.make_node(
            case["op"], inputs, case["outputs"], name=case["name"], domain=DOMAIN, backend="fpgadataflow",
            **case["attributes"],
        )  # fmt: skip
        model.graph.node.append(node)
        if "parameters" in case:
            model.set_initializer(inputs[-1], np.array(case["parameters"]["values"], np.float64))
            model.set_tensor_datatype(inputs[-1], DataType[case["parameters"]["datatype"]])
        op = getCustomOp(node)
        for index, name in enumerate(case["outputs"]):
            info = helper.make_tensor_value_info(name, TensorProto.FLOAT, op.get_normal_output_shape(index))
            model.graph.value_info.append(info)
            model.set_tensor_datatype(name, op.get_output_datatype(index))
    return model


def generated(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A case's sources in `folder`, what FINN sees of the node, and what its model gives for `case["values"]`."""
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from qonnx.custom_op.registry import getCustomOp

    model = model_of([case]).transform(PrepareIP(PART, CLOCK_NS))
    op = getCustomOp(model.graph.node[0])
    top, home = op.get_verilog_top_module_name(), Path(op.get_nodeattr("code_gen_dir_ipgen"))
    sources = [Path(path) for path in op.get_rtl_file_list(abspath=True)]
    found = op.get_all_meminit_filenames(abspath=True) if case["op"] == "Thresholding_rtl" else []
    memories = {Path(path).name: Path(path) for path in found or getattr(op, "get_memory_files", list)()}
    if (wrapper := home / f"{top}_memstream_wrapper.v").exists():
        memories[f"{top}_memblock.dat"] = home / "memblock.dat"
        wrapper.write_text(wrapper.read_text().replace(f"{home}/memblock.dat", f"{top}_memblock.dat"))
        sources += map(Path, op.get_weight_files())
    for path in sources:
        shutil.copy(path, folder / path.name)
    estimates = [op.lut_estimation(PART), op.bram_estimation(PART), op.dsp_estimation(PART)]
    return {
        "ports": op.get_verilog_top_module_intf_names(),
        "sources": [path.name for path in sources],
        "memories": {name: path.read_text() for name, path in memories.items()},
        "cycles": int(op.get_exp_cycles()),
        "estimates": [float(n) for n in estimates],
        "commands": op.code_generation_ipi(),
        "folded": [
            [op.get_folded_input_shape(i) for i in range(len(case["inputs"]))],
            [op.get_folded_output_shape(i) for i in range(len(case["outputs"]))],
        ],
        "outputs": [executed(op, model, case, frame) for frame in range(case["frames"])],
    }


def executed(op: Any, model: Any, case: dict[str, Any], frame: int) -> list[list[int]]:
    """The values of each output for one frame."""
    context = {name: np.zeros(op.get_normal_output_shape(i), np.float32) for i, name in enumerate(case["outputs"])}
    for index, name in enumerate(case["inputs"]):
        exact = op.get_input_datatype(index).bitwidth() > 24
        values = np.array(case["values"][index][frame], object if exact else np.float32)
        context[name] = values.reshape(op.get_normal_input_shape(index))
    if "parameters" in case:
        context[f"{case['name']}_parameters"] = model.get_initializer(f"{case['name']}_parameters")
    op.set_nodeattr("exec_mode", "cppsim")  # as FINN calls its functional models
    op.execute_node(context, model.graph)
    return [[int(value) for value in context[name].flat] for name in case["outputs"]]


def chained(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each stream of a chain of nodes after FINN has put width converters into it, as both its ends see it."""
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.general import GiveUniqueNodeNames

    model = model_of(nodes).transform(InsertDWC()).transform(SpecializeLayers(PART))
    model = model.transform(GiveUniqueNodeNames()).transform(PrepareIP(PART, CLOCK_NS))
    streams = []
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if (consumer := model.find_consumer(name)) is None:
                continue
            source, sink, port = getCustomOp(node), getCustomOp(consumer), list(consumer.input).index(name)
            streams.append({
                "ends": [node.op_type, consumer.op_type],
                "widths": [source.get_outstream_width_padded(index), sink.get_instream_width_padded(port)],
                "shapes": [source.get_folded_output_shape(index), sink.get_folded_input_shape(port)],
                "types": [source.get_output_datatype(index).name, sink.get_input_datatype(port).name],
            })  # fmt: skip
    return streams


def refusal(case: dict[str, Any]) -> str:
    """What generating a node says that cannot be."""
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    from bitswath.errors import BitswathError

    try:
        model_of([case]).transform(PrepareIP(PART, CLOCK_NS))
    except BitswathError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
