"""`maskwatch check config.yaml`: every problem at once; and `maskwatch schema` for editors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.config_option import config_option, find_config
from maskwatch.cli.explicit_options import refuse

if TYPE_CHECKING:
    from maskwatch.config.load import CheckedConfig

__all__ = ["check", "schema"]


@click.command()
@click.argument("file", metavar="[CONFIG]", type=click.Path(path_type=Path), required=False)
@config_option("config", "The configuration file, as other verbs take it.")
@click.option("--json", "as_json", is_flag=True, help="Print problems and warnings as one JSON object.")
@click.option("--strict", is_flag=True, help="Take warnings for problems.")
def check(file: Path | None, config: Path | None, as_json: bool, strict: bool) -> None:
    r"""Check the configuration file CONFIG and show every problem at once.

    Nothing is started, and no camera or broker is asked. The exit code is 0 if the file can be
    used, and 3 if it cannot.

    \b
    Examples:
      maskwatch check config.yaml
      maskwatch check --strict config.yaml    # for a repository's own checks
      maskwatch check --json config.yaml | jq .problems
    """
    from maskwatch.config.load import check_config
    from maskwatch.errors import ConfigError

    if file:
        refuse({"config"}, "the configuration file is named once: as CONFIG, or by this option")
    path = find_config(file or config)
    examined = check_config(path)
    sound = examined.config is not None and not (strict and examined.warnings)
    if as_json:
        _print_json(examined, sound)
    else:
        _print_text(path, examined)
    if not sound:
        raise SystemExit(ConfigError.exit_code)


@click.command()
def schema() -> None:
    r"""Print the JSON Schema of the configuration file.

    An editor with a YAML language server completes keys, shows their descriptions and marks
    mistakes if the file's first line names the schema.

    \b
    Examples:
      maskwatch schema > config.schema.json
      sed -i '1i # yaml-language-server: $schema=config.schema.json' config.yaml
    """
    from maskwatch.config.document import json_schema

    click.echo(json_schema(), nl=False)


def _print_text(path: Path, examined: CheckedConfig) -> None:
    from maskwatch.config.summary import summary

    for problem in examined.problems:
        click.echo(str(problem), err=True)
    for warning in examined.warnings:
        click.echo(f"warning: {warning}", err=True)
    if examined.config is None:
        count = len(examined.problems)
        click.echo(f"{path} cannot be used: {count} problem{'s' if count > 1 else ''}.", err=True)
        return
    noted = len(examined.warnings)
    with_warnings = f", with {noted} warning{'s' if noted > 1 else ''}" if noted else ""
    click.echo(f"{path} can be used{with_warnings}. It would run:")
    click.echo(summary(examined.config))


def _print_json(examined: CheckedConfig, sound: bool) -> None:
    import msgspec

    found = {"ok": sound, "problems": examined.problems, "warnings": examined.warnings}
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
