"""The native extension; everything else stands in pyproject.toml."""

from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

ParallelCompile("BITSWATH_BUILD_JOBS", default=0).install()

setup(
    ext_modules=[
        Pybind11Extension(
            "bitswath._native",
            sorted(map(str, Path("host/native").glob("*.cpp"))),
            depends=sorted(map(str, Path("host/native").glob("*.hpp"))),
            cxx_std=17,
            extra_compile_args=["-O3", "-pthread", "-Wall", "-Wextra"],
            extra_link_args=["-pthread"],
        )
    ]
)
