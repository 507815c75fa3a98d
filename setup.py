"""What is found by walking the source: packages, their data, the native extension. All else is in pyproject.toml."""

from collections import defaultdict
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

ROOMS = {"bitswath": "host", "bitswath.models": "models", "bitswath.hw": "hw"}
NATIVE = Path("host/native")
COMPILED = {".py", ".pyc", ".pyd", ".so"}


def packages() -> dict[Path, str]:
    """Every folder with an ``__init__.py``, and the name that it is imported by."""
    return {
        init.parent: ".".join([name, *init.parent.relative_to(folder).parts])
        for name, folder in ROOMS.items()
        for init in sorted(Path(folder).rglob("__init__.py"))
    }


def is_data(path: Path) -> bool:
    """No code of the package itself, nothing hidden, and no build that somebody put into a bundle of the zoo."""
    built = ".bsw/hw/" in path.as_posix()
    return path.is_file() and path.suffix not in COMPILED and not path.name.startswith(".") and not built


def package_data(folders: dict[Path, str]) -> dict[str, list[str]]:
    """Files that are no Python, each with the package of the nearest folder above it."""
    data = defaultdict(list)
    for room in ROOMS.values():
        for path in sorted(filter(is_data, Path(room).rglob("*"))):
            if NATIVE not in path.parents:
                home = next(parent for parent in path.parents if parent in folders)
                data[folders[home]].append(str(path.relative_to(home)))
    return data


ParallelCompile("BITSWATH_BUILD_JOBS", default=0).install()
FOLDERS = packages()

setup(
    packages=list(FOLDERS.values()),
    package_dir=ROOMS,
    package_data=package_data(FOLDERS),
    include_package_data=False,  # what the walk found is all
    ext_modules=[
        Pybind11Extension(
            "bitswath._native",
            sorted(map(str, NATIVE.rglob("*.cpp"))),
            depends=sorted(map(str, NATIVE.rglob("*.hpp"))),
            include_dirs=[str(NATIVE)],
            cxx_std=17,
            extra_compile_args=["-O3", "-pthread", "-Wall", "-Wextra"],
            extra_link_args=["-pthread"],
        )
    ],
)
