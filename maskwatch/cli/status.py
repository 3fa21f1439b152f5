"""`maskwatch status`: shows the state of a running daemon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.options import daemon_options, socket_of
from maskwatch.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from maskwatch.domain import SinkStatus
    from maskwatch.ipc.control import CameraReport, StatusReport

_TIMEOUT = 10.0


@click.command()
@daemon_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(config: Path | None, runtime_dir: Path | None, as_json: bool) -> None:
    r"""Show the state of a running daemon: cameras, processes, open incidents.

    \b
    Examples:
      maskwatch status --config config.yaml
      maskwatch status --json | jq '.cameras[] | select(.state != "live")'
    """
    import msgspec

    from maskwatch.ipc.control import StatusReport, StatusRequest, ask

    answer = ask(socket_of(config, runtime_dir), StatusRequest(), timeout=_TIMEOUT)
    if not isinstance(answer, StatusReport):
        raise ControlError("unexpected answer from the daemon")
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2))
    else:
        click.echo("\n".join(_lines(answer)))


def _lines(report: StatusReport) -> Iterator[str]:
    state = "running" if report.ready else "starting"
    since = report.started.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    yield f"maskwatch {report.version}, {report.node}: {state} since {since}, pid {report.pid}"
    yield f"config     {report.config}"
    if report.problem:
        yield f"           the last reload was refused: {report.problem}"
    yield f"metrics    {report.metrics + '/metrics' if report.metrics else 'not served'}"
    pid = f", pid {report.recorder.pid}" if report.recorder.pid else ""
    trouble = f" ({report.recorder.detail})" if report.recorder.detail else ""
    yield f"recorder   {report.recorder.phase}{pid}{_restarted(report.recorder.restarts)}{trouble}"
    for sink in report.sinks:
        yield f"sink       {_sink(sink)}"
    width = max((len(camera.name) for camera in report.cameras), default=0)
    for camera in report.cameras:
        yield f"camera     {camera.name:<{width}}  {_camera(camera)}"
    for incident in report.incidents:
        started = incident.started.astimezone().strftime("%H:%M:%S")
        where = f" {incident.camera}" if incident.camera else ""
        yield f"incident   {incident.kind.value}{where} since {started}: {incident.reason}"


def _camera(camera: CameraReport) -> str:
    since = camera.since.astimezone().strftime("%H:%M:%S")
    reason = f" ({camera.reason})" if camera.reason else ""
    reason += _command("disabled", camera.disabled_at, camera.disabled_by)
    frames = f", {camera.frames} frames" if camera.frames else ""
    if 0 < camera.rate < camera.asked_rate:
        frames += f", {camera.rate:.3g} instead of {camera.asked_rate:g} a second"
    pid = f", pid {camera.worker.pid}" if camera.worker.pid else ""
    state = f"{camera.state.value} since {since}{reason}{_snoozed(camera)}"
    return f"{state}{frames}{pid}{_restarted(camera.worker.restarts)}"


def _sink(sink: SinkStatus) -> str:
    ready = "ready" if sink.ready else "not ready"
    ready += f" ({sink.reason})" if sink.reason else ""
    pending = f", {sink.pending} alerts pending" if sink.pending else ""
    reason = f" ({sink.parked_reason})" if sink.parked_reason else ""
    parked = f", {sink.parked} parked{reason}: see maskwatch alerts retry" if sink.parked else ""
    return f"{sink.sink}: {ready}{pending}{parked}"


def _snoozed(camera: CameraReport) -> str:
    if camera.snoozed_until is None:
        return ""
    until = f", snoozed until {camera.snoozed_until.astimezone().strftime('%H:%M:%S')}"
    return until + _command("snoozed", camera.snoozed_at, camera.snoozed_by)


def _command(done: str, at: datetime | None, sender: str) -> str:
    """Return what a command did, when, and who sent it."""
    if at is None:
        return ""
    return f", {done} at {at.astimezone().strftime('%H:%M:%S')} by {sender or 'a command'}"


def _restarted(restarts: int) -> str:
    if restarts == 0:
        return ""
    return f", restarted {restarts} times" if restarts > 1 else ", restarted once"
