"""Memories that stream weights: a plain ROM in place of FINN's memstream, whose run-time access costs LUTs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtl import matrixvectoractivation_rtl, vectorvectoractivation_rtl
from finn.util.settings import get_settings

from bitswath.hw.worker.nodes.base import kernel_sources

__all__ = ["MVAU", "VVAU", "RomWeights"]

MEMSTREAM = ("memstream/hdl/memstream.sv", "memstream/hdl/memstream_axi.sv", "axi/hdl/axilite.sv")


class RomWeights(HWCustomOp):
    """Of a node with ``in1_V``: its ``<top>_memstream_wrapper.v`` holds a `rom_stream` instead of FINN's memstream.

    Where weights are written at run time or the memory has a double clock, it is FINN's.
    """

    def plain_weights(self) -> bool:
        """Whether a ROM will do."""
        attributes = self.get_nodeattr_types()
        extras = [name for name in ("runtime_writeable_weights", "pumpedMemory", "mlo_max_iter") if name in attributes]
        return not any(self.get_nodeattr(name) for name in extras)

    def generate_hdl_memstream(self, fpgapart: str, pumped_memory: int = 0, **others: Any) -> None:
        if not self.plain_weights():
            super().generate_hdl_memstream(fpgapart, pumped_memory=pumped_memory, **others)
            return
        folder, top = Path(self.get_nodeattr("code_gen_dir_ipgen")), self.get_verilog_top_module_name()
        text = _WRAPPER.format(
            top=top,
            high=self.get_instream_width_padded(1) - 1,
            width=self.get_instream_width_padded(1),
            depth=self.calc_wmem(),
            style=self.get_nodeattr("ram_style"),
            file=folder / "memblock.dat",
        )
        (folder / f"{top}_memstream_wrapper.v").write_text(text)

    def get_weight_files(self) -> list[str]:
        """Paths of the sources that the weight memory is made of."""
        folder, top = Path(self.get_nodeattr("code_gen_dir_ipgen")), self.get_nodeattr("gen_top_module")
        library = [Path(get_settings().finn_rtllib) / path for path in MEMSTREAM]
        modules = kernel_sources("rom_stream") if self.plain_weights() else library
        return [str(path) for path in [*modules, folder / f"{top}_memstream_wrapper.v"]]

    def instantiate_ip(self, cmd: list[str]) -> None:
        cmd += [f"add_files -norecurse {path}" for path in self.get_weight_files()]
        super().instantiate_ip(cmd)


class MVAU(RomWeights, matrixvectoractivation_rtl.MVAU_rtl):
    """FINN's MVAU_rtl with its weights in a ROM."""


class VVAU(RomWeights, vectorvectoractivation_rtl.VVAU_rtl):
    """FINN's VVAU_rtl (Versal parts only) with its weights in a ROM."""


_WRAPPER = """\
// Weights, over and over, in place of FINN's memstream.
module {top}_memstream_wrapper (
  (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF m_axis_0, ASSOCIATED_RESET ap_rst_n" *)
  (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)
  input ap_clk,
  (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk2x CLK" *)
  input ap_clk2x,
  (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
  input ap_rst_n,
  output [{high}:0] m_axis_0_tdata,
  output m_axis_0_tvalid,
  input m_axis_0_tready
);

  rom_stream #(
    .WIDTH({width}),
    .DEPTH({depth}),
    .RAM_STYLE("{style}"),
    .INIT_FILE("{file}")
  ) rom (
    .clk(ap_clk),
    .rst_n(ap_rst_n),
    .m_axis_tdata(m_axis_0_tdata),
    .m_axis_tvalid(m_axis_0_tvalid),
    .m_axis_tready(m_axis_0_tready)
  );

endmodule
"""
