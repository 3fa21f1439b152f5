"""`maskwatch check` reports every problem of a configuration; `maskwatch schema` is for editors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.options import config_option, find_config, refuse

if TYPE_CHECKING:
    from maskwatch.config.load import CheckedConfig


@click.command()
@click.argument("file", metavar="[CONFIG]", type=click.Path(path_type=Path), required=False)
@config_option("The configuration file, as other verbs take it.")
@click.option("--json", "as_json", is_flag=True, help="Print problems and warnings as one JSON object.")
@click.option("--strict", is_flag=True, help="Treat warnings as problems.")
def check(file: Path | None, config: Path | None, as_json: bool, strict: bool) -> None:
    r"""Check the configuration file CONFIG and show every problem.

    The check starts nothing and contacts no camera or broker. The exit code is 0 if the file can be
    used, and 3 if it cannot.

    \b
    Examples:
      maskwatch check config.yaml
      maskwatch check --strict config.yaml    # for continuous integration
      maskwatch check --json config.yaml | jq .problems
    """
    from maskwatch.config.load import check_config
    from maskwatch.errors import ConfigError

    if file:
        refuse({"config"}, "name the configuration file once: as CONFIG or by this option")
    path = find_config(file or config)
    checked = check_config(path)
    usable = checked.config is not None and not (strict and checked.warnings)
    if as_json:
        _print_json(checked, usable)
    else:
        print_text(path, checked)
    if not usable:
        raise SystemExit(ConfigError.exit_code)


@click.command()
def schema() -> None:
    r"""Print the JSON Schema of the configuration file.

    An editor with a YAML language server completes keys, shows their descriptions and marks
    mistakes if the first line of the file names the schema.

    \b
    Examples:
      maskwatch schema > config.schema.json
      sed -i '1i # yaml-language-server: $schema=config.schema.json' config.yaml
    """
    from maskwatch.config.json_schema import json_schema

    click.echo(json_schema(), nl=False)


def print_text(path: Path, checked: CheckedConfig) -> None:
    """Print problems and warnings to stderr, and what a usable configuration would run."""
    from maskwatch.config.summary import summary

    for problem in checked.problems:
        click.echo(str(problem), err=True)
    for warning in checked.warnings:
        click.echo(f"warning: {warning}", err=True)
    if checked.config is None:
        count = len(checked.problems)
        click.echo(f"{path} cannot be used: {count} problem{'s' if count > 1 else ''}.", err=True)
        return
    count = len(checked.warnings)
    with_warnings = f", with {count} warning{'s' if count > 1 else ''}" if count else ""
    click.echo(f"{path} can be used{with_warnings}. It would run:")
    click.echo(summary(checked.config))


def _print_json(checked: CheckedConfig, usable: bool) -> None:
    import msgspec

    found = {"ok": usable, "problems": checked.problems, "warnings": checked.warnings}
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
