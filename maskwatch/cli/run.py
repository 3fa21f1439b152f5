"""`maskwatch run`: the daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import click

__all__ = ["run"]


@click.command()
@click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="The configuration file.",
)
def run(path: Path) -> None:
    r"""Run the daemon until SIGTERM or Ctrl-C; SIGHUP has it read its configuration again.

    Log lines go to standard error. Ends with 0, or with a code of docs/configuration.md.

    \b
    Examples:
      maskwatch run --config config.yaml
      maskwatch run --config /etc/maskwatch/config.yaml 2>> maskwatch.log
    """
    from maskwatch.config.load import load
    from maskwatch.supervisor.main import serve

    sys.exit(serve(load(path), path))
