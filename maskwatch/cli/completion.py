"""`maskwatch completion bash|zsh|fish`: the script with which a shell completes verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    r"""Print the completion script for SHELL.

    \b
    Examples:
      maskwatch completion bash > /etc/bash_completion.d/maskwatch
      maskwatch completion fish > ~/.config/fish/completions/maskwatch.fish
    """
    from maskwatch.cli.app import cli

    kind = get_completion_class(shell)
    assert kind is not None, shell
    click.echo(kind(cli, {}, "maskwatch", "_MASKWATCH_COMPLETE").source())
