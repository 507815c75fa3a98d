"""``bitswath train``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bitswath.basics.console import say
from bitswath.codecs.kinds import fit_codec, parse_codec
from bitswath.models.data.datasets import load_configured
from bitswath.models.nets.config import load_config
from bitswath.models.training.fit import describe, train_model
from bitswath.models.training.train import Samples, evaluate

__all__ = ["command"]


@click.command("train")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="The run's folder."
)
@click.option("--data", type=click.Path(path_type=Path), help="Where data sets are; else BITSWATH_DATA.")
@click.option("--download", is_flag=True, help="Fetch the data set if it is not there.")
def command(config: Path, output: Path, data: Path | None, download: bool) -> None:
    """Train the network of CONFIG (YAML or TOML) into a folder.

    The same call goes on where an interrupted one stopped. Fits the codec to the training split, chooses
    the best epoch on the validation split, and never reads the test split.
    """
    settings = load_config(config)
    spec = parse_codec(settings.codec)
    train = load_configured(settings.data, "train", data=data, download=download)
    val = load_configured(settings.data, "val", data=data, progress=False)
    for note in val.notes:
        if note not in train.notes:
            say(f"{settings.data.name}, val: {note}", "yellow")
    console = Console()
    codec = fit_codec(spec, train.patches)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        show = _Show(progress)
        info = describe(settings, codec, train)
        trained, settled = train_model(info, codec, train, val, output, report=show.report, progress=show.step)
    for layer in settled:
        console.print(f"{layer.layer}: boundaries at least {layer.margin:.3f} of a step from any accumulator value")
    accuracy = evaluate(trained.model, codec.encode, Samples(val.patches, val.labels))
    console.print(f"{output}: {100 * accuracy:.2f} % on {len(val)} validation patches", highlight=False)


class _Show:
    """One line an epoch, one bar for the epoch under way."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task: TaskID | None = None

    def step(self, phase: str, done: int, total: int) -> None:
        if self.task is None:
            self.task = self.progress.add_task(phase, total=total)
        self.progress.update(self.task, completed=done, total=total, description=phase)

    def report(self, phase: str, epoch: int, metrics: dict[str, float]) -> None:
        self.progress.console.print(
            f"{phase} epoch {epoch}: loss {metrics['loss']:.4f}, validation {100 * metrics['val_accuracy']:.2f} %,"
            f" {metrics['elapsed_s']:.0f} s",
            highlight=False,
        )
