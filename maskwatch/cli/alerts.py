"""`maskwatch alerts`: tests the delivery of alerts, and has parked ones delivered after all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.options import (
    config_option,
    data_location_options,
    find_config,
    find_data,
    parse_time,
)
from maskwatch.errors import ControlError, StoreLockedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from maskwatch.cli.options import DataLocation
    from maskwatch.store.parked import ParkedFilter, ParkedReason


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def alerts() -> None:
    r"""Test the delivery of alerts, and retry the alerts that a sink refused.

    \b
    Examples:
      maskwatch alerts test --config config.yaml
      maskwatch alerts retry --sink mqtt --since 2h --dry-run
    """


@alerts.command()
@config_option()
@click.option("--only", metavar="NAME", default="", help="Test only `mqtt`, or one channel of `people`.")
def test(config: Path | None, only: str) -> None:
    r"""Test the broker and every channel of `people` once.

    The test of the broker checks the permission to publish, and reaches no subscriber. People receive
    a message that is marked as a test. The daemon may keep running.

    The exit code is 0 if every test passed, and 14 if one failed.

    \b
    Examples:
      maskwatch alerts test --config config.yaml
      maskwatch alerts test --config config.yaml --only guards
    """
    from maskwatch.alerts.self_test import run_self_test, sink_names
    from maskwatch.config.load import load
    from maskwatch.errors import SinkError

    path = find_config(config)
    loaded = load(path)
    if only and only not in sink_names(loaded):
        raise UsageError(
            f"{only!r} is no sink of {path}; expected one of {', '.join(sink_names(loaded))}"
        )
    results = list(run_self_test(loaded, only))
    if not results:
        raise UsageError(f"{path}: nothing to test; `mqtt` is off, and no channel of `people` is on")
    for result in results:
        click.echo(f"{result.name}: {result.error or 'works'}")
    failed = [result.name for result in results if result.error]
    if failed:
        raise SinkError(f"{len(failed)} of {len(results)} did not work: {', '.join(failed)}")


@alerts.command()
@click.option(
    "--sink", metavar="NAME", default="", help="Only of `mqtt`, or of one channel of `people`."
)
@click.option("--since", metavar="TIME", help="Only alerts of this time or later.")
@click.option("--until", metavar="TIME", help="Only alerts before this time.")
@click.option("--dry-run", is_flag=True, help="Only show which alerts are parked, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@data_location_options
def retry(
    config: Path | None,
    data_dir: Path | None,
    sink: str,
    since: str | None,
    until: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    r"""Deliver parked alerts: those that a sink refused while it accepted others.

    Correct what made the sink refuse them before. All alerts of a violation or incident are retried
    together and in order. A running daemon receives a command; without one the database is changed
    directly, and the daemon sends them when it starts.

    TIME is a span back from now (90m, 24h, 7d), a date, or a time; without a zone it is local.
    The exit code is 0, also if no alert is parked, and 10 if the daemon refused.

    \b
    Examples:
      maskwatch alerts retry --dry-run
      maskwatch alerts retry --sink mqtt
      maskwatch alerts retry --since 2026-03-01T14:00 --until 2026-03-01T14:10 --json
    """
    from datetime import UTC, datetime

    from maskwatch.store.data_dir import DataDir
    from maskwatch.store.parked import ParkedFilter, count_parked, known_sinks
    from maskwatch.store.queries import read_session

    location, now = find_data(config, data_dir), datetime.now(UTC)
    with read_session(DataDir(location.data_dir).database) as session:
        name = _sink_name(sink, known_sinks(session))
        criteria = ParkedFilter(name, parse_time(since, now), parse_time(until, now))
        parked = count_parked(session, criteria)
    if dry_run:
        _print_parked(parked, as_json=as_json)
    else:
        _print_retried(_retry(location, criteria) if parked else {}, as_json=as_json)


def _sink_name(name: str, known: Sequence[str]) -> str:
    """Return the name in the outbox: a channel's has a prefix there."""
    if not name or name in known:
        return name
    if (of_channel := f"people-{name}") in known:
        return of_channel
    expected = f"expected one of {', '.join(known)}" if known else "there is no alert at all"
    raise UsageError(f"no alert was recorded for the sink {name!r}; {expected}")


def _retry(location: DataLocation, criteria: ParkedFilter) -> Mapping[str, int]:
    from maskwatch.store.offline import retry_offline

    try:
        return retry_offline(location.data_dir, criteria, "cli")
    except StoreLockedError:
        return _send_to_daemon(location, criteria)


def _send_to_daemon(location: DataLocation, criteria: ParkedFilter) -> Mapping[str, int]:
    from maskwatch.ipc.control import CommandDone, RunCommand, ask, control_socket

    if location.runtime_dir is None:
        raise UsageError("a daemon is running: give its --config to send it the command")
    request = RunCommand(verb="retry", target=criteria.sink, since=criteria.since, until=criteria.until)
    answer = ask(control_socket(location.runtime_dir), request, timeout=30.0)
    if not isinstance(answer, CommandDone) or not answer.ok:
        detail = answer.detail if isinstance(answer, CommandDone) else "unexpected answer"
        raise ControlError(f"the daemon did not retry the alerts: {detail}")
    return answer.counts


def _print_parked(parked: Mapping[str, Mapping[ParkedReason, int]], *, as_json: bool) -> None:
    import msgspec

    if as_json:
        click.echo(msgspec.json.encode({"dry_run": True, "parked": parked}))
        return
    for sink, reasons in parked.items():
        listed = ", ".join(f"{number} {reason.value}" for reason, number in reasons.items())
        click.echo(f"{sink}: {_alerts(sum(reasons.values()))} parked ({listed})")
    if not parked:
        click.echo("no such alert is parked")


def _print_retried(retried: Mapping[str, int], *, as_json: bool) -> None:
    import msgspec

    if as_json:
        click.echo(msgspec.json.encode({"dry_run": False, "retried": retried}))
        return
    for sink, number in retried.items():
        click.echo(f"{sink}: {_alerts(number)} retried")
    if not retried:
        click.echo("no such alert is parked")


def _alerts(number: int) -> str:
    return f"{number} alert" if number == 1 else f"{number} alerts"
