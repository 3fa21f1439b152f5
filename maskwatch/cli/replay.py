"""`maskwatch replay`: run the pipeline over a recorded file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack
from zoneinfo import ZoneInfo

import click

from maskwatch.cli.options import clip_options
from maskwatch.errors import UsageError

if TYPE_CHECKING:
    from maskwatch.config.schema import CameraConfig
    from maskwatch.replay.replay import Replay, ReplayedChange, ReplayStep
    from maskwatch.replay.speed import TimedSteps

StepHandler = Callable[["ReplayStep"], None]


class _Options(TypedDict):
    config_file: Path | None
    camera: str | None
    start: str | None
    annotate: Path | None
    pictures: Path | None
    gate: bool
    as_json: bool
    explain: bool
    plot: Path | None


@click.command()
@click.argument("clip", type=click.Path(path_type=Path))
@clip_options
@click.option(
    "--start",
    metavar="TIME",
    help="Time of the first frame, for schedules; in the camera's time zone unless it names another.  "
    "[default: the file's creation time]",
)
@click.option("--annotate", type=click.Path(path_type=Path), help="Write a video with boxes here.")
@click.option("--pictures", type=click.Path(path_type=Path), help="Write the alerts' pictures here.")
@click.option("--gate/--no-gate", default=True, help="Whether frames without motion are skipped.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each change.")
@click.option("--explain", is_flag=True, help="Explain for each person why they were reported, or not.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the evidence as an SVG file here.")
def replay(clip: Path, **options: Unpack[_Options]) -> None:
    """Run the pipeline over a recorded file, as fast as possible, on the file's own clock.

    Every run on one machine gives the same events. Faces are covered in every picture and video.

    \b
    Examples:
      maskwatch replay clip.mp4
      maskwatch replay clip.mp4 --config config.yaml --camera entrance --annotate out.mp4
      maskwatch replay clip.mp4 --explain --plot evidence.svg
    """
    _refuse_overwriting(clip, options)
    from maskwatch.replay.speed import TimedSteps

    run = _prepare(clip, options)
    timed = TimedSteps(run)
    steps = iter(timed)
    first = list(islice(steps, 1))  # an unreadable clip fails here, before any file is written
    for note in run.info.notes if run.info else ():
        click.echo(f"{clip}: {note}", err=True)
    if not options["start"]:
        _report_start(run, as_json=options["as_json"])
    with ExitStack() as stack:
        handlers = [_printer(as_json=options["as_json"])]
        if options["annotate"]:
            handlers.append(_annotator(stack, options["annotate"], run.camera))
        if options["pictures"]:
            handlers.append(_picture_writer(options["pictures"]))
        print_explanation = _explainer(handlers, run.camera, options)
        for step in chain(first, steps):
            for handle in handlers:
                handle(step)
    print_explanation()
    if not options["as_json"]:
        click.echo(f"{run.frames} frames, {run.analysed} analysed, {run.opened} violations", err=True)
    _report_speed(timed)


def _refuse_overwriting(clip: Path, options: _Options) -> None:
    """Raise UsageError when an output file is the clip itself."""
    for option in ("annotate", "plot"):
        target = options[option]
        if target is not None and target.exists() and clip.exists() and target.samefile(clip):
            raise UsageError(f"--{option} would overwrite the clip itself; choose another file")


def _prepare(clip: Path, options: _Options) -> Replay:
    from maskwatch.config.load import load
    from maskwatch.replay.replay import Replay, choose_camera, default_config

    file = options["config_file"]
    config = load(file, secrets=False) if file else default_config(clip)
    camera = choose_camera(config, options["camera"])
    start = _parse_start(options["start"], camera.time_zone) if options["start"] else None
    return Replay(clip, config, camera, start, gated=options["gate"])


def _parse_start(text: str, time_zone: str) -> datetime:
    """Return a time in UTC, read in `time_zone` unless it names another offset itself."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--start: {text!r} is not a time: expected 2026-03-01T12:00, or 2026-03-01T12:00+01:00"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(time_zone))).astimezone(UTC)


def _report_start(run: Replay, *, as_json: bool) -> None:
    """Report the time of the first frame where it is assumed, or a schedule depends on it."""
    from maskwatch.config.schema import Schedule

    rules = (run.camera.schedule, *(zone.schedule for zone in run.camera.zones))
    scheduled = any(rule != Schedule() for rule in rules)
    if run.start is None or not (scheduled or not (run.start_is_known or as_json)):
        return
    local = run.start.astimezone(ZoneInfo(run.camera.time_zone))
    origin = "the file's creation time" if run.start_is_known else "assumed: the file names no time"
    click.echo(
        f"The first frame is of {local:%a %Y-%m-%d %H:%M %Z} ({origin}); --start sets it.", err=True
    )


def _report_speed(timed: TimedSteps) -> None:
    """Report that the machine is too slow to analyse such a camera live, if it is."""
    if timed.too_slow:
        click.echo(
            f"This machine is too slow for this camera now: {timed.media:.1f} s of video took "
            f"{timed.seconds:.1f} s. Live, it would be overloaded: lower its rate.",
            err=True,
        )


def _printer(*, as_json: bool) -> StepHandler:
    from maskwatch.replay.replay import replayed_changes

    def handle(step: ReplayStep) -> None:
        for change in replayed_changes(step):
            click.echo(_json(change) if as_json else _line(change))

    return handle


def _annotator(stack: ExitStack, path: Path, camera: CameraConfig) -> StepHandler:
    from maskwatch.replay.annotate import AnnotatedVideo

    video = stack.enter_context(AnnotatedVideo(path, camera))

    def handle(step: ReplayStep) -> None:
        if step.frame is not None:
            video.write(step.frame, step.result)

    return handle


def _picture_writer(folder: Path) -> StepHandler:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot create the folder: {error.strerror}") from error

    def handle(step: ReplayStep) -> None:
        for change, picture in step.result.changes:
            if picture is not None:
                (folder / f"{change.violation.id}-{change.number}.jpg").write_bytes(picture)

    return handle


def _explainer(
    handlers: list[StepHandler], camera: CameraConfig, options: _Options
) -> Callable[[], None]:
    """Add a handler that collects the explanation; return a function that prints it at the end."""
    explain, plot = options["explain"], options["plot"]
    if not (explain or plot):
        return lambda: None
    from maskwatch.replay.explain import Explanation, evidence_svg

    explanation = Explanation(camera)
    handlers.append(explanation.add)

    def print_explanation() -> None:
        for line in explanation.lines() if explain else ():
            click.echo(line)
        if plot is not None:
            _write(plot, evidence_svg(explanation))

    return print_explanation


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def _json(change: ReplayedChange) -> str:
    import msgspec

    return msgspec.json.encode(change, order="deterministic").decode()


def _line(replayed: ReplayedChange) -> str:
    change = replayed.change
    violation = change.violation
    what = violation.verdict.value.replace("_", " ")
    end = f", {violation.close_reason.value}" if violation.close_reason else ""
    where = f" in {violation.zone}" if violation.zone else ""
    return (
        f"{replayed.moment:8.2f} s  {change.kind.value:8}{what}{where}, person {violation.track}, "
        f"confidence {violation.confidence:.3f}, {violation.readings} readings{end}"
    )
