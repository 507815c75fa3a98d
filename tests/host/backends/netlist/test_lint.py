"""What Vivado does not synthesize is found where it stands; our kernels have none of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitswath.backends.netlist.lint import lint, second_front_end
from bitswath.errors import BackendError
from bitswath.hw.rtl import KERNELS

pytest.importorskip("pyslang", reason="linting for Vivado needs pyslang")

BAD = """\
module bad(input clk, input a, output logic b);
  real x;
  int q[$];
  import "DPI-C" function int f();
  initial begin
    #5 b = 0;
    fork b = 1; join
    wait(a);
    force b = 1;
    release b;
    forever b = a;
  end
  always @(posedge clk) begin
    if (a === 1'bx) b <= $urandom();
    assert (a !== 1) else $stop;
  end
  // synthesis translate_off
  event e;
  // synthesis translate_on
`ifndef SYNTHESIS
  event f;
`endif
endmodule
"""


def test_every_construct_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.sv").write_text(BAD)
    found = [(finding.line, finding.reason) for finding in lint([tmp_path / "bad.sv"])]
    assert [line for line, _ in found] == [2, 3, 4, 6, 7, 8, 9, 10, 11, 14, 14]
    reasons = " ".join(reason for _, reason in found)
    assert "$urandom is not known to synthesis" in reasons and "=== is read as ==" in reasons


def test_kernels_have_nothing_that_vivado_reads_otherwise() -> None:
    assert [str(finding) for finding in lint(list(KERNELS.values()))] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("logic b; always_ff @(posedge clk) b <= a; always @(negedge clk) b <= !a; assign y = b;", "MULTIDRIVEN"),
        ("logic b; always_comb if (a) b = 1; assign y = b;", "LATCH"),
    ],
)
def test_the_second_front_end_warns(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "top.sv").write_text(f"module top(input clk, input a, output y);\n  {text}\nendmodule\n")
    found = second_front_end([tmp_path / "top.sv"], "top", tmp_path)
    assert found and all(finding.reason.startswith(message) and finding.line == 2 for finding in found)


def test_the_second_front_end_refuses(tmp_path: Path) -> None:
    (tmp_path / "top.sv").write_text("module top(input a, output y);\n  assign y = missing(a);\nendmodule\n")
    with pytest.raises(BackendError, match="missing"):
        second_front_end([tmp_path / "top.sv"], "top", tmp_path)


def test_the_second_front_end_reads_kernels_as_they_are_synthesized(tmp_path: Path) -> None:
    names = ("lut_mvu", "lut_dot", "lut_dot_planes", "plane_sum", "count_ones", "axis_check")
    sources = [*(KERNELS[f"{name}.sv"] for name in names), KERNELS["lut_dot_model.sv"]]
    assert second_front_end(sources, "lut_mvu", tmp_path) == []
