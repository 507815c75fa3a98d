"""File trees as boards and hosts show them, written from literals.

ZCU102: chip names and channels of linux-iio's mail "hwmon: (iio_hwmon) Enable power exporting from IIO" (2019) for a
ZCU102 (in1 shunt, in2 bus, curr1, power1), rails of UG1182. ZCU104: chips and addresses of PYNQ's
boards/ZCU104/packages/sensorconf/zcu104.conf, labels of Linux Documentation/hwmon/pmbus.rst. Kria: device trees
zynqmp-sck-kv-g-rev*.dtso ("ina260-u14", iio-hwmon). INA3221: Documentation/hwmon/ina3221.rst. RAPL:
Documentation/power/powercap/powercap.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ZCU102_CHIPS = (76, 77, 78, 87, 85, 86, 93, 88, 15, 92, 79, 81, 80, 84, 16, 65, 74, 75)


def write(root: Path, files: Mapping[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n" if "compatible" not in name else str(content))
    return root


def model(name: str) -> dict[str, object]:
    return {"proc/device-tree/compatible": f"xlnx,zynqmp-{name}-rev1.0\0xlnx,zynqmp-{name}\0xlnx,zynqmp\0"}


def chip(index: int, name: str, **channels: object) -> dict[str, object]:
    """``power1="1160"`` is the file power1_input, ``power1_label`` is itself."""
    folder = f"sys/class/hwmon/hwmon{index}"
    files = {key if "_" in key else f"{key}_input": value for key, value in channels.items()}
    return {f"{folder}/name": name, **{f"{folder}/{file}": value for file, value in files.items()}}


def zcu102(root: Path, *, milliwatts: bool = False) -> Path:
    """18 rails; rail k draws (k + 1) / 10 W. `milliwatts`: as its kernel without the conversion gave them."""
    files = model("zcu102")
    for index, unit in enumerate(ZCU102_CHIPS):
        watts = (index + 1) / 10
        power = round(watts * (1e3 if milliwatts else 1e6))
        volts_mv = 850
        current_ma = round(watts / 0.85 * 1e3)
        files |= chip(index, f"ina226_u{unit}", in1=7, in2=volts_mv, curr1=current_ma, power1=power)
    return write(root, files | chip(18, "ams", temp1=41000, in1=850))


def zcu104(root: Path) -> Path:
    """Two regulators and a monitor on the 12 V input."""
    files = model("zcu104")
    for index, pages in enumerate((4, 5)):
        channels: dict[str, object] = {"power1": 9_000_000 * (index + 1), "power1_label": "pin1"}
        for page in range(1, pages + 1):
            channels |= {f"power{page + 1}": 1_000_000 * page, f"power{page + 1}_label": f"pout{page}"}
        files |= chip(index, "irps5401", **channels)
    files |= chip(2, "ina226", in0=5, in1=12100, curr1=1500, power1=18_150_000)
    write(root, files)
    for index, address in enumerate(("4-0043", "4-0044", "5-0040")):
        device = root / "sys/devices/i2c" / address
        device.mkdir(parents=True)
        (root / f"sys/class/hwmon/hwmon{index}/device").symlink_to(device)
    return root


def kria(root: Path) -> Path:
    files = {"proc/device-tree/compatible": "xlnx,zynqmp-sk-kv260-rev1\0xlnx,zynqmp-sk-kv260\0xlnx,zynqmp\0"}
    return write(root, files | chip(0, "ina260_u14", in1=5010, curr1=742, power1=3_720_000) | chip(1, "pwmfan", pwm1=9))


def rapl(root: Path, counts: Mapping[str, int], range_uj: int = 262_143_328_850) -> Path:
    """`counts`: microjoules by "0" or "0:1"."""
    names = {"0": "package-0", "0:0": "core", "0:1": "dram", "1": "package-1", "1:1": "dram", "2": "psys"}
    files: dict[str, object] = {"sys/class/powercap/intel-rapl/enabled": 1}
    for zone, count in counts.items():
        folder = f"sys/class/powercap/intel-rapl:{zone}"
        files |= {f"{folder}/name": names[zone], f"{folder}/energy_uj": count}
        files |= {f"{folder}/max_energy_range_uj": range_uj}
    mmio = "sys/class/powercap/intel-rapl-mmio:0"  # the package once more, through other registers
    files |= {f"{mmio}/name": "package-0", f"{mmio}/energy_uj": 5, f"{mmio}/max_energy_range_uj": range_uj}
    return write(root, files)


def set_count(root: Path, zone: str, count: int) -> None:
    (root / f"sys/class/powercap/intel-rapl:{zone}/energy_uj").write_text(f"{count}\n")
