"""`maskwatch evaluate`: a model on labelled crops, or the whole pipeline on photographs."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.evaluate_events import WithEvents
from maskwatch.cli.options import refuse
from maskwatch.errors import DependencyError, UsageError

if TYPE_CHECKING:
    from maskwatch.lab.training.dataset import Photo
    from maskwatch.lab.training.evaluation import Evaluation
    from maskwatch.vision.interpreter import Interpreter
    from maskwatch.vision.masks import MaskClassifier

    OtherModel = tuple[str, Interpreter] | None

_Path = click.Path(path_type=Path)


@click.command(cls=WithEvents, renamed={"--json": "--report"})
@click.option(
    "--events",
    is_flag=True,
    expose_value=False,
    help="Evaluate the whole system on rendered scenes instead (see `evaluate --events --help`).",
)
@click.option("--model", type=_Path, help="Manifest of the model.  [default: the shipped one]")
@click.option("--data", multiple=True, type=_Path, help="Folder of crops, a sub-folder per class.")
@click.option("--scenes", type=_Path, help="annotations.json of whole photographs with boxed faces.")
@click.option(
    "--split",
    type=click.Choice(["all", "test", "train"]),
    default="all",
    show_default=True,
    help="Side of the folder's split.csv.",
)
@click.option("--source", multiple=True, help="Only pictures of this source (manifest.csv).")
@click.option(
    "--leaks", type=_Path, help="CSV of test pictures that are left out because they are in train too."
)
@click.option("--against", type=_Path, help="Another .tflite file to compare with, image by image.")
@click.option(
    "--made", is_flag=True, help="Add synthetic slices: night, infra-red, beard, hand, scarf, glasses."
)
@click.option(
    "--smallest-face",
    type=click.FloatRange(8),
    default=16.0,
    show_default=True,
    help="With --scenes: height in pixels of the smallest face to find.",
)
@click.option(
    "--score",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.6,
    show_default=True,
    help="With --scenes: minimum score of a detection.",
)
@click.option(
    "--rounds", type=click.IntRange(0), default=1000, show_default=True, help="Rounds of the bootstrap."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--report", type=_Path, help="Write the report as JSON to this file.")
@click.option("--out", type=_Path, help="Folder to write confusion matrix and reliability diagram to.")
@click.option(
    "--record", metavar="NAME", help="Write the figures into the manifest, as measured on NAME."
)
def evaluate(  # noqa: PLR0913 - one parameter per option
    *,
    model: Path | None,
    data: tuple[Path, ...],
    scenes: Path | None,
    split: str,
    source: tuple[str, ...],
    leaks: Path | None,
    against: Path | None,
    made: bool,
    smallest_face: float,
    score: float,
    rounds: int,
    as_json: bool,
    report: Path | None,
    out: Path | None,
    record: str | None,
) -> None:
    r"""Measure a model on faces with known labels.

    With --data: labelled crops. With --scenes: every face with its annotated box, and then the whole
    pipeline of detector, quality gate and classifier on the photographs. Figures have 95 % intervals
    from a bootstrap over images.

    \b
    Examples:
      maskwatch evaluate --data faces --split test
      maskwatch evaluate --scenes hall/annotations.json --report hall.json --out hall-plots
      maskwatch evaluate --model runs/cctv-112/cctv-112.json --data faces --made
      maskwatch evaluate --data faces --against runs/cctv-112/cctv-112-float.tflite
    """
    if bool(data) == (scenes is not None):
        raise UsageError("give either --data FOLDER (one or more) or --scenes annotations.json")
    if scenes is not None:
        refuse(
            {"split", "source", "leaks"}, "apply to --data only; all photographs of --scenes are used"
        )
    else:
        refuse({"smallest_face", "score"}, "apply to --scenes only; --data needs no detector")
    _need_plots()
    from maskwatch.lab.training import evaluation
    from maskwatch.vision.masks import MaskClassifier

    classifier = MaskClassifier(model)
    other = None if against is None else (against.name, evaluation.load_other(classifier, against))
    if scenes is not None:
        done = _scenes(
            classifier, scenes, other, made=made, smallest=smallest_face, score=score, rounds=rounds
        )
    else:
        done = _crops(classifier, data, split, source, leaks, other, made=made, rounds=rounds)
    click.echo(_as_json(done) if as_json else evaluation.as_text(done))
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(_as_json(done) + "\n", encoding="utf-8")
    if out is not None:
        evaluation.write_pictures(done, out)
    if record is not None:
        evaluation.record(classifier.path, classifier.manifest, done, record)


def _need_plots() -> None:
    """Raise DependencyError where the extra `train` is not installed; TensorFlow is not needed."""
    try:
        import matplotlib  # noqa: F401 - checked first, so that a long evaluation does not fail at its end
    except ImportError as error:
        raise DependencyError(
            f"evaluation needs the extra `train`: pip install 'maskwatch[train]' ({error})"
        ) from error


def _as_json(done: Evaluation) -> str:
    from maskwatch.files import json_text

    return json_text(done, indent=2)


def _scenes(
    model: MaskClassifier,
    annotations: Path,
    against: OtherModel,
    *,
    made: bool,
    smallest: float,
    score: float,
    rounds: int,
) -> Evaluation:
    from maskwatch.lab.training.dataset import load_scenes, read_scenes
    from maskwatch.lab.training.wholepath import judge_scenes, path_figures

    dataset = load_scenes(annotations)
    scenes = read_scenes(annotations)
    judgements, unreadable = judge_scenes(
        scenes, model, smallest=smallest, score=score, on_progress=_show_progress
    )
    path = path_figures(judgements, len(scenes), unreadable, rounds)
    done = _evaluated(model, dataset.photos, dataset.unreadable, made=made, rounds=rounds, path=path)
    return _compared(done, model, against, dataset.photos)


def _crops(
    model: MaskClassifier,
    data: Sequence[Path],
    split: str,
    sources: Sequence[str],
    leaks: Path | None,
    against: OtherModel,
    *,
    made: bool,
    rounds: int,
) -> Evaluation:
    from maskwatch.lab.training import evaluation
    from maskwatch.lab.training.dataset import load_crops

    dataset = evaluation.merged([load_crops(folder) for folder in data])
    photos = evaluation.chosen(dataset.photos, split, sources)
    if leaks is not None:
        photos = evaluation.without_leaks(photos, leaks)
    done = _evaluated(model, photos, dataset.unreadable, made=made, rounds=rounds)
    return _compared(done, model, against, photos)


def _compared(
    done: Evaluation, model: MaskClassifier, against: OtherModel, photos: Sequence[Photo]
) -> Evaluation:
    """Return `done` with the requested comparison."""
    import msgspec

    from maskwatch.lab.training.evaluation import compare

    if against is None:
        return done
    return msgspec.structs.replace(done, comparison=compare(model, *against, photos))


def _evaluated(
    model: MaskClassifier,
    photos: Sequence[Photo],
    unreadable: tuple[str, ...],
    *,
    made: bool,
    rounds: int,
    path: object = None,
) -> Evaluation:
    from maskwatch.lab.machine import machine
    from maskwatch.lab.training import evaluation
    from maskwatch.lab.training.wholepath import PathFigures

    assert path is None or isinstance(path, PathFigures)
    return evaluation.Evaluation(
        model=model.id,
        sha256=model.manifest.sha256,
        command=shlex.join(["maskwatch", *sys.argv[1:]]),
        machine=machine(),
        date=evaluation.today(),
        unreadable=unreadable,
        sets=tuple(
            evaluation.evaluate_faces(
                model, photos, evaluation.EvaluationOptions(made=made, rounds=rounds)
            )
        ),
        path=path,
    )


def _show_progress(done: int, total: int) -> None:
    """Show progress on one line, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(f"\r{done}/{total} photographs" + ("\n" if done == total else ""), nl=False, err=True)
