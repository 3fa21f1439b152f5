"""`maskwatch reload`: has a running daemon read its configuration again."""

from __future__ import annotations

from pathlib import Path

import click

from maskwatch.cli.daemon_client import daemon_options, socket_of
from maskwatch.errors import ConfigError, ControlError

__all__ = ["reload"]

_PATIENCE = 60.0


@click.command()
@daemon_options
@click.option(
    "--wait/--no-wait",
    default=True,
    help="Answer when every camera that changed has its new process (default), or at once.",
)
def reload(path: Path | None, runtime_dir: Path | None, wait: bool) -> None:
    r"""Have a running daemon read its configuration again, and say what changed.

    Only what changed is touched; a file that is wrong changes nothing, and is refused with every
    problem in it and exit code 3.

    \b
    Examples:
      maskwatch reload --config config.yaml
      maskwatch reload --runtime-dir /run/maskwatch --no-wait
    """
    from maskwatch.ipc.control import ReloadDone, ReloadRequest, ask

    answer = ask(socket_of(path, runtime_dir), ReloadRequest(wait=wait), timeout=_PATIENCE)
    if not isinstance(answer, ReloadDone):
        raise ControlError("the daemon answered something else")
    if not answer.ok:
        raise ConfigError("\n".join((answer.summary, *answer.problems)))
    click.echo(answer.summary)
