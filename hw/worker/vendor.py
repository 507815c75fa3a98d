"""The steps that need a vendor's tools: FINN's stitched IP, its shell, and the bitstream.

FINN's own builder steps do the work on the very graph whose RTL was simulated, with a queue in every stream as deep
as there. They call Vivado (Zynq) or Vitis (Alveo) and their HLS for the DMA engines of FINN's shell.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from bitswath.basics.schema import Schema, parse_json
from bitswath.builds.design import Design
from bitswath.errors import BuildError
from bitswath.hw.worker.flow import Job, Step, with_code

__all__ = ["VendorJob", "make_bitstream"]


class VendorJob(Schema):
    """`generate`: as for the build; `design`: its design.json, for the queues; `out_of_context`: synthesize, place
    and route the accelerator alone, without a shell."""

    task: Literal["bitstream"] = "bitstream"
    generate: Job
    design: str
    out_of_context: bool = False


def make_bitstream(job: VendorJob, step: Step) -> None:
    """Leave in the job's folder `result/`: the bitstream with its settings, or the out-of-context reports."""
    folder = Path(job.generate.folder)
    design = parse_json(Design, Path(job.design).read_bytes(), BuildError)
    generated = with_code(job.generate, folder, step)
    step("queues")
    model = _with_queues(generated.model, design, generated.board.part)
    config = _config(job, generated.board, folder / "vendor")
    for action in _steps(job.out_of_context):
        step(action.__name__.removeprefix("step_").replace("_", " "))
        model = action(model, config)
    _collect(folder / "vendor", folder / "result", job.out_of_context)


def _steps(out_of_context: bool) -> list[Any]:
    from finn.builder import build_dataflow_steps as steps

    common = [steps.step_hw_ipgen, steps.step_create_stitched_ip]
    if out_of_context:
        return [*common, steps.step_out_of_context_synthesis]
    return [
        *common,
        steps.step_make_driver,
        steps.step_prepare_synthesis,
        steps.step_synthesize_bitfile,
        steps.step_deployment_package,
    ]


def _config(job: VendorJob, board: Any, output: Path) -> Any:
    from finn.builder.build_dataflow_config import DataflowBuildConfig, DataflowOutputType, ShellFlowType

    kinds = DataflowOutputType
    wanted = [kinds.STITCHED_IP]
    wanted += [kinds.OOC_SYNTH] if job.out_of_context else [kinds.BITFILE, kinds.PYNQ_DRIVER, kinds.DEPLOYMENT_PACKAGE]
    return DataflowBuildConfig(
        output_dir=str(output),
        board=board.name,
        synth_clk_period_ns=1e9 / job.generate.clock_hz,
        shell_flow_type=ShellFlowType.VITIS_ALVEO if board.shell == "alveo" else ShellFlowType.VIVADO_ZYNQ,
        generate_outputs=wanted,
    )


def _with_queues(model: Any, design: Design, part: str) -> Any:
    from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.general import GiveUniqueNodeNames

    depths = {stream.name: stream.depth for stream in design.streams}
    for node in model.graph.node:
        op = getCustomOp(node)
        op.set_nodeattr("outFIFODepths", [depths[name] for name in node.output])
        op.set_nodeattr("inFIFODepths", [depths.get(name, 0) for name in node.input])
    _add_further_queues(model, depths)
    model = model.transform(InsertFIFO(create_shallow_fifos=True))
    model = model.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())
    return model.transform(PrepareIP(part, 1e9 / design.clock_hz))


def _add_further_queues(model: Any, depths: dict[str, int]) -> None:
    """Behind outputs that are unlike their node's first, which InsertFIFO takes all to be like."""
    from onnx import helper
    from qonnx.custom_op.registry import getCustomOp

    for node in list(model.graph.node):
        op = getCustomOp(node)
        for index, name in enumerate(node.output):
            shape, kind = op.get_folded_output_shape(index), op.get_output_datatype(index)
            consumer = model.find_consumer(name)
            if consumer is None or (shape, kind) == (op.get_folded_output_shape(0), op.get_output_datatype(0)):
                continue
            normal, queued = op.get_normal_output_shape(index), f"{name}_queued"
            model.set_tensor_shape(queued, normal)
            model.set_tensor_datatype(queued, kind)
            queue = helper.make_node(
                "StreamingFIFO",
                [name],
                [queued],
                domain="finn.custom_op.fpgadataflow",
                backend="fpgadataflow",
                depth=max(depths[name], 2),
                folded_shape=shape,
                normal_shape=normal,
                dataType=kind.name,
                ram_style="auto",
            )
            consumer.input[list(consumer.input).index(name)] = queued
            model.graph.node.insert(list(model.graph.node).index(node) + 1, queue)


def _collect(output: Path, result: Path, out_of_context: bool) -> None:
    source = output / ("report" if out_of_context else "deploy")
    if not source.is_dir():
        raise BuildError(f"{output}: FINN ended without a result")
    shutil.copytree(source, result)
