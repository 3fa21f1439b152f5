"""`maskwatch evaluate --events`: the whole system on scenes whose events are known."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from maskwatch.cli.evaluate_real import real
from maskwatch.cli.options import CommandWithRenamedOptions
from maskwatch.files import json_text

_Path = click.Path(path_type=Path, exists=True)


@click.command(
    "evaluate --events",
    cls=CommandWithRenamedOptions,
    renamed={"--json": "--report", "--picture": "--plot"},
)
@click.option(
    "--real",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    expose_value=False,
    help="Evaluate recorded clips instead (see `evaluate --events --real --help`).",
)
@click.option(
    "--quick",
    is_flag=True,
    help="A few kinds of scenes, one seed, no footage without events; takes a minute.",
)
@click.option(
    "--seeds", type=click.IntRange(1), default=5, show_default=True, help="Clips of each kind."
)
@click.option("--kind", "kinds", multiple=True, help="Only this kind (see `maskwatch scenes list`).")
@click.option("--faces", type=_Path, help="Folder of further portraits.")
@click.option("--portraits", type=_Path, help="Text file that names the portraits to take, one a line.")
@click.option(
    "--quiet-clip",
    multiple=True,
    type=_Path,
    help="Recorded clip without events, as part of the quiet footage.",
)
@click.option(
    "--quiet-minutes",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Length of the quiet footage.",
)
@click.option("--model", type=_Path, help="Manifest of the mask model.  [default: the shipped one]")
@click.option(
    "--jobs", type=click.IntRange(1), help="Number of parallel processes.  [default: one per processor]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the report as JSON to this file.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the figures as an SVG file here.")
@click.option(
    "--page", type=click.Path(path_type=Path), help="Write the figures as Markdown into this file."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the clips with errors.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Folder in which rendered clips are kept and reused.",
)
def events(  # noqa: PLR0913 - one parameter per option
    *,
    quick: bool,
    seeds: int,
    kinds: tuple[str, ...],
    faces: Path | None,
    portraits: Path | None,
    quiet_clip: tuple[Path, ...],
    quiet_minutes: float,
    model: Path | None,
    jobs: int | None,
    as_json: bool,
    report: Path | None,
    plot: Path | None,
    page: Path | None,
    keep: Path | None,
    cache: Path | None,
) -> None:
    r"""Compare reports with the expected events on rendered scenes.

    Each scene is rendered from a seed, replayed at 5 frames a second, and evaluated by rules on the
    ground truth alone. Figures have 95 % intervals; every miss, false alarm and duplicate is listed.

    \b
    Examples:
      maskwatch evaluate --events --quick
      maskwatch evaluate --events --faces portraits --report events.json
      maskwatch evaluate --events --kind poster --kind mannequin --seeds 20
    """
    from maskwatch.lab.evaluation.page import as_page
    from maskwatch.lab.evaluation.picture import events_svg
    from maskwatch.lab.evaluation.portraits_choice import choose_portraits
    from maskwatch.lab.evaluation.report import summarise
    from maskwatch.lab.evaluation.run import make_plan, run_plan
    from maskwatch.lab.evaluation.text import as_text
    from maskwatch.vision.masks import MaskClassifier

    chosen = choose_portraits(faces, portraits)
    name = MaskClassifier(model).id
    plan = make_plan(
        seeds=seeds,
        quick=quick,
        kinds=kinds,
        footage=quiet_clip,
        quiet_seconds=60 * quiet_minutes,
        model=str(model) if model else "",
        keep=keep,
        cache=cache,
    )
    results = list(run_plan(plan, chosen, jobs=jobs, on_progress=_show_progress))
    figures = summarise(
        [result for clip, result in results if clip.negative is None],
        [result for clip, result in results if clip.negative is not None],
        model=name,
        command=shlex.join(["maskwatch", *sys.argv[1:]]),
    )
    report_json = json_text(figures, indent=2) + "\n"
    click.echo(report_json if as_json else as_text(figures), nl=not as_json)
    if report is not None:
        _write(report, report_json)
    if plot is not None:
        _write(plot, events_svg(figures))
    if page is not None:
        drawn = os.path.relpath(plot, page.parent) if plot is not None else ""
        _write(page, as_page(figures, datetime.now(tz=UTC).date(), drawn))


# As `app` does for the verbs themselves: `\\b` in a raw docstring keeps the lines after it.
events.help = (events.help or "").replace("\\b\n", "\b\n")


class WithEvents(CommandWithRenamedOptions):
    """A command that delegates to `events` on ``--events``, and to `real` on ``--real``."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of the requested command."""
        if any(arg == "--real" or arg.startswith("--real=") for arg in args):
            # `--real --help` names no folder: help is wanted, not a folder of that name.
            args = ["--help"] if "--help" in args else args
            return real.make_context(f"{info_name} --events", args, parent, **extra)
        if "--events" not in args:
            return super().make_context(info_name, args, parent, **extra)
        rest = [arg for arg in args if arg != "--events"]
        return events.make_context(f"{info_name} --events", rest, parent, **extra)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _show_progress(done: int, total: int) -> None:
    """Show progress on one line, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(f"\r{done}/{total} clips" + ("\n" if done == total else ""), nl=False, err=True)
