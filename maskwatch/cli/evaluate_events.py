"""`maskwatch evaluate --events`: the whole system on scenes whose events are known."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maskwatch.errors import DataError

if TYPE_CHECKING:
    from maskwatch.testing.events_report import EventFigures
    from maskwatch.testing.scenes import Head

__all__ = ["WithEvents", "events", "heads_for"]

_Path = click.Path(path_type=Path, exists=True)


@click.command("evaluate --events")
@click.option("--quick", is_flag=True, help="A few kinds of scenes, one seed, no quiet hour: a minute.")
@click.option(
    "--seeds", type=click.IntRange(1), default=5, show_default=True, help="Clips of each kind."
)
@click.option("--kind", "kinds", multiple=True, help="Only this kind (see `maskwatch scenes list`).")
@click.option("--faces", type=_Path, help="Folder of further portraits.")
@click.option("--portraits", type=_Path, help="Text file that names the portraits to take, one a line.")
@click.option(
    "--quiet-clip", multiple=True, type=_Path, help="Recorded clip without events, for the quiet hour."
)
@click.option(
    "--quiet-minutes",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Length of footage without events.",
)
@click.option("--model", type=_Path, help="Manifest of the mask model.  [default: the shipped one]")
@click.option("--jobs", type=click.IntRange(1), help="Processes at once.  [default: one per processor]")
@click.option(
    "--json", "as_json", type=click.Path(path_type=Path), help="Write everything as JSON to this file."
)
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep the clips that went wrong in this folder."
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
    as_json: Path | None,
    keep: Path | None,
) -> None:
    r"""Compare what is reported with what should be, on rendered scenes.

    Each scene is rendered from a seed, replayed at 5 frames a second, and judged by rules that
    know only the ground truth. Figures come with 95 % intervals; every miss, every false alarm
    and every duplicate is named.

    \b
    Examples:
      maskwatch evaluate --events --quick
      maskwatch evaluate --events --faces portraits --json events.json
      maskwatch evaluate --events --kind poster --kind mannequin --seeds 20
    """
    from maskwatch.testing.events_report import as_text, summarise
    from maskwatch.testing.events_run import plan, run_plan
    from maskwatch.vision.masks import MaskClassifier

    heads = heads_for(faces, portraits)
    name = MaskClassifier(model).id
    todo = plan(
        seeds=seeds,
        quick=quick,
        kinds=kinds,
        footage=quiet_clip,
        quiet_seconds=60 * quiet_minutes,
        model=str(model) if model else "",
        keep=keep,
    )
    done = list(run_plan(todo, heads, jobs=jobs, tell=_tell))
    figures = summarise(
        [outcome for run, outcome in done if run.quiet is None],
        [outcome for run, outcome in done if run.quiet is not None],
        model=name,
        command=shlex.join(["maskwatch", *sys.argv[1:]]),
        faces=len(heads),
    )
    click.echo(as_text(figures))
    if as_json is not None:
        _write(as_json, figures)


# As `app` does for the verbs themselves: `\\b` in a raw docstring keeps the lines after it.
events.help = (events.help or "").replace("\\b\n", "\b\n")


class WithEvents(click.Command):
    """A command that hands over to `events`, which has options of its own, on ``--events``."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of whichever of the two commands was meant."""
        if "--events" not in args:
            return super().make_context(info_name, args, parent, **extra)
        rest = [arg for arg in args if arg != "--events"]
        return events.make_context(f"{info_name} --events", rest, parent, **extra)


def heads_for(folder: Path | None, listed: Path | None) -> tuple[Head, ...]:
    """Return the packaged portraits and those asked for."""
    from maskwatch.reading import MIB, read_file
    from maskwatch.testing.scenes import default_heads, heads_from

    if folder is None:
        return default_heads()
    if listed is None:
        return default_heads() + heads_from(folder)
    try:
        text = read_file(listed, MIB).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{listed}: is not text; expected a picture's name on each line") from None
    lines = (line.strip() for line in text.splitlines())
    names = [line for line in lines if line and not line.startswith("#")]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{listed}: {missing[0]} and {len(missing) - 1} more are not in {folder}")
    return default_heads() + heads_from(folder, names)


def _write(path: Path, figures: EventFigures) -> None:
    import msgspec

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")


def _tell(done: int, total: int) -> None:
    """Write a bar that overwrites itself, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(f"\r{done}/{total} clips" + ("\n" if done == total else ""), nl=False, err=True)
