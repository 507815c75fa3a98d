"""Matrix-vector operators in LUTs, for the types and parts that FINN's RTL ones do not cover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow import matrixvectoractivation, vectorvectoractivation
from numpy.typing import NDArray
from qonnx.core.datatype import BaseDataType

from bitswath.hw.worker.nodes.base import KernelNode, Literal, Parameters, word
from bitswath.hw.worker.nodes.weights import RomWeights

__all__ = ["ConstMVAU", "LutMVAU", "LutVVAU"]

Weights = NDArray[Any]


class _Product(KernelNode):
    """Outputs are dot products, those of two BIPOLAR tensors too (FINN's nodes count equal pairs instead)."""

    memory = ""
    """FINN's mem_mode that the kernel has."""

    @property
    def length(self) -> int:
        """Terms of a dot product."""
        raise NotImplementedError

    def rows(self, weights: Weights) -> Weights:
        """The initializer as (outputs, terms)."""
        raise NotImplementedError

    def check(self) -> None:
        self.require(self.number("noActivation") == 1, "noActivation=1")
        self.require(self.get_nodeattr("mem_mode") == self.memory, f"mem_mode of {self.memory}")
        self.require(self.number("runtime_writeable_weights") == 0, "runtime_writeable_weights=0")
        self.require(self.number("binaryXnorMode") == 0, "BIPOLAR types instead of binaryXnorMode")
        types = [self.get_input_datatype(0), self.get_input_datatype(1)]
        self.require_integers(*(kind for kind in types if not _is_bipolar(kind)), self.get_output_datatype())
        self.require(all(kind.bitwidth() <= 16 for kind in types), "inputs and weights of at most 16 bits")

    def type_parameters(self) -> dict[str, int]:
        parameters = {"M_BITS": self.get_output_datatype().bitwidth()}
        for name, kind in zip("AW", (self.get_input_datatype(0), self.get_input_datatype(1))):
            bipolar = _is_bipolar(kind)
            signed = kind.signed() and not bipolar
            parameters |= {f"{name}_BITS": kind.bitwidth(), f"{name}_SIGNED": signed, f"{name}_BIPOLAR": bipolar}
        return parameters

    def coded(self, model: Any) -> NDArray[np.int64]:
        """Weights (outputs, terms), BIPOLAR ones as bits."""
        weights, kind = model.get_initializer(self.onnx_node.input[1]), self.get_input_datatype(1)
        self.require(weights is not None, "weights as its second input's initializer")
        self.require(all(kind.allowed(value) for value in np.unique(weights)), f"weights that are {kind.name}")
        return self.rows((weights > 0) if _is_bipolar(kind) else weights).astype(np.int64)

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        super().execute_node(context, graph)
        if _is_bipolar(self.get_input_datatype(0)) and _is_bipolar(self.get_input_datatype(1)):
            output = self.onnx_node.output[0]
            context[output] = 2 * context[output] - self.length  # from the count of equal pairs

    def lut_estimation(self, fpgapart: str) -> int:
        a, w = (self.get_input_datatype(i).bitwidth() for i in (0, 1))
        products = self.number("PE") * self.number("SIMD")
        return int(products * (2 * a * w + 2) + self.number("PE") * self.get_output_datatype().bitwidth())

    def dsp_estimation(self, fpgapart: str) -> int:
        return 0


class _Streamed(_Product):
    """Weights come from a memory beside the node's module, joined to its in1_V, as with MVAU_rtl:
    ``<top>_memstream_wrapper.v`` and ``memblock.dat`` in the node's folder."""

    memory = "internal_decoupled"

    def check(self) -> None:
        super().check()
        self.require(self.get_nodeattr("ram_style") != "ultra", "a ram_style that has initial contents, not ultra")

    def connections(self) -> dict[str, list[str]]:
        return {"s_axis": ["in0_V"], "w_axis": ["in1_V"], "m_axis": ["out0_V"]}

    def stream_ports(self) -> dict[str, list[tuple[str, int]]]:
        ports = super().stream_ports()
        return ports | {"s_axis": [*ports["s_axis"], ("in1_V", self.get_instream_width_padded(1))]}

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        super().generate_hdl(model, fpgapart, clk)
        Path(self.get_nodeattr("code_gen_dir_ipgen"), "memblock.dat").write_text(self.memory_block(model))
        self.generate_hdl_memstream(fpgapart)

    def memory_block(self, model: Any) -> str:
        """A line for each beat of weights, PE rows of SIMD terms, the first in the low bits."""
        pe, simd, bits = self.number("PE"), self.number("SIMD"), self.get_input_datatype(1).bitwidth()
        folds = self.coded(model).reshape(-1, pe, self.length // simd, simd).swapaxes(1, 2)
        return "".join(f"{word(beat, bits):x}\n" for beat in folds.reshape(-1, pe * simd))

    def instantiate_ip(self, cmd: list[str]) -> None:
        name = self.onnx_node.name
        cmd += [f"add_files -norecurse {path}" for path in self.get_rtl_file_list(abspath=True)]
        cmd.append(f"create_bd_cell -type hier -reference {self.get_nodeattr('gen_top_module')} /{name}/{name}")


class _Matrix(_Product):
    """Of a matrix (terms, outputs)."""

    @property
    def length(self) -> int:
        return self.number("MW")

    def rows(self, weights: Weights) -> Weights:
        return weights.T


class ConstMVAU(_Matrix, matrixvectoractivation.MVAU):
    """FINN's MVAU without activation, all products in a cycle, weights as constants."""

    kernel = "const_mvu"
    memory = "internal_embedded"

    def check(self) -> None:
        super().check()
        whole = (self.number("PE"), self.number("SIMD")) == (self.number("MH"), self.number("MW"))
        self.require(whole, "PE of MH and SIMD of MW")

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        weights, bits = self.coded(model), int(self.get_input_datatype(1).bitwidth())
        self.weights = Literal(f"{weights.size * bits}'h{word(weights.ravel().tolist(), bits):x}")
        super().generate_hdl(model, fpgapart, clk)

    def parameters(self) -> Parameters:
        return {name: self.number(name) for name in ("MW", "MH")} | self.type_parameters() | {"WEIGHTS": self.weights}


class LutMVAU(RomWeights, _Streamed, _Matrix, matrixvectoractivation.MVAU):
    """FINN's MVAU without activation."""

    kernel = "lut_mvu"
    code_generation_ipi = matrixvectoractivation.MVAU.code_generation_ipi

    def check(self) -> None:
        super().check()
        self.require(self.number("TH") == 1 and self.number("pumpedMemory") == 0, "TH=1, pumpedMemory=0")
        self.calc_wmem()

    def parameters(self) -> Parameters:
        return {name: self.number(name) for name in ("MW", "MH", "PE", "SIMD")} | self.type_parameters()


class LutVVAU(RomWeights, _Streamed, vectorvectoractivation.VVAU):
    """FINN's VVAU (depthwise) without activation; FINN's own RTL one needs a Versal part."""

    kernel = "lut_vvu"
    code_generation_ipi = vectorvectoractivation.VVAU.code_generation_ipi

    @property
    def length(self) -> int:
        height, width = self.numbers("Kernel")
        return int(height * width)

    def rows(self, weights: Weights) -> Weights:
        return weights.reshape(-1, self.length)

    def check(self) -> None:
        super().check()
        channels, pe, simd = (self.number(name) for name in ("Channels", "PE", "SIMD"))
        self.require(pe > 0 and channels % pe == 0, f"PE that divides {channels} channels, not {pe}")
        self.require(simd > 0 and self.length % simd == 0, f"SIMD that divides a window of {self.length}, not {simd}")

    def parameters(self) -> Parameters:
        folding = {name: self.number(name) for name in ("PE", "SIMD")}
        return {"WINDOW": self.length} | folding | self.type_parameters()


def _is_bipolar(kind: BaseDataType) -> bool:
    return bool(kind.name == "BIPOLAR")
