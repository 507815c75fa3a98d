"""The command line. Each command's room is imported only when that command runs."""

from __future__ import annotations

import importlib
import io
import sys

import click

from bitswath.errors import BitswathError
from bitswath.version import __version__

__all__ = ["main"]

_COMMANDS = {
    "classify": ("bitswath.commands.classify", "Classify images, a folder, a zip or an archive."),
    "map": ("bitswath.commands.map", "Classify whole scenes, GeoTIFFs, into land-cover maps."),
    "compress": ("bitswath.commands.compress", "Reduce images to few bits and pack them into an archive."),
    "info": ("bitswath.commands.info", "Say what a bundle or an archive holds."),
    "serve": ("bitswath.commands.serve", "Answer requests of the network with bundles."),
    "zoo": ("bitswath.commands.zoo", "List the trained bundles that come with bitswath, or describe one."),
    "train": ("bitswath.models.commands.train", "Train the network of a configuration."),
    "export": ("bitswath.models.commands.export", "Make a bundle of a trained model or a QONNX file."),
    "build": ("bitswath.hw.commands.build", "Turn a bundle into a proved accelerator for a board."),
    "boards": ("bitswath.hw.commands.boards", "List the boards an accelerator can be built for."),
    "bench": ("bitswath.commands.bench", "Measure latency, throughput and energy of a bundle on a backend."),
    "study": ("bitswath.models.commands.study", "Measure and train a grid of codecs, containers and networks."),
    "verify": ("bitswath.models.commands.verify", "Prove that all forms of a bundle compute the same integers."),
}
_EXTRAS = {"bitswath.models": "train", "bitswath.hw": "hw", "bitswath.commands.serve": "serve"}


class _Commands(click.Group):
    """Commands by name, each the `command` of its own module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[cmd_name]
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="bitswath")
def _cli() -> None:
    """Few-bit satellite imagery on FPGA dataflow accelerators."""


def main() -> None:
    """Run the command line: exit code 0 for success, 1 for an error told in one line, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may hold any byte
    try:
        _cli(standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except BitswathError as error:
        _fail(str(error), 1)
    except ModuleNotFoundError as error:
        _fail(_missing(error), 1)
    except OSError as error:
        _fail(f"{error.filename or 'standard output'}: {error.strerror}", 1)


def _missing(error: ModuleNotFoundError) -> str:
    wanted = " ".join(sys.argv[1:2])
    room = _COMMANDS.get(wanted, ("bitswath", ""))[0]
    extra = next((extra for prefix, extra in _EXTRAS.items() if room.startswith(prefix)), None)
    need = f"pip install 'bitswath[{extra}]'" if extra else f"pip install {error.name}"
    return f"'bitswath {wanted}' needs {error.name}, which is not installed; {need}"


def _fail(message: str, code: int) -> None:
    click.echo(f"bitswath: {' '.join(message.split())}", err=True)
    sys.exit(code)
