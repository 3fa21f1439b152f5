"""`maskwatch events`: list, show, export and acknowledge violations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maskwatch.cli.options import (
    CommandWithRenamedOptions,
    data_location_options,
    find_data,
    parse_time,
)
from maskwatch.errors import ControlError, StoreLockedError, UsageError

if TYPE_CHECKING:
    from uuid import UUID

    from maskwatch.cli.options import DataLocation
    from maskwatch.store.queries import Filter

_FORMATS = click.Choice(["table", "jsonl", "csv"])


def _filter_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--parked", is_flag=True, help="Only violations with a parked alert: a sink refused it."
        ),
        click.option("--unacknowledged", is_flag=True, help="Only unacknowledged violations."),
        click.option("--open", "only_open", is_flag=True, help="Only violations that have not ended."),
        click.option(
            "--verdict",
            multiple=True,
            type=click.Choice(["no_mask", "incorrect"]),
            help="Only this verdict.",
        ),
        click.option("--zone", multiple=True, help="Only this zone; may be given more than once."),
        click.option("--camera", multiple=True, help="Only this camera; may be given more than once."),
        click.option("--until", metavar="TIME", help="Only violations that began before this time."),
        click.option(
            "--since", metavar="TIME", help="Only violations that began at this time or later."
        ),
    ):
        command = option(command)
    return command


def _filter(limit: int | None, options: dict[str, Any]) -> Filter:
    from maskwatch.domain import Verdict
    from maskwatch.store.queries import Filter

    now = datetime.now(UTC)
    return Filter(
        since=parse_time(options["since"], now),
        until=parse_time(options["until"], now),
        cameras=options["camera"],
        zones=options["zone"],
        verdicts=tuple(Verdict(name) for name in options["verdict"]),
        only_open=options["only_open"],
        only_unacknowledged=options["unacknowledged"],
        only_parked=options["parked"],
        limit=limit,
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def events() -> None:
    r"""List, show, export and acknowledge violations.

    They are read from the data directory, with or without a running daemon.

    \b
    Examples:
      maskwatch events list --since 24h --camera door
      maskwatch events show 019d0000
      maskwatch events export --format csv --output march.csv --since 2026-03-01 --until 2026-04-01
      maskwatch events ack 019d0000-3c1a
    """


@events.command("list")
@_filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Maximum number of violations.",
)
@click.option(
    "--format", "form", type=_FORMATS, default="table", show_default=True, help="Form of the output."
)
@data_location_options
def list_events(
    config: Path | None, data_dir: Path | None, form: str, limit: int, **options: Any
) -> None:
    r"""List violations, newest first.

    TIME is a span back from now (90m, 24h, 7d), a date, or a time; without a zone it is local.
    A table shows local time; jsonl and csv contain UTC.

    \b
    Examples:
      maskwatch events list --open
      maskwatch events list --parked
      maskwatch events list --since 8h --verdict no_mask --format jsonl
    """
    _print(find_data(config, data_dir), _filter(limit, options), form, None)


@events.command(cls=CommandWithRenamedOptions, renamed={"--output": "--out"})
@_filter_options
@click.option(
    "--format", "form", type=_FORMATS, default="jsonl", show_default=True, help="Form of the output."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write to; standard output if not given.",
)
@data_location_options
def export(
    config: Path | None, data_dir: Path | None, form: str, out: Path | None, **options: Any
) -> None:
    r"""Write all selected violations as JSON lines (UTC), CSV (UTC) or a table (local time).

    \b
    Examples:
      maskwatch events export > all.jsonl
      maskwatch events export --format csv --out week.csv --since 7d
    """
    _print(find_data(config, data_dir), _filter(None, options), form, out)


def _print(location: DataLocation, criteria: Filter, form: str, output: Path | None) -> None:
    from maskwatch.cli.event_forms import FORMS
    from maskwatch.store.data_dir import DataDir
    from maskwatch.store.queries import events as find_events
    from maskwatch.store.queries import read_session

    with read_session(DataDir(location.data_dir).database) as session:
        _write(FORMS[form](find_events(session, criteria)), output)


def _write(lines: Iterator[str], output: Path | None) -> None:
    if output is None:
        for line in lines:
            click.echo(line)
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error


@events.command()
@click.argument("identifier", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON object.")
@data_location_options
def show(config: Path | None, data_dir: Path | None, identifier: str, as_json: bool) -> None:
    r"""Show the details of the violation whose id begins with ID.

    For each change: the frame, the evidence, the times of receipt and storage, the picture, and the
    result of each attempt to deliver the alert.

    \b
    Examples:
      maskwatch events show 019d0000
      maskwatch events show 019d0000-3c1a-7000-8000-000000000001 --json
    """
    from maskwatch.cli.event_forms import as_json_line, detail_lines
    from maskwatch.store.data_dir import DataDir
    from maskwatch.store.queries import event_detail, find_violation, read_session

    directory = DataDir(find_data(config, data_dir).data_dir)
    with read_session(directory.database) as session:
        detail = event_detail(session, find_violation(session, identifier))
    if as_json:
        click.echo(as_json_line(detail))
        return
    for line in detail_lines(detail, directory.pictures):
        click.echo(line)


@events.command()
@click.argument("identifiers", metavar="ID...", nargs=-1, required=True)
@data_location_options
def ack(config: Path | None, data_dir: Path | None, identifiers: tuple[str, ...]) -> None:
    r"""Acknowledge the violations whose ids begin with ID.

    A running daemon receives a command; without one the database is written directly. The first
    acknowledgement of a violation is kept.

    \b
    Examples:
      maskwatch events ack 019d0000
      maskwatch events ack 019d0000-3c1a 019d0000-4f7b
    """
    from maskwatch.store.data_dir import DataDir
    from maskwatch.store.queries import find_violation, read_session

    location = find_data(config, data_dir)
    with read_session(DataDir(location.data_dir).database) as session:
        violations = [find_violation(session, identifier) for identifier in identifiers]
    for violation in violations:
        _acknowledge(location, violation)
        click.echo(f"{violation} acknowledged")


def _acknowledge(location: DataLocation, violation: UUID) -> None:
    from maskwatch.store.offline import acknowledge_offline

    try:
        acknowledge_offline(location.data_dir, violation, "cli")
    except StoreLockedError:
        _send_to_daemon(location, violation)


def _send_to_daemon(location: DataLocation, violation: UUID) -> None:
    from maskwatch.ipc.control import CommandDone, RunCommand, ask, control_socket

    if location.runtime_dir is None:
        raise UsageError("a daemon is running: give its --config to send it the command")
    request = RunCommand(verb="acknowledge", target=str(violation))
    answer = ask(control_socket(location.runtime_dir), request, timeout=10.0)
    if not isinstance(answer, CommandDone) or not answer.ok:
        detail = answer.detail if isinstance(answer, CommandDone) else "unexpected answer"
        raise ControlError(f"the daemon did not acknowledge {violation}: {detail}")
