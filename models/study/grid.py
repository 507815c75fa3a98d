"""From a study's configuration to its cells, in the order in which they are worked on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from bitswath.codecs import parse_codec
from bitswath.errors import ConfigError
from bitswath.files import sha256_of
from bitswath.models.config import ArchitectureConfig, ScheduleConfig
from bitswath.models.study.cells import ORIGINAL, Cell, ContainerCell, Imagery, ImageryCell, Start, TrainingCell
from bitswath.models.study.config import Codebook, Fidelity, JpegConfig, StudyConfig, TrainingBlock

__all__ = ["data_cells", "expand", "training_cells"]


def expand(config: StudyConfig, fidelity: Fidelity = "full") -> list[Cell]:
    """All cells, each once: first what needs no training, then networks, after those they start from.

    Raises `ConfigError` for a warm start whose folder holds no trained model.
    """
    cells: list[Cell] = [*data_cells(config), *training_cells(config, fidelity)]
    return list({cell.digest: cell for cell in cells}.values())


def data_cells(config: StudyConfig) -> Iterator[ImageryCell | ContainerCell]:
    """What needs no training, for every codec and container whatever is trained."""
    blocks = [TrainingBlock(codecs=config.codecs, jpeg=config.jpeg), *config.training]
    imageries = dict.fromkeys(imagery for block in blocks for imagery in _imageries(config, block, None))
    for imagery in imageries:
        yield ImageryCell(imagery=imagery, patches=config.measure.patches)
        for container in config.containers if imagery.source == ORIGINAL and not imagery.leaks else ():
            yield ContainerCell(imagery=imagery, container=container, patches=config.measure.patches)


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
                schedule=_schedule(config, fidelity, seed),
                distill=config.distill,
                fidelity=fidelity,
            )
            for ready in _started(config, cell):
                cells.setdefault(ready.digest, ready)
    return list(cells.values())


def _started(config: StudyConfig, cell: TrainingCell) -> list[TrainingCell]:
    """The cell with its warm start, behind the cell that it starts from."""
    warm = config.warm_start
    if warm is None:
        return [cell]
    if warm.folder is not None:
        from bitswath.models.trained import WEIGHTS  # brings TensorFlow, which few studies need here

        path = warm.folder / WEIGHTS
        if not path.is_file():
            raise ConfigError(f"warm_start.folder: {path} is not there; 'bitswath train' writes it")
        start = Start(folder=str(warm.folder.absolute()), sha256=sha256_of(path))
        return [cell.model_copy(update={"start": start})]
    distill = cell.distill if cell.distill and cell.distill.teacher != "warm_start" else None
    imagery = cell.imagery.model_copy(update={"codec": warm.codec, "codebook": "shared"})
    first = cell.model_copy(update={"imagery": imagery, "widths": warm.widths, "distill": distill})
    if (first.imagery, first.widths) == (cell.imagery, cell.widths):
        return [first]
    return [first, cell.model_copy(update={"start": Start(cell=first.digest)})]


def _imageries(config: StudyConfig, block: TrainingBlock, limit: int | None) -> list[Imagery]:
    limits = [number for number in (limit, config.data.limit) if number is not None]
    data = config.data.model_copy(update={"limit": min(limits, default=None)})
    shown = [Imagery(data=data, codec=codec) for codec in (config.codecs if block.codecs is None else block.codecs)]
    jpeg: JpegConfig | None = block.jpeg or (config.jpeg if block.codecs is None else None)
    if jpeg:
        shown += [Imagery(data=data, codec=codec, source=source) for source in jpeg.sources for codec in jpeg.codecs]
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


def _schedule(config: StudyConfig, fidelity: Fidelity, seed: int) -> ScheduleConfig:
    fields = {"epochs", "float_epochs", "early_stop", "batch"}
    chosen = config.fidelity(fidelity).model_dump(include=fields, exclude_none=True)
    return config.schedule.model_copy(update={**chosen, "seed": seed})
