"""A process of its own for FINN: what it would put into its templates of window generators.

``python window_worker.py cases.json result.json``; cases: attributes of the operator by name; result: of each its
template, below finn-rtllib, and a text for each of the template's keys.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import finn

from bitswath.hw.worker.offline import prepare

RTLLIB = Path(finn.__path__[0]) / "finn-rtllib"


def main(cases_file: str, result_file: str) -> None:
    prepare(Path(result_file).parent / "finn", RTLLIB)
    cases = json.loads(Path(cases_file).read_text())
    Path(result_file).write_text(json.dumps({name: filled(attributes) for name, attributes in cases.items()}))


def filled(attributes: dict[str, Any]) -> tuple[str, dict[str, str]]:
    from onnx import helper
    from qonnx.custom_op.registry import getCustomOp

    domain = "finn.custom_op.fpgadataflow.rtl"
    node = helper.make_node("ConvolutionInputGenerator_rtl", ["x"], ["y"], domain=domain, **attributes)
    op = getCustomOp(node)
    parallel = op.select_impl_style() == "parallel"
    template, keys = op.prepare_codegen_parallel() if parallel else op.prepare_codegen_default()
    keys["$RAM_STYLE$"] = [f'"{attributes["ram_style"]}"']
    return str(Path(template).relative_to(RTLLIB)), {key: "\n".join(lines) for key, lines in keys.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
