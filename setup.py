"""The native extension; everything else stands in pyproject.toml."""

from glob import glob

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

ParallelCompile("BITSWATH_BUILD_JOBS", default=0).install()

setup(
    ext_modules=[
        Pybind11Extension(
            "bitswath._native",
            sorted(glob("host/native/*.cpp")),
            depends=sorted(glob("host/native/*.hpp")),
            cxx_std=17,
            extra_compile_args=["-O3", "-pthread", "-Wall", "-Wextra"],
            extra_link_args=["-pthread"],
        )
    ]
)
