"""Puts a trained network into the zoo: NAME.bsw, NAME.yaml, NAME.log.jsonl and NAME.md in models/zoo.

    python scripts/make_zoo.py NAME --run RUN --bundle BUNDLE       # 'bitswath export RUN -o BUNDLE' made it
    python scripts/make_zoo.py NAME --study FOLDER --cell CELL      # a cell's digest, its first digits, or its label
    python scripts/make_zoo.py NAME --report REPORT.json            # builds of one that is there
    python scripts/make_zoo.py --cards                              # write all cards again

The bundle goes there without its builds; of those, and of reports that --report names, NAME.hw.json keeps the figures.
Accuracies stay those of the manifest: nothing is trained or measured here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bitswath.basics.files import write_atomic
from bitswath.builds.folder import HARDWARE
from bitswath.builds.report import REPORT, Report, read_report
from bitswath.bundle.bundle import MANIFEST, SUFFIX, Bundle, load_bundle, save_bundle
from bitswath.bundle.cards import card
from bitswath.bundle.zoo import zoo_names
from bitswath.bundle.zoo_entry import BUILDS, CARD, CONFIG, LOG, Builds, read_entry
from bitswath.errors import BitswathError, BundleError, ConfigError, StudyError
from bitswath.models.nets.config import TrainConfig, parse_config
from bitswath.models.study.plan.cells import TrainingCell
from bitswath.models.study.work.store import FILE, Row, Store

__all__ = ["MAX_BYTES", "Made", "add", "from_run", "from_study", "write_builds", "write_card"]

ZOO = Path(__file__).resolve().parent.parent / "models" / "zoo"
MAX_BYTES = 2_000_000
"""Of a bundle, without builds."""
SPLITS = ("val", "test")

Facts = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """A network as it was made: its bundle, configuration and log; `notes` say what the configuration cannot, `starts`
    are the networks before it, title and configuration, the next one first."""

    bundle: Bundle
    config: TrainConfig
    log: Path
    notes: tuple[str, ...] = ()
    starts: tuple[tuple[str, Facts], ...] = ()


def from_run(run: Path, bundle: Path) -> Made:
    """A run of `bitswath train` and the bundle that was exported from it. Raises `ConfigError`, `BundleError`."""
    try:
        raw = json.loads((run / "model.json").read_text())["config"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{run}: expected the folder of a finished 'bitswath train' ({error})") from error
    config, loaded = parse_config(raw, str(run)), load_bundle(bundle)
    if _config_of(loaded) != config:
        raise BundleError(f"{bundle}: was trained otherwise than {run}; export that run again")
    return Made(loaded, config, run / "log.jsonl")


def from_study(folder: Path, cell: str) -> Made:
    """A cell of a study, trained out. Raises `StudyError`, `BundleError`."""
    if not (folder / FILE).is_file():
        raise StudyError(f"{folder}: expected the folder of a 'bitswath study', with {FILE} in it")
    rows = Store(folder).rows()
    found = [row for row in rows if row.digest.startswith(cell) or row.cell.label == cell]
    if len(found) != 1:
        raise StudyError(f"{folder}: expected one cell called {cell!r}, found {len(found)}; 'bitswath study --list'")
    trained, measures = found[0].cell, found[0].measures
    if not isinstance(trained, TrainingCell) or measures is None:
        raise StudyError(f"{folder}: cell {cell!r} is no trained network; it is {trained.kind}, {found[0].state}")
    if trained.imagery.leaks or trained.imagery.source != "original":
        raise StudyError(f"{folder}: cell {cell!r}: {trained.imagery.label}: a bundle cannot do that to patches")
    if "bundle" not in measures:
        raise StudyError(f"{folder}: cell {cell!r} is a float network, which has no bundle; choose a quantized one")
    bundle = load_bundle(folder / measures["bundle"])
    starts = tuple((f"cell {start.digest[:12]}", _recipe(start)) for start in _starts(trained, rows))
    log = folder / measures["run"] / "log.jsonl"
    return Made(bundle, _config_of(bundle), log, _notes(found[0], trained, rows), starts)


def _config_of(bundle: Bundle) -> TrainConfig:
    training = bundle.manifest.provenance.source.training
    if training is None:
        raise BundleError(f"{bundle.path}: says nothing of its training, so nobody could repeat it; not for the zoo")
    return parse_config(training, str(bundle.path))


def _notes(row: Row, cell: TrainingCell, rows: Sequence[Row]) -> tuple[str, ...]:
    """What a study did that the configuration does not say: cell, start, teacher."""
    notes = [f"Trained by `bitswath study`: {cell.label}, cell {row.digest[:12]}."]
    taught = cell.distill is not None and cell.distill.teacher == "warm_start"
    if cell.start is not None and cell.start.weights:
        notes.append(f"Its weights start from those of {_start(cell, rows)}." + " It is its teacher too." * taught)
    elif cell.start is not None and taught:
        notes.append(f"Its teacher is {_start(cell, rows)}; its own weights start at random.")
    return tuple(notes)


def _start(cell: TrainingCell, rows: Sequence[Row]) -> str:
    start = cell.start
    if start is None or start.folder is not None:
        name, digest = (Path(str(start.folder)).name, str(start.sha256)[:12]) if start else ("", "")
        return f"{name}, weights sha256 {digest}"
    known = next((row for row in rows if row.digest == start.cell), None)
    label = f"{known.cell.label}, " if known else ""
    epochs = f" ({known.measures['epochs']} epochs)" if known and known.measures else ""
    return f"{label}cell {str(start.cell)[:12]}{epochs}"


def _starts(cell: TrainingCell, rows: Sequence[Row]) -> list[TrainingCell]:
    """The cells that this one starts or learns from, the next one first."""
    by_digest = {row.digest: row.cell for row in rows}
    found: list[TrainingCell] = []
    while cell.start is not None and isinstance(before := by_digest.get(str(cell.start.cell)), TrainingCell):
        found.append(before)
        cell = before
    return found


def _recipe(cell: TrainingCell) -> Facts:
    """A cell as the keys of a training configuration, without folders."""
    raw = cell.model_dump(mode="json")
    kept = {key: raw[key] for key in ("architecture", "widths", "augment", "schedule", "distill")}
    return dict(_without_folders({"data": raw["imagery"]["data"], "codec": raw["imagery"]["codec"], **kept}))


def add(made: Made, name: str, *, reports: Sequence[Report] = (), notes: Sequence[str] = (), zoo: Path = ZOO) -> Path:
    """Write the four files, five with builds; the bundle's path.

    Raises `BundleError` for a bundle above `MAX_BYTES` or without an accuracy on every one of `SPLITS`.
    """
    _check(made.bundle)
    config = _named(made.config, name)
    path = zoo / f"{name}{SUFFIX}"
    log = _read_log(made.log)
    builds = [*_builds_in(made.bundle), *reports]
    _check_reports(builds, made.bundle, name)
    _save(made.bundle, path, config)
    write_atomic(path.with_suffix(CONFIG), _yaml(config, [*notes, *made.notes], made.starts).encode())
    write_atomic(path.with_suffix(LOG), log)
    path.with_suffix(BUILDS).unlink(missing_ok=True)
    write_builds(path, builds)
    write_card(path)
    return path


def write_builds(path: Path, reports: Sequence[Report]) -> None:
    """Add builds to those of the bundle at `path`; one for the same board takes the older one's place."""
    entry = read_entry(path)
    by_board = {report.board: report.model_copy(update={"stages": (), "queues": ()}) for report in reports}
    if builds := {report.board: report for report in entry.builds} | by_board:
        ordered = tuple(builds[board] for board in sorted(builds))
        write_atomic(path.with_suffix(BUILDS), (Builds(builds=ordered).model_dump_json(indent=1) + "\n").encode())


