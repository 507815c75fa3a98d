"""The scripts for Vivado and Vitis, run by a real Tcl interpreter against a strict stand-in, which refuses faults."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

tkinter = pytest.importorskip("tkinter", reason="the stand-in for Vivado runs scripts in tkinter's Tcl")

from bitswath.backends.board.handoff import read_blocks  # noqa: E402
from bitswath.builds.design import Design  # noqa: E402
from bitswath.builds.folder import read_design  # noqa: E402
from bitswath.errors import BuildError  # noqa: E402
from bitswath.hw.generating.compile import save_design  # noqa: E402
from bitswath.hw.generating.instances import core_of  # noqa: E402
from bitswath.hw.planning.boards import Board, find_board  # noqa: E402
from bitswath.hw.vendor import project  # noqa: E402
from bitswath.hw.vendor.project import LINK, SETTINGS, script, write_project  # noqa: E402
from tests.designs import residual  # noqa: E402
from tests.vivado import vpp  # noqa: E402
from tests.vivado.catalog import VERSIONS, Refused  # noqa: E402
from tests.vivado.vivado import Setup, run_script  # noqa: E402

ZYNQ = ("Pynq-Z2", "AUP-ZU3_8GB", "KV260_SOM", "ZCU104")
CARDS = {"U250": "xilinx_u250_gen3x16_xdma_4_1_202210_1", "U55C": "xilinx_u55c_gen3x16_xdma_3_202210_1"}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Design, Path]]:
    """The residual design by the width of its link's words."""
    folder = tmp_path_factory.mktemp("builds")
    return {word: (residual(folder / str(word), word=word), folder / str(word)) for word in (64, 128, 512)}


@pytest.fixture
def write(
    builds: dict[int, tuple[Design, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Path]]:
    """Writes a project for a board and makes its folder the current one."""

    def write(board: Board, activity: Path | None = None) -> Path:
        design, build = builds[board.link_width]
        write_project(design, build, board, tmp_path / "run", jobs=2, activity=activity)
        monkeypatch.chdir(tmp_path / "run")
        return tmp_path / "run"

    yield write


def facts(folder: Path) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in (folder / "result" / "facts.txt").read_text().splitlines())


@pytest.mark.parametrize("name", ZYNQ)
def test_a_board_gets_what_its_driver_looks_for(write: Callable[..., Path], name: str) -> None:
    board = find_board(name)
    folder = write(board)
    for step in ("package", "system"):
        session = run_script(script(step), Setup())
    assert {"system.bit", "system.hwh", "facts.txt", "reports"} <= {path.name for path in (folder / "result").iterdir()}
    blocks = read_blocks(folder / "result" / "system.hwh")
    base = 0x43C0_0000 if name == "Pynq-Z2" else 0xA000_0000
    for place, engine in enumerate(("idma0", "odma0")):
        found = blocks.engines[engine]
        assert found.address == base + 0x10000 * place
        assert (found.port_bits, found.stream_bytes) == (board.link_width, board.link_width // 8)
    assert facts(folder)["board_preset"] == "1"
    assert float(facts(folder)["clock_hz"]) == pytest.approx(100e6, rel=1e-3)
    assert session.params["board.repoPaths"] == ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["Pynq-Z2", "AUP-ZU3_8GB"])
def test_every_version_between_2022_2_and_2025_2(write: Callable[..., Path], name: str, version: str) -> None:
    """IPs change their versions; board files may be missing, interfaces may not be found by themselves."""
    folder = write(find_board(name))
    setup = Setup(version=version, boards=(), infers=version < "2024.1")
    for step in ("package", "system"):
        run_script(script(step), setup)
    assert (facts(folder)["vivado"], facts(folder)["board_preset"]) == (version, "0")


