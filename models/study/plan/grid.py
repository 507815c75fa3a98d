"""From a study's configuration to its cells, in the order in which they are worked on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from bitswath.basics.files import sha256_of
from bitswath.bundle.bundle import MANIFEST, MODEL
from bitswath.bundle.zoo import PREFIX, located
from bitswath.codecs.kinds import KINDS, parse_codec
from bitswath.errors import BundleError, ConfigError
from bitswath.models.nets.config import ArchitectureConfig, ScheduleConfig
from bitswath.models.study.plan.cells import ORIGINAL, Cell, ContainerCell, Imagery, ImageryCell, Start, TrainingCell
from bitswath.models.study.plan.config import (
    Codebook,
    Fidelity,
    ScheduleChanges,
    StudyConfig,
    TrainingBlock,
    WarmStartConfig,
)

__all__ = ["data_cells", "expand", "training_cells"]


def expand(config: StudyConfig, fidelity: Fidelity = "full") -> list[Cell]:
    """All cells, each once: first what needs no training, then networks, after those they start from.

    Raises `ConfigError` for a warm start whose folder holds no trained model.
    """
    cells: list[Cell] = [*data_cells(config), *training_cells(config, fidelity)]
    return list({cell.digest: cell for cell in cells}.values())


def data_cells(config: StudyConfig) -> Iterator[ImageryCell | ContainerCell]:
    """What needs no training, for every codec and container whatever is trained."""
    blocks = [TrainingBlock(codecs=config.codecs, jpeg=config.jpeg, lossy=config.lossy), *config.training]
    imageries = dict.fromkeys(imagery for block in blocks for imagery in _imageries(config, block, None))
    for imagery in imageries:
        yield ImageryCell(imagery=imagery, patches=config.measure.patches)
        for container in config.containers if _has_codes(imagery) else ():
            yield ContainerCell(imagery=imagery, container=container, patches=config.measure.patches)


def _has_codes(imagery: Imagery) -> bool:
    """Whether a container may hold its codes: of original patches, and not compressed by the codec itself."""
    compressed = KINDS[parse_codec(imagery.codec).kind].compressed
    return imagery.source == ORIGINAL and not imagery.leaks and not compressed


def training_cells(config: StudyConfig, fidelity: Fidelity) -> list[TrainingCell]:
    """Every network to train, behind the one it starts from."""
    cells: dict[str, TrainingCell] = {}
    for block in config.training:
        names = block.architectures or tuple(config.architectures)
        imageries = _imageries(config, block, config.fidelity(fidelity).limit)
        for name, widths, seed, imagery in product(
            names, block.widths or config.widths, block.seeds or config.seeds, imageries
        ):
            cell = TrainingCell(
                imagery=imagery,
                network=name,
                architecture=_scaled(config.architectures[name], config.fidelity(fidelity).multiplier),
                widths=widths,
                augment=config.augment,
                schedule=_schedule(config, fidelity, block.schedule).model_copy(update={"seed": seed}),
                distill=config.distill,
                fidelity=fidelity,
            )
            for begun in _started(config, cell, block.warm_start or config.warm_start):
                through = begun.imagery.source != ORIGINAL
                ready = begun.model_copy(
                    update={"lossy_as": (block.lossy_as or config.lossy_as) if through else "data"}
                )
                if ready.digest not in cells or not ready.origin:
                    cells[ready.digest] = ready
    return list(cells.values())


def _started(config: StudyConfig, cell: TrainingCell, warm: WarmStartConfig | None) -> list[TrainingCell]:
    """The cell with its warm start, behind the cells that it starts from."""
    taught = cell.distill is not None and cell.distill.teacher == "warm_start"
    if warm is None:
        return [cell.model_copy(update={"distill": None}) if taught else cell]
    if warm.folder is not None:
        return [cell.model_copy(update={"start": _folder_start(warm.folder, warm.weights)})]
    imagery = Imagery(data=cell.imagery.data, codec=str(warm.codec))
    before = cell.model_copy(
        update={
            "imagery": imagery,
            "widths": warm.widths,
            "schedule": _schedule(config, cell.fidelity, warm.schedule).model_copy(update={"seed": cell.schedule.seed}),
            "distill": None if taught else cell.distill,
            "origin": True,
            **_network(config, cell, warm.architecture),
        }
    )
    *origins, first = _started(config, before, warm.warm_start)
    if _same(before, cell):
        return [*origins, first.model_copy(update={"origin": False})]
    if warm.weights and before.architecture != cell.architecture:
        raise ConfigError(
            f"warm_start: the weights of a {before.network} do not fit a {cell.network}; with weights: false it teaches"
        )
    start = Start(cell=first.digest, weights=warm.weights)
    return [*origins, first, cell.model_copy(update={"start": start})]


def _same(one: TrainingCell, other: TrainingCell) -> bool:
    """Whether they are one network, trained alike."""
    return all(
        getattr(one, field) == getattr(other, field) for field in ("imagery", "widths", "architecture", "schedule")
    )


def _folder_start(folder: str, weights: bool) -> Start:
    place = folder if folder.startswith(PREFIX) else str(Path(folder).absolute())
    return Start(folder=place, sha256=sha256_of(_weights_file(folder)), weights=weights)


def _weights_file(folder: str) -> Path:
    """What holds the weights of a bundle or of a run."""
    try:
        place = located(folder)
    except BundleError as error:
        raise ConfigError(f"warm_start.folder: {error}") from error
    if (place / MANIFEST).exists():
        return place / MODEL
    from bitswath.models.training.trained import WEIGHTS  # brings TensorFlow

    if not (place / WEIGHTS).is_file():
        raise ConfigError(f"warm_start.folder: {place / WEIGHTS} is not there; 'bitswath train' writes it")
    return place / WEIGHTS


def _network(config: StudyConfig, cell: TrainingCell, name: str | None) -> dict[str, Any]:
    """The architecture of this name, where there is one, with as many of its channels as the cell has."""
    if name is None:
        return {}
    return {
        "network": name,
        "architecture": _scaled(config.architectures[name], config.fidelity(cell.fidelity).multiplier),
    }


def _imageries(config: StudyConfig, block: TrainingBlock, limit: int | None) -> list[Imagery]:
    limits = [number for number in (limit, config.data.limit) if number is not None]
    data = config.data.model_copy(update={"limit": min(limits, default=None)})
    shown = [Imagery(data=data, codec=codec) for codec in (config.codecs if block.codecs is None else block.codecs)]
    inherited = (config.jpeg, config.lossy) if block.codecs is None else (None, None)
    for files in (block.jpeg or inherited[0], block.lossy or inherited[1]):
        if files:
            pairs = product(files.sources, files.codecs)
            shown += [Imagery(data=data, codec=codec, source=source) for source, codec in pairs]
    codebooks: tuple[Codebook, ...] = block.codebooks or config.codebooks
    found = []
    for imagery in shown:
        spec = parse_codec(imagery.codec)
        splittable = spec.kind == "palette" and not spec.dither and imagery.source == ORIGINAL
        found += [imagery.model_copy(update={"codebook": book}) for book in (codebooks if splittable else ("shared",))]
    return found


def _scaled(architecture: ArchitectureConfig, multiplier: float | None) -> ArchitectureConfig:
    if multiplier is None:
        return architecture
    return architecture.model_copy(update={"multiplier": architecture.multiplier * multiplier})


def _schedule(config: StudyConfig, fidelity: Fidelity, changes: ScheduleChanges) -> ScheduleConfig:
    """The study's own, changed by a block or a warm start, changed by a fidelity."""
    changed = {
        name: value
        for source in (changes, config.fidelity(fidelity))
        for name, value in source.model_dump(include=set(ScheduleChanges.model_fields), exclude_none=True).items()
    }
    return config.schedule.model_copy(update=changed)