def write_card(path: Path) -> None:
    """Write the card of the bundle at `path` from what is there."""
    write_atomic(path.with_suffix(CARD), card(read_entry(path)).encode())


def _check(bundle: Bundle) -> None:
    size = sum(entry.bytes for file, entry in bundle.manifest.files.items() if not file.startswith(f"{HARDWARE}/"))
    size += (bundle.path / MANIFEST).stat().st_size
    if size > MAX_BYTES:
        raise BundleError(f"{bundle.path}: expected at most {MAX_BYTES:,} bytes, found {size:,}")
    missing = [split for split in SPLITS if split not in bundle.manifest.accuracy]
    if missing:
        raise BundleError(f"{bundle.path}: has no accuracy on {' and '.join(missing)}; 'bitswath export' measures both")


def _named(config: TrainConfig, name: str) -> TrainConfig:
    """The configuration under the zoo's name, without paths of the machine it ran on."""
    return parse_config(_without_folders(config.model_dump(mode="json")) | {"name": name}, name)


def _without_folders(value: Any) -> Any:
    """Absolute paths as the names at their ends."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _save(bundle: Bundle, path: Path, config: TrainConfig) -> None:
    manifest, onnx = bundle.manifest, bundle.onnx_path
    source = _without_folders(manifest.provenance.source.model_dump(mode="json"))
    save_bundle(
        path,
        network=bundle.network,
        codec=bundle.codec,
        patch_shape=manifest.input.patch_shape,
        classes=manifest.classes,
        onnx_model=onnx,
        provenance=source | {"training": config.model_dump(mode="json")},
        accuracy=manifest.accuracy,
        name=config.name,
    )


def _yaml(config: TrainConfig, notes: Sequence[str], starts: Sequence[tuple[str, Facts]]) -> str:
    """The configuration below the notes; at the end, as comments, those of the networks before it."""
    text = "".join(f"# {' '.join(note.split())}\n" for note in notes)
    text += _dump(config.model_dump(mode="json"))
    for title, recipe in starts:
        text += f"\n# {title}:\n" + "".join(f"#   {line}\n" for line in _dump(recipe).splitlines())
    return text


def _dump(values: Facts) -> str:
    """YAML with all values, those of today's defaults too, but without nulls that say "not set"."""
    shown = {
        key: {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None or key == "widths"  # there null says "in floating point"
    }
    text: str = yaml.safe_dump(shown, default_flow_style=None, sort_keys=False, width=10_000)
    return text


def _read_log(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: expected the log of the training ({error.strerror})") from error


def _builds_in(bundle: Bundle) -> list[Report]:
    return [read_report(file.parent) for file in sorted((bundle.path / HARDWARE).glob(f"*/{REPORT}"))]


def _check_reports(reports: Sequence[Report], bundle: Bundle, name: str) -> None:
    """A report names its bundle as it was called when it was built: as now, or as in the zoo."""
    length = bundle.manifest.input.frame_bytes
    for report in reports:
        word = report.input.width // 8 if report.input.compressed else 1
        if report.name not in (bundle.name, name) or report.input.frame_bytes != -(-length // word) * word:
            raise BundleError(
                f"the report for {report.board} is of {report.name!r}, {report.input.frame_bytes} bytes a frame;"
                f" expected {bundle.name!r}, {length}"
            )


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="its name in the zoo")
    parser.add_argument("--run", type=Path, help="folder of a training run")
    parser.add_argument("--bundle", type=Path, help="the bundle that was exported from it, with val and test measured")
    parser.add_argument("--study", type=Path, help="folder of a study")
    parser.add_argument("--cell", help="which of its cells")
    parser.add_argument("--report", type=Path, action="append", default=[], help="report.json of a build; repeatable")
    parser.add_argument("--note", action="append", default=[], help="a sentence that opens its card; repeatable")
    parser.add_argument("--cards", action="store_true", help="write all cards again")
    parser.add_argument("--zoo", type=Path, default=ZOO, help="another folder")
    return parser


def _made(given: Any, parser: argparse.ArgumentParser) -> Made:
    if given.name and given.run and given.bundle and not given.study:
        return from_run(given.run, given.bundle)
    if given.name and given.study and given.cell and not given.run:
        return from_study(given.study, given.cell)
    return parser.error(
        "expected NAME with --run and --bundle, or NAME with --study and --cell, or NAME with --report, or --cards"
    )


def main() -> None:
    parser = _arguments()
    given = parser.parse_args()
    try:
        if given.cards:
            for name in zoo_names(given.zoo):
                write_card(given.zoo / f"{name}{SUFFIX}")
            return
        reports = [read_report(path.parent) for path in given.report]
        if given.name and reports and not (given.run or given.study):
            path = given.zoo / f"{given.name}{SUFFIX}"
            _check_reports(reports, load_bundle(path), given.name)
            write_builds(path, reports)
            write_card(path)
        else:
            path = add(_made(given, parser), given.name, reports=reports, notes=given.note, zoo=given.zoo)
    except BitswathError as error:
        raise SystemExit(f"make_zoo: {error}") from error
    print(path.with_suffix(CARD).read_text(), end="")


if __name__ == "__main__":
    main()
