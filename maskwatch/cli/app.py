"""The command `maskwatch`: finds a verb's module when it is called, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from maskwatch.errors import MaskwatchError
from maskwatch.secrets import redact

__all__ = ["cli", "main"]

# verb: (module, attribute, one line for the overview). Kept here so that --help imports nothing.
_VERBS: dict[str, tuple[str, str, str]] = {
    "run": ("maskwatch.cli.run", "run", "Run the daemon."),
    "status": ("maskwatch.cli.status", "status", "Show what a running daemon is doing."),
    "reload": (
        "maskwatch.cli.reload",
        "reload",
        "Have a running daemon read its configuration again.",
    ),
    "check": (
        "maskwatch.cli.check",
        "check",
        "Check a configuration file; show every error at once.",
    ),
    "schema": ("maskwatch.cli.check", "schema", "Print the JSON Schema of the configuration."),
    "probe": (
        "maskwatch.cli.probe",
        "probe",
        "Look at a camera: codec, size, rate, faces, what is wrong.",
    ),
    "replay": ("maskwatch.cli.replay", "replay", "Run the pipeline over a recorded file."),
    "events": ("maskwatch.cli.events", "events", "List, show, export and acknowledge violations."),
    "db": ("maskwatch.cli.db", "db", "Check, back up and restore the database."),
    "alert": ("maskwatch.cli.alert", "alert", "Test how alerts reach people."),
    "train": ("maskwatch.cli.train", "train", "Train a mask model (extra: train)."),
    "evaluate": (
        "maskwatch.cli.evaluate",
        "evaluate",
        "Measure a model or the whole path (extra: train).",
    ),
    "models": ("maskwatch.cli.models", "models", "List, show, verify and choose models."),
    "scenes": (
        "maskwatch.cli.scenes",
        "scenes",
        "Render test scenes with ground truth (extra: demo).",
    ),
    "serve": (
        "maskwatch.cli.serve",
        "serve",
        "Serve video files as RTSP cameras, with faults on demand.",
    ),
    "demo": (
        "maskwatch.cli.demo",
        "demo",
        "Show the whole system at work on this machine (extra: demo).",
    ),
    "completion": (
        "maskwatch.cli.completion",
        "completion",
        "Print the completion script for a shell.",
    ),
}


class _LazyGroup(click.Group):
    """A group whose verbs are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs in the order of the table."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import and return the verb's command."""
        if cmd_name not in _VERBS:
            return None
        module, attribute, _ = _VERBS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the overview from the table, importing no verb."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in _VERBS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="maskwatch")
def cli() -> None:
    r"""Watch cameras for people without a face mask, and tell people about it.

    \b
    Examples:
      maskwatch check config.yaml
      maskwatch run --config config.yaml
      maskwatch probe rtsp://camera.example/stream
      maskwatch replay clip.mp4 --annotate out.mp4
      maskwatch events list --since 24h
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit with the code that `errors.py` documents."""
    try:
        return cli.main(args=arguments, prog_name="maskwatch", standalone_mode=True)
    except MaskwatchError as error:
        click.echo(f"maskwatch: {redact(str(error))}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`maskwatch events | head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
