"""The table of boards, against FINN's own tables."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bitswath.errors import BuildError
from bitswath.hw.planning.boards import boards, find_board

FINN_TABLES = """
import json, os, tempfile
os.environ["FINN_BUILD_DIR"] = tempfile.mkdtemp()
from finn.util import basic
from finn.util.platforms import platforms
from finn.util.basic import get_dsp_block
print(json.dumps({
    "parts": basic.part_map,
    "widths": basic.pynq_native_port_width,
    "alveo": list(basic.alveo_part_map),
    "dsp": {part: get_dsp_block(part) for part in basic.part_map.values()},
    "platforms": {name: platform().compute_resources for name, platform in platforms.items()},
}))
"""


@pytest.fixture(scope="module")
def finn() -> dict[str, dict[str, object]]:
    done = subprocess.run([sys.executable, "-c", FINN_TABLES], capture_output=True, text=True, check=True, timeout=120)
    tables: dict[str, dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return tables


def test_every_board_that_finn_knows_is_there_with_its_part(finn: dict[str, dict[str, object]]) -> None:
    assert {board.name: board.part for board in boards()} == finn["parts"]


def test_dsp_blocks_link_widths_and_shells_are_finns(finn: dict[str, dict[str, object]]) -> None:
    for board in boards():
        assert board.dsp_block == finn["dsp"][board.part]
        if board.shell == "zynq":
            assert board.link_width == finn["widths"][board.name]
    assert [board.name for board in boards() if board.shell == "alveo"] == finn["alveo"]


def test_resources_are_finns_up_to_its_rounding(finn: dict[str, dict[str, object]]) -> None:
    for name, regions in finn["platforms"].items():
        board = find_board(name)
        ours = [(r.lut, r.ff, 2 * r.bram36, r.uram, r.dsp) for r in board.regions]
        assert len(ours) == len(regions)
        for found, expected in zip(ours, regions):
            assert found == pytest.approx(expected, rel=0.05), name


def test_a_board_is_the_sum_of_its_regions() -> None:
    board = find_board("U250")
    assert len(board.regions) == 4
    assert board.lut == 4 * board.regions[0].lut
    for one in boards():
        assert one.lutram < one.lut < one.ff


def test_names_are_found_whatever_their_case_and_close_ones_are_suggested() -> None:
    assert find_board("pynq-z2").name == "Pynq-Z2"
    with pytest.raises(BuildError, match=r"unknown board 'ZCU105'; did you mean: ZCU10"):
        find_board("ZCU105")
    with pytest.raises(BuildError, match="'bitswath boards' lists all"):
        find_board("Spartan")


def test_instances_take_equal_shares_and_do_not_lie_across_regions() -> None:
    u250, pynq = find_board("U250"), find_board("Pynq-Z2")
    assert u250.shared(1) is u250
    assert u250.shared(4).lut == u250.shared(3).lut == u250.regions[0].lut
    assert u250.shared(5).lut == u250.shared(8).lut == u250.regions[0].lut // 2
    assert pynq.shared(2).dsp == 110
    u200 = find_board("U200")
    assert u200.shared(2).lut == min(region.lut for region in u200.regions)
