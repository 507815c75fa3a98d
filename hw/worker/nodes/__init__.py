"""FINN operators over the kernels of hw/rtl, so that no operator needs an HLS compiler.

Import after `bitswath.hw.worker.offline.prepare`; `register` makes them known to FINN by the names in `OPERATORS`.
"""

from __future__ import annotations

from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from qonnx.custom_op.registry import add_op_to_domain

from bitswath.hw.worker.nodes.frames import PackStatus, TransformDecode
from bitswath.hw.worker.nodes.lanes import JoinStreams, LineWindows, WindowPool
from bitswath.hw.worker.nodes.links import DensePack, DenseUnpack
from bitswath.hw.worker.nodes.pools import GlobalAccPool, Pool
from bitswath.hw.worker.nodes.products import ConstMVAU, LutMVAU, LutVVAU
from bitswath.hw.worker.nodes.streams import AddStreams, Affine, DuplicateStreams, LabelSelect, StreamingConcat
from bitswath.hw.worker.nodes.tables import Lookup
from bitswath.hw.worker.nodes.takes import TakeRing, TakeRuns
from bitswath.hw.worker.nodes.thresholds import Requantize, Thresholding
from bitswath.hw.worker.nodes.weights import MVAU, VVAU

__all__ = ["DOMAIN", "OPERATORS", "register"]

DOMAIN = "finn.custom_op.fpgadataflow.rtl"
"""FINN tells RTL operators by this name."""

OPERATORS: dict[str, type[HWCustomOp]] = {
    "AddStreams_rtl": AddStreams,
    "Affine_rtl": Affine,
    "ConstMVAU_rtl": ConstMVAU,
    "DensePack_rtl": DensePack,
    "DenseUnpack_rtl": DenseUnpack,
    "DuplicateStreams_rtl": DuplicateStreams,
    "GlobalAccPool_rtl": GlobalAccPool,
    "JoinStreams_rtl": JoinStreams,
    "LabelSelect_rtl": LabelSelect,
    "LineWindows_rtl": LineWindows,
    "Lookup_rtl": Lookup,
    "LutMVAU_rtl": LutMVAU,
    "LutVVAU_rtl": LutVVAU,
    "MVAU_rtl": MVAU,
    "PackStatus_rtl": PackStatus,
    "Pool_rtl": Pool,
    "Requantize_rtl": Requantize,
    "StreamingConcat_rtl": StreamingConcat,
    "TakeRing_rtl": TakeRing,
    "TakeRuns_rtl": TakeRuns,
    "Thresholding_rtl": Thresholding,
    "TransformDecode_rtl": TransformDecode,
    "VVAU_rtl": VVAU,
    "WindowPool_rtl": WindowPool,
}


def register() -> None:
    """Makes every operator known to `getCustomOp`; a name that FINN has too then means the own operator."""
    for name, operator in OPERATORS.items():
        add_op_to_domain(DOMAIN, type(name, (operator,), {}))
