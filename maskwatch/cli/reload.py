"""`maskwatch reload`: reloads the configuration of a running daemon."""

from __future__ import annotations

from pathlib import Path

import click

from maskwatch.cli.options import daemon_options, socket_of
from maskwatch.errors import ConfigError, ControlError

_TIMEOUT = 60.0


@click.command()
@daemon_options
@click.option(
    "--wait/--no-wait",
    default=True,
    help="Return when every changed camera has its new process (default), or immediately.",
)
def reload(config: Path | None, runtime_dir: Path | None, wait: bool) -> None:
    r"""Reload the configuration of a running daemon, and print what changed.

    Only what changed is affected. An invalid file changes nothing: it is refused with every problem
    in it and exit code 3.

    \b
    Examples:
      maskwatch reload --config config.yaml
      maskwatch reload --runtime-dir /run/maskwatch --no-wait
    """
    from maskwatch.ipc.control import ReloadDone, ReloadRequest, ask

    answer = ask(socket_of(config, runtime_dir), ReloadRequest(wait=wait), timeout=_TIMEOUT)
    if not isinstance(answer, ReloadDone):
        raise ControlError("unexpected answer from the daemon")
    if not answer.ok:
        raise ConfigError("\n".join((answer.summary, *answer.problems)))
    click.echo(answer.summary)
