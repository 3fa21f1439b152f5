"""`maskwatch bench`: measures how many cameras this machine holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.errors import DependencyError

if TYPE_CHECKING:
    from maskwatch.lab.camera_cost import Cost, Workload

    Ratios = dict[str, dict[str, float]]

_HEIGHTS = (1080, 360)
_PEOPLE = (0, 1, 5)
_RATES = (5.0, 2.0)
_QUICK_S, _FULL_S = 4.0, 12.0
_HEAD = (
    f"{'picture':<12} {'people':>6} {'rate':>5} {'cores':>6} {'over decoding':>13} "
    f"{'memory':>8} {'cameras':>8}"
)


@dataclass(frozen=True, slots=True)
class _Row:
    picture: str
    people: int | None
    workload: Workload


@click.command()
@click.option(
    "--video",
    "clip",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A video as the cameras send it, instead of the rendered clips.",
)
@click.option(
    "--rate",
    "rates",
    type=click.FloatRange(0.1, 60.0),
    multiple=True,
    help="Analysed frames per second; may be given several times.  [default: 5, 2]",
)
@click.option(
    "--quick", is_flag=True, help="One round over a few seconds of video, at one rate; takes a minute."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path.home() / ".cache" / "maskwatch" / "bench",
    help="Keeps the rendered clips.  [default: ~/.cache/maskwatch/bench]",
)
@click.option(
    "--beside",
    is_flag=True,
    help="Also measure other ways to watch a camera: a loop of OpenCV, regions as in Frigate, and the "
    "paper's way (with the extra train). Their columns are ratios to decoding too.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the ratios as a PNG or SVG file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(
    clip: Path | None,
    rates: tuple[float, ...],
    quick: bool,
    folder: Path,
    beside: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    r"""Measure how many cameras this machine holds.

    Decodes and analyses clips as a worker does, without a network, and measures processor time and
    memory. The clips are rendered at the first run: a corridor with 0, 1 and 5 people in view, at
    1920 x 1080 and as a sub-stream of 640 x 360. Takes some minutes; --quick is faster.

    "cores" is the processor time of one camera, "cameras" how many fit on this machine while a third
    of its processor and memory stays free. People walk all the time: a quiet camera costs less.

    \b
    Examples:
      maskwatch bench --quick
      maskwatch bench --rate 5 --json > bench.json
      maskwatch bench --video recorded.mp4
      maskwatch bench --quick --beside --plot cost.svg
    """
    from maskwatch.lab.camera_cost import measure
    from maskwatch.lab.machine import cores, machine, memory

    draw = _plotter(plot)
    chosen = rates or (_RATES[:1] if quick else _RATES)
    others = _other_pipelines() if beside else {}
    rows = list(_rows(clip, chosen, folder, quick=quick, beside=tuple(others)))
    found = []
    drawn: Ratios = {}
    if not as_json:
        for name, what in others.items():
            click.echo(f"{name}: {what}")
        click.echo(f"{machine()}, {cores():g} usable, {memory():.0f} MiB\n{_HEAD}{_columns(others)}")
    for number, row in enumerate(rows, 1):
        click.echo(f"  measuring {number} of {len(rows)}\r", err=True, nl=False)
        cost = measure(row.workload)
        held = cost.cameras(cores(), memory())
        found.append(_record(row, cost, held))
        people = "" if row.people is None else f", {row.people} people"
        drawn[f"{row.picture}{people}, {row.workload.rate:g}/s"] = {
            "maskwatch": cost.ratio
        } | cost.beside
        if not as_json:
            click.echo(_line(row, cost, held))
    if as_json:
        about = {"machine": machine(), "cores": cores(), "memory_mib": round(memory())}
        click.echo(json.dumps({**about, "rows": found}, indent=2))
    draw(machine(), drawn)


def _plotter(path: Path | None) -> Callable[[str, Ratios], None]:
    """Return what draws the ratios. Raises UsageError or DependencyError before anything is measured."""
    if path is None:
        return lambda _title, _ratios: None
    try:
        from maskwatch.lab.cost_plot import check_plot, draw_ratios
    except ImportError as error:
        need = "--plot needs the extra `demo`: pip install 'maskwatch[demo]'"
        raise DependencyError(f"{need} ({error})") from error
    check_plot(path)
    return partial(draw_ratios, path)


def _other_pipelines() -> dict[str, str]:
    from maskwatch.lab.other_pipelines import available

    return available()


def _columns(names: Iterable[str]) -> str:
    return "".join(f" {name:>8}" for name in names)


def _rows(
    clip: Path | None, rates: tuple[float, ...], folder: Path, *, quick: bool, beside: tuple[str, ...]
) -> Iterator[_Row]:
    from maskwatch.lab.camera_cost import Workload

    seconds, rounds = (_QUICK_S, 1) if quick else (_FULL_S, 3)
    for picture, people, path in _clips(clip, folder):
        for rate in rates:
            load = Workload(str(path), rate, seconds=seconds, rounds=rounds, beside=beside)
            yield _Row(picture, people, load)


def _clips(clip: Path | None, folder: Path) -> Iterator[tuple[str, int | None, Path]]:
    if clip is not None:
        from maskwatch.capture.file import FileSource

        with FileSource(clip) as source:
            width, height = source.info.size
        yield f"{width}x{height}", None, clip
        return
    from maskwatch.lab.crowd import crowd_clip

    for height in _HEIGHTS:
        for people in _PEOPLE:
            click.echo(f"  preparing the clips: {height} lines, {people} people \r", err=True, nl=False)
            size = height * 16 // 9, height
            yield f"{size[0]}x{size[1]}", people, crowd_clip(folder, people, size)


def _title(row: _Row) -> str:
    people = "" if row.people is None else f", {row.people} people"
    return f"{row.picture}{people}, {row.workload.rate:g}/s"


def _line(row: _Row, cost: Cost, held: int) -> str:
    people = "-" if row.people is None else row.people
    return (
        f"{row.picture:<12} {people:>6} {row.workload.rate:>5g} {cost.watch:>6.2f} {cost.ratio:>13.2f} "
        f"{cost.memory:>4.0f} MiB {held:>8}{_columns(f'{ratio:.2f}' for ratio in cost.beside.values())}"
    )


def _record(row: _Row, cost: Cost, held: int) -> dict[str, object]:
    about = {"picture": row.picture, "people": row.people, "rate": row.workload.rate}
    return {**about, **asdict(cost), "cameras": held}
