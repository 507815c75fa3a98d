"""What is said about the machine and the software."""

from __future__ import annotations

import platform

from bitswath import __version__
from bitswath.basics.machine import machine, versions


def test_the_machine_is_named() -> None:
    found = machine()
    assert found["cores"] >= 1 and found["processor"] and found["architecture"] == platform.machine()


def test_versions_are_of_bitswath_python_and_what_is_asked_for() -> None:
    found = versions("numpy")
    assert (found["bitswath"], found["python"]) == (__version__, platform.python_version())
    assert found["numpy"].split(".")[0] in ("1", "2")
