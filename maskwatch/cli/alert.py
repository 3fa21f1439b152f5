"""`maskwatch alert`: tests how alerts leave the house."""

from __future__ import annotations

from pathlib import Path

import click

from maskwatch.cli.config_option import config_option, find_config

__all__ = ["alert"]


@click.group()
def alert() -> None:
    r"""Test how alerts reach brokers and people.

    \b
    Examples:
      maskwatch alert test --config config.yaml
    """


@alert.command()
@config_option("given")
@click.option("--only", metavar="NAME", default="", help="Try only `mqtt`, or one channel of `people`.")
def test(given: Path | None, only: str) -> None:
    """Try the broker and every channel of `people` once.

    The broker is asked whether it lets maskwatch publish; nobody hears of that. People get a message
    that says it is a test. The daemon may run meanwhile.

    The exit code is 0 if everything worked, and 14 if something did not.

    \b
    Examples:
      maskwatch alert test --config config.yaml
      maskwatch alert test --config config.yaml --only guards
    """
    from maskwatch.alerts.self_test import run_self_test, sink_names
    from maskwatch.config.load import load
    from maskwatch.errors import SinkError, UsageError

    path = find_config(given)
    config = load(path)
    if only and only not in sink_names(config):
        raise UsageError(
            f"{only!r} is no sink of {path}; expected one of {', '.join(sink_names(config))}"
        )
    done = list(run_self_test(config, only))
    if not done:
        raise UsageError(f"{path}: nothing to test; `mqtt` is off, and no channel of `people` is on")
    for result in done:
        click.echo(f"{result.name}: {result.error or 'works'}")
    failed = [result.name for result in done if result.error]
    if failed:
        raise SinkError(f"{len(failed)} of {len(done)} did not work: {', '.join(failed)}")
