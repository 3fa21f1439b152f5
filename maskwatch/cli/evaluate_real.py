"""`maskwatch evaluate --events --real`: the whole system on recorded clips with expected events."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.options import clip_options
from maskwatch.errors import UsageError
from maskwatch.files import json_text

if TYPE_CHECKING:
    from maskwatch.config.schema import Config

_Path = click.Path(path_type=Path)


@click.command("evaluate --events --real")
@click.option(
    "--real",
    "folder",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Folder of the clips and their expected.json.",
)
@click.option(
    "--events", is_flag=True, expose_value=False, help="Evaluate the whole system; --real implies it."
)
@click.option("--clip", "clips", multiple=True, help="Only this clip of the folder's expected.json.")
@clip_options
@click.option(
    "--lag",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    help="A report about somebody who was masked for so many seconds is false.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    default=0.4,
    show_default=True,
    help="Seconds by which a report may be before or after the face was there.",
)
@click.option(
    "--jobs", type=click.IntRange(1), help="Number of parallel processes.  [default: one per processor]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--report", type=_Path, help="Write the report as JSON to this file.")
@click.option(
    "--strips", type=_Path, help="Folder for a PNG of each clip: a strip for each expected person."
)
def real(  # noqa: PLR0913 - one parameter per option
    *,
    folder: Path,
    clips: tuple[str, ...],
    config_file: Path | None,
    camera: str | None,
    lag: float,
    tolerance: float,
    jobs: int | None,
    as_json: bool,
    report: Path | None,
    strips: Path | None,
) -> None:
    r"""Compare reports with the events that a person expects of the clips in FOLDER.

    FOLDER holds the clips and expected.json, which names who is to be reported from when on
    (docs/real-clips.md). Shares have Wilson's 95 % interval. Every miss, late report, duplicate and
    false alarm is listed; a miss with the part of the pipeline that caused it.

    \b
    Examples:
      maskwatch evaluate --events --real clips
      maskwatch evaluate --events --real clips --strips strips --report real.json
      maskwatch evaluate --events --real clips --config config.yaml --camera entrance --clip door.mp4
    """
    from maskwatch.lab.evaluation.real_clips import read_expected
    from maskwatch.lab.evaluation.real_events import Judging
    from maskwatch.lab.evaluation.real_run import choose_clips, report_of, run_real
    from maskwatch.lab.evaluation.real_strips import write_strips
    from maskwatch.lab.evaluation.real_text import real_text

    config = _config(config_file, camera)
    chosen, absent = choose_clips(folder, read_expected(folder), clips)
    judging = Judging(lag=lag, tolerance=tolerance)
    results = []
    for result in run_real(
        folder, chosen, judging, config=config, camera=camera, jobs=jobs, on_progress=_show_progress
    ):
        results.append(result)
        if strips is not None:
            write_strips(result, strips)
    done = report_of(results, absent, shlex.join(["maskwatch", *sys.argv[1:]]))
    click.echo(json_text(done, indent=2) if as_json else real_text(done))
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json_text(done, indent=2) + "\n", encoding="utf-8")


real.help = (real.help or "").replace("\\b\n", "\b\n")


def _config(path: Path | None, camera: str | None) -> Config | None:
    """Return the configuration, with the camera chosen; None without a file."""
    from maskwatch.config.load import load
    from maskwatch.replay.replay import choose_camera

    if path is None:
        if camera is not None:
            raise UsageError("--camera names a camera of a configuration file: give --config FILE too")
        return None
    config = load(path, secrets=False)
    choose_camera(config, camera)  # raises before the first clip is replayed
    return config


def _show_progress(done: int, total: int, name: str) -> None:
    """Show progress on one line, on a terminal only."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        click.echo(f"\r\x1b[K{done}/{total} clips, last {name}{end}", nl=False, err=True)
