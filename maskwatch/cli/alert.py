"""`maskwatch alert`: tests the delivery of alerts."""

from __future__ import annotations

from pathlib import Path

import click

from maskwatch.cli.options import config_option, find_config


@click.group()
def alert() -> None:
    r"""Test the delivery of alerts to the broker and to people.

    \b
    Examples:
      maskwatch alert test --config config.yaml
    """


@alert.command()
@config_option()
@click.option("--only", metavar="NAME", default="", help="Test only `mqtt`, or one channel of `people`.")
def test(config: Path | None, only: str) -> None:
    """Test the broker and every channel of `people` once.

    The test of the broker checks the permission to publish, and reaches no subscriber. People receive
    a message that is marked as a test. The daemon may keep running.

    The exit code is 0 if every test passed, and 14 if one failed.

    \b
    Examples:
      maskwatch alert test --config config.yaml
      maskwatch alert test --config config.yaml --only guards
    """
    from maskwatch.alerts.self_test import run_self_test, sink_names
    from maskwatch.config.load import load
    from maskwatch.errors import SinkError, UsageError

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
