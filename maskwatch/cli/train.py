"""`maskwatch train`: from folders of pictures to a quantized model with its manifest and report."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.options import explicit_options, refuse
from maskwatch.errors import DependencyError, UsageError

if TYPE_CHECKING:
    from maskwatch.lab.training.history import Epoch
    from maskwatch.lab.training.loop import Progress
    from maskwatch.lab.training.settings import Recipe
    from maskwatch.lab.training.stages import Stage

_RATES = {"cctv": 1e-3, "paper": 1e-4, "features": 1e-3}
_SIZES = {"cctv": 112, "paper": 224, "features": 128}


def need_training() -> None:
    """Import TensorFlow quietly. Raises DependencyError where the extra `train` is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        import matplotlib  # noqa: F401 - checked first, so that a long run does not fail at its end
        import sklearn  # noqa: F401 - the same
        import tensorflow  # noqa: F401 - the same
    except ImportError as error:
        raise DependencyError(
            f"training needs the extra `train`: pip install 'maskwatch[train]' ({error})"
        ) from error


@click.command()
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of crops, a sub-folder per class.",
)
@click.option(
    "--scenes",
    multiple=True,
    type=click.Path(path_type=Path),
    help="annotations.json of whole photographs with boxed faces.",
)
@click.option(
    "--leaks",
    multiple=True,
    type=click.Path(path_type=Path),
    help="CSV (test_path, train_path) of pictures not to train on.",
)
@click.option(
    "--hold-out",
    multiple=True,
    metavar="SOURCE",
    help="Source that is excluded from training and measured in the report.",
)
@click.option(
    "--drop", multiple=True, metavar="SOURCE", help="Source that is excluded from training and report."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder to write the new run to.  [default: runs/RECIPE-SIZE]",
)
@click.option(
    "--name",
    default="",
    help="Name (id) of the model and of its files: lower-case letters, digits, . _ and -.  "
    "[default: that of the run's folder]",
)
@click.option("--licence", default="not stated", show_default=True, help="Licence of the model.")
@click.option("--data-licence", default="not stated", show_default=True, help="Licence of the pictures.")
@click.option("--resume", type=click.Path(path_type=Path), help="Run folder to continue.")
@click.option(
    "--recipe",
    type=click.Choice(["cctv", "paper", "features"]),
    default="cctv",
    show_default=True,
    help="cctv: fine-tune on camera-like crops; paper: train a head; features: scikit-learn.",
)
@click.option(
    "--size",
    type=click.IntRange(32, 512),
    help="Input side in pixels.  [default: 112; paper 224; features 128]",
)
@click.option(
    "--width",
    type=click.FloatRange(0, 1.4, min_open=True),
    default=1.0,
    show_default=True,
    help="Width multiplier.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1),
    default=0.15,
    show_default=True,
    help="Margin added to each side of a face box, as a share of it.",
)
@click.option(
    "--epochs", type=click.IntRange(1), default=20, show_default=True, help="Number of epochs."
)
@click.option(
    "--samples",
    type=click.IntRange(0),
    default=0,
    help="Crops per epoch.  [default: as many as pictures]",
)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Crops per step.")
@click.option(
    "--freeze",
    type=click.IntRange(0, 16),
    default=0,
    show_default=True,
    help="Number of first blocks of the network that are not trained. Larger: faster.",
)
@click.option(
    "--threads",
    type=click.IntRange(0),
    default=0,
    help="TensorFlow's threads.  [default: one per processor]",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Peak learning rate.  [default: 0.001; paper 0.0001]",
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Strength of the simulated camera's degradations.",
)
@click.option(
    "--lean",
    type=click.FloatRange(-5, 5),
    default=0.0,
    show_default=True,
    help="Nats added to the logit of no mask; choose the value with --hold-out.",
)
@click.option(
    "--validation",
    type=click.FloatRange(0, 0.9, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of the data used for validation.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=42, show_default=True, help="Seed of every random choice."
)
@click.option(
    "--weights",
    default="",
    help="ImageNet weights (.h5 without top), a .keras file, a model's manifest, the id of a shipped "
    "model (masks-112), or none.  [default: Keras's ImageNet weights]",
)
@click.option("--teacher", default="", help=".keras file of a run to learn from (distillation).")
def train(  # noqa: PLR0913 - one parameter per option
    *,
    data: tuple[Path, ...],
    scenes: tuple[Path, ...],
    leaks: tuple[Path, ...],
    hold_out: tuple[str, ...],
    drop: tuple[str, ...],
    out: Path | None,
    name: str,
    licence: str,
    data_licence: str,
    resume: Path | None,
    recipe: Recipe,
    size: int | None,
    width: float,
    margin: float,
    epochs: int,
    samples: int,
    batch: int,
    freeze: int,
    threads: int,
    rate: float | None,
    strength: float,
    lean: float,
    validation: float,
    seed: int,
    weights: str,
    teacher: str,
) -> None:
    r"""Train a mask model, quantize it and write a report.

    DATA has one sub-folder per class: with_mask, without_mask and, optionally, mask_worn_incorrectly.
    A split.csv (path, split) beside them excludes its test pictures, and pictures similar to them, from
    training; a manifest.csv (path, source, original) names where each picture comes from.

    \b
    Examples:
      maskwatch train --data faces --epochs 10
      maskwatch train --data faces --scenes hall/annotations.json --hold-out hall
      maskwatch train --data faces --out runs/hall --name hall-2026 --licence CC-BY-4.0
      maskwatch train --data faces --recipe paper --out runs/paper
      maskwatch train --data faces --weights masks-112 --rate 0.0003 --out runs/hall
      maskwatch train --resume runs/cctv-112
    """
    if resume is None and not data and not scenes:
        raise UsageError("nothing to train on: give --data FOLDER, --scenes FILE, or --resume RUN")
    if resume is not None:
        refuse(explicit_options() - {"resume"}, "a run continues with its original settings")
    need_training()
    from maskwatch.lab.training.interrupt import InterruptGuard
    from maskwatch.lab.training.run import ProgressReport, resume_run, start_run
    from maskwatch.lab.training.settings import Settings

    interrupt = InterruptGuard()

    def on_progress(state: Progress | Epoch | Stage) -> None:
        interrupt.check()
        _show_progress(state)

    report = ProgressReport(click.echo, on_progress)
    folder = resume or out or Path("runs") / f"{recipe}-{size or _SIZES[recipe]}"
    with _reported_interrupt(folder), interrupt:
        if resume is not None:
            manifest = resume_run(resume, report)
        else:
            settings = Settings(
                data=tuple(map(str, data)),
                scenes=tuple(map(str, scenes)),
                leaks=tuple(map(str, leaks)),
                recipe=recipe,
                hold_out=hold_out,
                drop=drop,
                size=size or _SIZES[recipe],
                width=width,
                margin=margin,
                epochs=epochs,
                samples=samples,
                batch=batch,
                freeze=freeze,
                threads=threads,
                rate=rate or _RATES[recipe],
                strength=strength,
                seed=seed,
                lean=lean,
                validation=validation,
                weights=weights,
                teacher=teacher,
                name=name,
                licence=licence,
                data_licence=data_licence,
            )
            manifest = start_run(settings, folder, report)
    click.echo((manifest.parent / "report.txt").read_text(encoding="utf-8"))
    click.echo(f"model: {manifest}")
    click.echo(
        f"measure it: maskwatch evaluate --model {manifest} --data FOLDER --split test --record NAME"
    )
    click.echo(f"use it: maskwatch models use {shlex.quote(str(manifest))} --config config.yaml")


@contextmanager
def _reported_interrupt(run: Path) -> Iterator[None]:
    """Report at Ctrl-C what is kept, and exit with code 130."""
    from maskwatch.lab.training.history import read_history

    try:
        yield
    except KeyboardInterrupt:
        epochs = len(read_history(run))
        kept = "no epoch was complete, so nothing is kept"
        if epochs:
            kept = f"{epochs} complete epochs are kept; continue with `maskwatch train --resume {run}`"
        click.echo(f"\nstopped; {kept}", err=True)
        sys.exit(130)


def _show_progress(state: Progress | Epoch | Stage) -> None:
    """Show progress on one line of a terminal, and print lines for epochs and stages."""
    from maskwatch.lab.training.history import Epoch
    from maskwatch.lab.training.stages import Stage

    if isinstance(state, Stage):
        _show_stage(state)
    elif isinstance(state, Epoch):
        click.echo(
            f"\repoch {state.epoch}: loss {state.loss:.4f}, accuracy {state.accuracy:.4f}, "
            f"validation loss {state.val_loss:.4f}, accuracy {state.val_accuracy:.4f}, "
            f"{state.seconds:.0f} s"
        )
    elif sys.stderr.isatty():
        done = 30 * state.step // state.steps
        click.echo(
            f"\repoch {state.epoch}/{state.epochs} [{'#' * done:.<30}] loss {state.loss:.3f}",
            nl=False,
            err=True,
        )


def _show_stage(stage: Stage) -> None:
    """Show a stage on one line of a terminal; elsewhere print a line at every quarter of it.

    Standard error, since the converter's standard output is dropped.
    """
    text = f"{stage.text}: {stage.done} of {stage.total}" if stage.total else stage.text
    if sys.stderr.isatty():
        click.echo(f"\r{text}", nl=stage.done == stage.total, err=True)
    elif stage.done in {stage.total * quarter // 4 for quarter in range(5)}:
        click.echo(text, err=True)
