"""Running Vivado and v++: of a version that the scripts are for, with a log, a time-out, and errors of one line."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from bitswath.errors import BuildError

__all__ = ["OLDEST", "TESTED", "run_tool", "tool_version", "vivado_command"]

OLDEST = (2022, 2)
TESTED = (2025, 2)
"""The newest version whose catalog the scripts were held against; later ones are tried all the same."""

_VERSION_S = 120.0
_STEP, _REFUSAL = "bitswath step: ", "bitswath refuses: "
_WRONG = re.compile(r"^(?:ERROR|FATAL|CRITICAL ERROR)\b:?\s*(.*)|^(.*: command not found)$", re.IGNORECASE)


def tool_version(name: str) -> str:
    """The version of a tool on the path, such as "2023.2".

    Raises `BuildError` if it cannot be run, does not say, or is older than `OLDEST`."""
    program = shutil.which(name)
    if program is None:
        raise BuildError(f"{name} not found on the path")
    version = _version(program)
    if tuple(map(int, version.split("."))) < OLDEST:
        raise BuildError(f"{program}: expected version {_shown(OLDEST)} or later, found {version}")
    return version


@lru_cache(maxsize=8)
def _version(program: str) -> str:
    flag = "--version" if Path(program).name == "v++" else "-version"
    try:
        done = subprocess.run([program, flag], capture_output=True, text=True, timeout=_VERSION_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{program}: cannot be run ({error})") from None
    found = re.search(r"\bv(\d{4}\.\d)", done.stdout)
    if found is None:
        said = " ".join((done.stdout + done.stderr).split())[:200] or "nothing"
        raise BuildError(f"{program}: expected it to say its version, it said {said!r}")
    return found[1]


def _shown(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def vivado_command(script: Path) -> list[str]:
    """Vivado in batch mode on a script, leaving no journal."""
    return ["vivado", "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", str(script)]


def run_tool(
    command: Sequence[str],
    folder: Path,
    log: Path,
    timeout_s: float,
    on_step: Callable[[str], None] = lambda name: None,
) -> None:
    """Run a tool in `folder`, all that it says in `log`; `on_step` is told the steps that our scripts name.

    Raises `BuildError` that says what it refused or the first error, and names the log; also after `timeout_s`. The
    tool and all that it started have ended when this returns or raises.
    """
    with log.open("w") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise BuildError(f"{command[0]}: cannot be started ({error.strerror})") from None
        expired = threading.Event()
        timer = threading.Timer(timeout_s, _expire, (process, expired))
        timer.daemon = True
        timer.start()
        try:
            said = list(_said(process, output.write, on_step))
            process.wait()
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
    if expired.is_set():
        raise BuildError(f"{command[0]} took longer than {timeout_s:g} s; see {log}")
    if process.returncode or any(line.startswith(_REFUSAL) for line in said):
        raise BuildError(f"{command[0]}: {_reason(said, process.returncode)}; see {log}")


def _said(
    process: subprocess.Popen[str], write: Callable[[str], object], on_step: Callable[[str], None]
) -> Iterator[str]:
    """Lines that matter: refusals and errors, and the last of all."""
    last = ""
    for line in process.stdout or ():
        write(line)
        if line.startswith(_STEP):
            on_step(line.removeprefix(_STEP).strip())
        elif line.startswith(_REFUSAL) or _WRONG.match(line):
            yield line.strip()
        last = line.strip() or last
    yield last


def _reason(said: list[str], code: int) -> str:
    for line in said:
        if line.startswith(_REFUSAL):
            return line.removeprefix(_REFUSAL)
    found = next((match for match in map(_WRONG.match, said) if match), None)
    told = (found[1] or found[2]) if found else f"ended with exit code {code} after saying {said[-1]!r}"
    return " ".join(told.split())[:300]


def _expire(process: subprocess.Popen[str], expired: threading.Event) -> None:
    expired.set()
    _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
