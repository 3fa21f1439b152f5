"""`maskwatch demo`: the whole system on this machine, in about a minute; up to four on a slow one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.options import CommandWithRenamedOptions

if TYPE_CHECKING:
    from maskwatch.lab.demo import Demo, DemoResult
    from maskwatch.lab.listener import Arrival


@click.command(cls=CommandWithRenamedOptions, renamed={"--output": "--out"})
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".demo"),
    show_default=True,
    help="Folder to write clips, database, pictures and the daemon's log to.",
)
def demo(out: Path) -> None:
    """Show the whole system: cameras, daemon, broker, alerts, metrics.

    Renders scenes of people with and without masks, serves them as RTSP cameras, runs the real
    daemon on them with a real MQTT broker, and prints each alert as an independent subscriber
    receives it. The exit code is 0 only if the alerts are exactly the visits without a mask.
    A machine that is too slow or busy is measured first: the clips are then played slower.

    \b
    Examples:
      maskwatch demo
      maskwatch demo --out /tmp/maskwatch-demo
    """
    from maskwatch.lab.demo import Demo

    system = Demo(out.resolve(), click.echo, lambda arrival: click.echo(_line(arrival)))
    result = system.run()
    _summary(result, system)
    sys.exit(0 if result.account.exact and result.exit_code == 0 else 1)


def _line(arrival: Arrival) -> str:
    alert = arrival.alert
    words = {
        "opened": f"no mask: {alert.confidence:.1%} sure after {alert.readings} looks, "
        f"face {alert.face_height:.0f} px",
        "updated": f"still without a mask, better picture, face {alert.face_height:.0f} px",
        "closed": f"over: {'put a mask on' if alert.close_reason == 'masked' else alert.close_reason}",
    }
    time = arrival.arrived.astimezone().strftime("%H:%M:%S")
    # A visit ends a while after the last sight of the person: only other alerts have a latency.
    latency = f"  [{arrival.latency * 1000:.0f} ms after the frame]" if alert.change != "closed" else ""
    return f"  {time}  {alert.camera:<10} {alert.change.upper():<8} {words[alert.change]}{latency}"


def _summary(result: DemoResult, system: Demo) -> None:
    account, metrics = result.account, result.metrics
    opened = sorted(a.latency for a in result.arrivals if a.alert.change == "opened")
    click.echo("\nSummary")
    click.echo(
        f"  seen       {metrics.get('maskwatch_people_total', 0):.0f} people in "
        f"{metrics.get('maskwatch_frames_total analysed', 0):.0f} analysed frames"
    )
    click.echo(f"  reported   {len(account.found)} visits without a mask, each once:")
    for visit, report in account.found:
        after = (report.at - visit.begins).total_seconds()
        click.echo(f"             {visit.camera}: {visit.person}, {after:.1f} s after coming into view")
    click.echo(f"  delivered  {len(result.arrivals)} messages to an independent MQTT subscriber")
    if opened:
        click.echo(
            f"  latency    {opened[len(opened) // 2] * 1000:.0f} ms from frame to message (median)"
        )
    click.echo(f"  pictures   {len(result.pictures)} anonymized, in {system.data / 'pictures'}")
    click.echo(f"  database   {system.data / 'maskwatch.db'}; daemon's log {system.log}")
    click.echo(f"  daemon     ended with exit code {result.exit_code}")
    _judge(result)


def _judge(result: DemoResult) -> None:
    """Print what was wrong; a camera of which too few frames were analysed is not judged."""
    account, too_slow = result.account, {each.camera for each in result.too_slow}
    for each in result.too_slow:
        click.secho(
            f"  TOO SLOW   {each.camera}: this machine analysed {each.analysed} of {each.due} frames; "
            "try again when it is less busy",
            fg="yellow",
        )
    for visit in account.missed:
        if visit.camera not in too_slow:
            click.secho(f"  MISSED     {visit.camera}: {visit.person}", fg="red")
    for report in account.surplus:
        if report.camera not in too_slow:
            click.secho(
                f"  FALSE      {report.camera} at {report.at:%H:%M:%S}: violation {report.id}", fg="red"
            )
    if account.exact and result.exit_code == 0:
        click.secho("  The alerts are exactly the visits without a mask.", fg="green")
