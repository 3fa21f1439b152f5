"""`maskwatch scenes`: render clips of people with and without masks, with ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.options import CommandWithRenamedOptions
from maskwatch.errors import UsageError

if TYPE_CHECKING:
    from maskwatch.lab.evaluation.rules import ExpectedEvent
    from maskwatch.lab.scenes.portraits import Head
    from maskwatch.lab.truth import Truth

_RESOLUTIONS = {"360p": (640, 360), "540p": (960, 540), "720p": (1280, 720), "1080p": (1920, 1080)}


@click.group()
def scenes() -> None:
    r"""Render test scenes with ground truth.

    \b
    Examples:
      maskwatch scenes list
      maskwatch scenes render reception --out clips
      maskwatch scenes render crossing --seed 7 --resolution 1080p --faces portraits/ --out clips
      maskwatch scenes expected clips/reception-0.mp4
    """


@scenes.command("list")
def list_() -> None:
    """List the scenes that can be rendered, with their descriptions."""
    from maskwatch.lab.scenes.catalogue import described

    for name, line in described().items():
        click.echo(f"{name:20}{line}")


@scenes.command(cls=CommandWithRenamedOptions, renamed={"--size": "--resolution"})
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder to write clips and truth to.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of every random choice: another seed shows other people.",
)
@click.option(
    "--resolution",
    type=click.Choice(list(_RESOLUTIONS)),
    default="720p",
    show_default=True,
    help="Size of the clip's frames.",
)
@click.option(
    "--fps", type=click.FloatRange(1, 30), default=15.0, show_default=True, help="Frames per second."
)
@click.option(
    "--codec",
    type=click.Choice(["h264", "hevc"]),
    default="h264",
    show_default=True,
    help="Video codec.",
)
@click.option(
    "--faces",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of portraits to use.",
)
def render(
    names: tuple[str, ...],
    out: Path,
    seed: int,
    resolution: str,
    fps: float,
    codec: str,
    faces: Path | None,
) -> None:
    """Render the scenes NAMES (see `list`), each into NAME-SEED.mp4 and its .truth.json."""
    from maskwatch.lab import scenes as lab_scenes
    from maskwatch.lab.scenes.catalogue import scene_named

    chosen = [scene_named(name, seed) for name in names]
    heads = _heads(faces)
    out.mkdir(parents=True, exist_ok=True)
    for name, scene in zip(names, chosen, strict=True):
        path = out / f"{name}-{seed}.mp4"
        truth = lab_scenes.render(
            scene, path, size=_RESOLUTIONS[resolution], fps=fps, seed=seed, faces=heads, codec=codec
        )
        click.echo(f"{path}: {truth.seconds:g} s, {len(truth.visits)} visits")
        _show(truth)


@scenes.command()
@click.argument("clip", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def expected(clip: Path) -> None:
    """Print the events that the ground truth beside CLIP requires."""
    from maskwatch.lab.truth import Truth, truth_path

    path = truth_path(clip)
    if not path.is_file():
        raise UsageError(f"{clip}: no ground truth beside it ({path.name}); was the clip rendered here?")
    _show(Truth.load(path))


def _heads(folder: Path | None) -> tuple[Head, ...]:
    from maskwatch.lab import scenes as lab_scenes

    return lab_scenes.heads_from(folder) if folder else lab_scenes.default_heads()


def _show(truth: Truth) -> None:
    from maskwatch.lab.evaluation.rules import expected_events

    events = expected_events(truth)
    for event in events:
        click.echo(f"  {_line(event)}")
    if not events:
        click.echo("  nothing to report")


def _line(event: ExpectedEvent) -> str:
    """Return one expected event in plain words."""
    since = (
        "never judgeable"
        if event.judgeable_from is None
        else f"judgeable from {event.judgeable_from:.1f} s"
    )
    state = event.state.value.replace("_", " ")
    return (
        f"{event.person}: {state}, {since} for {event.judgeable_seconds:.1f} s, "
        f"until {event.ends:.1f} s ({event.ending.value}); {event.duty.value}"
    )