def test_several_instances_are_one_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that joins them, which is elaborated."""
    design = residual(tmp_path / "build").model_copy(update={"instances": 3})
    design = save_design(design, tmp_path / "build")
    write_project(design, tmp_path / "build", find_board("Pynq-Z2"), tmp_path / "run", jobs=1, activity=None)
    monkeypatch.chdir(tmp_path / "run")
    for step in ("package", "system"):
        run_script(script(step), Setup())
    sources = (tmp_path / "run" / SETTINGS).read_text()
    assert f"{core_of(design)}.sv" in sources


@pytest.mark.parametrize("name", CARDS)
def test_a_card_gets_kernels_and_a_link_file(write: Callable[..., Path], name: str) -> None:
    folder = write(find_board(name))
    run_script(script("package"), Setup(version="2022.2"))
    packages = sorted((folder / "ip").glob("*.xo"))
    assert [path.stem for path in packages] == ["dataflow", "idma", "odma"]
    vpp.link((folder / LINK).read_text(), packages, CARDS[name])


def test_xrt_starts_a_kernel_with_a_buffer_and_a_number(write: Callable[..., Path]) -> None:
    """As the driver calls it: kernel(buffer, steps), at the registers of dma_control.sv."""
    import zipfile

    folder = write(find_board("U250"))
    run_script(script("package"), Setup())
    for name in ("idma", "odma"):
        with zipfile.ZipFile(folder / "ip" / f"{name}.xo") as package:
            found = re.findall(
                r'name="(\w+)" addressQualifier="(\d)" id="(\d)".*?size="(\w+)" offset="(\w+)"',
                package.read("kernel.xml").decode(),
            )
        assert found[0][0] == "buffer" and found == [
            ("buffer", "1", "0", "0x8", "0x10"),
            ("repetitions", "0", "1", "0x4", "0x1c"),
        ]


@pytest.mark.parametrize("name", ["Pynq-Z2", "U250"])
def test_the_accelerator_alone(write: Callable[..., Path], name: str) -> None:
    folder = write(find_board(name))
    run_script(script("out_of_context"), Setup())
    assert sorted(path.name for path in (folder / "result" / "reports").iterdir()) == [
        "power.rpt",
        "timing.rpt",
        "utilization.rpt",
        "utilization_hierarchical.rpt",
    ]


FAULTS: dict[str, tuple[str, str, str, str]] = {
    "clock": ("system.tcl", "lappend clocked $kernel/ap_clk", "", r"clock pin \w+0/ap_clk is not connected"),
    "reset": ("system.tcl", "memory_axi/aresetn intc", "intc", r"reset pin memory_axi/aresetn is not connected"),
    "interrupt": (
        "system.tcl",
        "connect_bd_net [get_bd_pins intc/irq] [get_bd_pins $pins(interrupt)]",
        "",
        "ps/IRQ_F2P",
    ),
    "stream": (
        "system.tcl",
        "connect_bd_intf_net [intf dataflow0/m_axis] [intf odma0/s_axis]",
        "",
        r"interface dataflow0/m_axis is not connected",
    ),
    "stream turned": (
        "system.tcl",
        "[intf idma0/m_axis] [intf dataflow0/s_axis]",
        "[intf idma0/m_axis] [intf dataflow0/m_axis]",
        "cannot be joined",
    ),
    "no such pin": ("system.tcl", "resets/slowest_sync_clk", "resets/slow_clk", "no pin slow_clk at resets"),
    "unknown parameter": (
        "system.tcl",
        "CONFIG.PCW_USE_S_AXI_HP0 1",
        "CONFIG.PCW_USE_HP0 1",
        "has no parameter PCW_USE_HP0",
    ),
    "value out of range": (
        "system.tcl",
        "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH $port_bits",
        "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 128",
        "'128' is no value",
    ),
    "port left off": (
        "system.tcl",
        "CONFIG.PCW_USE_S_AXI_HP0 1 ",
        "",
        "no (interface S_AXI_HP0|pin S_AXI_HP0_ACLK) at ps",
    ),
    "too few ports": (
        "system.tcl",
        "CONFIG.NUM_MI 3",
        "CONFIG.NUM_MI 2",
        "no interface M02_AXI at control_axi",
    ),
    "overlap": ("settings.tcl", "0x43c10000", "0x43c00000", r"odma0/s_axi_control/reg0 at 0x43c00000 overlaps idma0"),
    "misaligned": ("settings.tcl", "0x43c10000", "0x43c08000", "is not aligned"),
    "out of the window": ("settings.tcl", "0x43c10000", "0xa0000000", "lies outside of ps/Data"),
    "no address": ("system.tcl", "assign_bd_address  ;", ";", r"ps/S_AXI_HP0/HP0_DDR_LOWOCM has no address in idma0"),
    "clock alone": (
        "package.tcl",
        "ipx::associate_bus_interfaces -busif $stream -clock ap_clk $core",
        "",
        "m_axis is not associated with a clock",
    ),
    "reset alone": (
        "package.tcl",
        "ipx::associate_bus_interfaces -clock ap_clk -reset ap_rst_n $core",
        "",
        "clock ap_clk has no reset",
    ),
    "port alone": (
        "package.tcl",
        "    parameter [interface interrupt xilinx.com:signal:interrupt_rtl:1.0 $core] SENSITIVITY LEVEL_HIGH",
        "",
        "not part of an interface are not supported: interrupt",
    ),
    "registers overlap": (
        "package.tcl",
        "repetitions 0x1C 32",
        "repetitions 0x14 32",
        "registers repetitions and buffer overlap",
    ),
    "no map": ("package.tcl", "add_registers $core", "", "s_axi_control has no memory map"),
    "a source is missing": ("settings.tcl", re.escape("dma_align.sv"), "", "no file|dma_align"),
    "unknown command": (
        "system.tcl",
        "validate_bd_design",
        "validate_design",
        'invalid command name "validate_design"',
    ),
    "not validated": ("system.tcl", "validate_bd_design\n", "", "was not validated"),
    "unknown option": (
        "system.tcl",
        "-target_address_space $space -offset",
        "-space $space -offset",
        "unknown option -space",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_stand_in_refuses(write: Callable[..., Path], tmp_path: Path, fault: str) -> None:
    """A fault put into a script or its settings is found."""
    folder = write(find_board("Pynq-Z2"))
    name, before, after, told = FAULTS[fault]
    scripts = shutil.copytree(script("common").parent, tmp_path / "tcl")
    path = folder / name if name == SETTINGS else scripts / name
    text = path.read_text()
    assert re.search(before, text) if name == SETTINGS else before in text
    changed = re.sub(before, after, text) if name == SETTINGS else text.replace(before, after)
    path.write_text(changed)
    with pytest.raises((Refused, tkinter.TclError), match=told):
        for step in ("package", "system"):
            run_script(scripts / f"{step}.tcl", Setup())


LINKS = {
    "no stream": ("stream_connect=idma0.m_axis:dataflow0.s_axis\n", "", r"stream \w+0\.\w_axis is not connected"),
    "no memory": ("sp=odma0.m_axi_gmem:DDR[0]\n", "", "odma0.m_axi_gmem has no memory"),
    "memory of another card": ("DDR[0]", "HBM[0]", "u250 has no memory HBM"),
    "turned": ("idma0.m_axis:dataflow0.s_axis", "dataflow0.s_axis:idma0.m_axis", "dataflow0.s_axis is an axis slave"),
    "unknown unit": ("nk=odma:1:odma0", "nk=odma:1:odma", "got 'odma0'"),
    "unknown key": ("[connectivity]", "[connectivity]\nslot=1", "unknown key slot"),
}


@pytest.mark.parametrize("fault", LINKS)
def test_the_stand_in_refuses_to_link(write: Callable[..., Path], fault: str) -> None:
    folder = write(find_board("U250"))
    run_script(script("package"), Setup())
    before, after, told = LINKS[fault]
    text = (folder / LINK).read_text()
    assert before in text
    with pytest.raises(Refused, match=told):
        vpp.link(text.replace(before, after), sorted((folder / "ip").glob("*.xo")), CARDS["U250"])


def test_a_width_that_does_not_fit_is_refused(
    write: Callable[..., Path], builds: dict[int, tuple[Design, Path]]
) -> None:
    """An engine of another build's width in front of the accelerator."""
    folder = write(find_board("Pynq-Z2"))
    other = (builds[128][1] / "rtl" / "shell" / "idma.v").read_text()
    (folder / "sources" / "idma.v").write_text(other)
    run_script(script("package"), Setup())
    with pytest.raises(Refused, match="idma0/m_axis has 128 bits, dataflow0/s_axis 64"):
        run_script(script("system"), Setup())


