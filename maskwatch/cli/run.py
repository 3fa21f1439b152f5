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

    What is not available yet (a secret's file, an address, a disk) is waited for, while everything
    else runs. Log lines go to standard error. The exit code is 0, or one of docs/configuration.md: 15
    means that the same command can succeed later, and 2, 3, 5 and 7 that it cannot.

    \b
    Examples:
      maskwatch run --config config.yaml
      maskwatch run --config /etc/maskwatch/config.yaml 2>> maskwatch.log
    """
    from maskwatch.config.load import load_available
    from maskwatch.supervisor.main import serve
    from maskwatch.temporary import raising_temporary

    path = find_config(config)
    with raising_temporary():
        code = serve(load_available(path), path)
    sys.exit(code)
