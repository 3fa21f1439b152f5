"""`maskwatch run`: the daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from maskwatch.cli.options import config_option, find_config


@click.command()
@config_option("The configuration file.")
def run(config: Path | None) -> None:
    r"""Run the daemon until SIGTERM or Ctrl-C; SIGHUP reloads the configuration.

    Log lines go to standard error. The exit code is 0, or one of docs/configuration.md.

    \b
    Examples:
      maskwatch run --config config.yaml
      maskwatch run --config /etc/maskwatch/config.yaml 2>> maskwatch.log
    """
    from maskwatch.config.load import load
    from maskwatch.supervisor.main import serve

    path = find_config(config)
    sys.exit(serve(load(path), path))