def test_memories_are_named_by_their_whole_path() -> None:
    text = 'initial $readmemh("a_table.dat", words); lookup #(.PREFIX("fc_")); $display("other.dat", "c_");'
    named: set[str] = set()
    found = project._with_paths(text, {"a_table.dat", "fc_0.hex", "fc_1.hex", "d_0.hex"}, Path("/some where"), named)
    assert found == (
        'initial $readmemh("/some where/a_table.dat", words); lookup #(.PREFIX("/some where/fc_"));'
        ' $display("other.dat", "c_");'
    )
    assert named == {"a_table.dat", "fc_0.hex", "fc_1.hex"}


def test_a_memory_that_no_source_names_is_told(tmp_path: Path) -> None:
    residual(tmp_path / "build")
    (tmp_path / "build" / "rtl" / "lost.dat").write_text("0\n")
    design = save_design(read_design(tmp_path / "build"), tmp_path / "build")
    with pytest.raises(BuildError, match=r"no source names the memory file lost.dat"):
        write_project(design, tmp_path / "build", find_board("Pynq-Z2"), tmp_path / "run", jobs=1, activity=None)


@pytest.mark.parametrize("value", ["a b", "$x", "[exit]", 'say "x"', "back\\slash", "{", ["a b", "$c", ""], ""])
def test_settings_reach_tcl_as_they_are(value: str | list[str]) -> None:
    tcl = tkinter.Tcl()
    tcl.eval(project._settings({"given": value}))
    if isinstance(value, list):
        assert [str(word) for word in tcl.splitlist(tcl.eval("set given"))] == value
    else:
        assert tcl.eval("set given") == value


def test_every_board_with_a_shell_is_known_to_the_scripts() -> None:
    from bitswath.hw.planning.boards import boards

    known = json.loads((Path(project.__file__).parent / "boards.json").read_text())
    assert set(known) == {board.name for board in boards() if board.shell is not None}
    for board in boards():
        if board.shell is not None:
            assert ("platform" in known[board.name]) == (board.shell == "alveo")
