"""The command `maskwatch`: imports a verb's module when it is called, and maps errors to exit codes."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
import traceback
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from maskwatch.errors import AccessDeniedError, MaskwatchError
from maskwatch.secrets import redact

# The overview's line of each verb. Kept here so that --help imports nothing.
_VERBS = {
    "init": "Write a small configuration to start from.",
    "run": "Run the daemon.",
    "status": "Show the state of a running daemon.",
    "reload": "Reload the configuration of a running daemon.",
    "check": "Check a configuration file; show every error at once.",
    "schema": "Print the JSON Schema of the configuration.",
    "probe": "Look at a camera: codec, size, rate, faces, what is wrong.",
    "replay": "Run the pipeline over a recorded file.",
    "events": "List, show, export and acknowledge violations.",
    "vault": "Make the review vault's key; open sealed faces.",
    "db": "Check, back up and restore the database.",
    "alerts": "Test how alerts reach people; retry those that a sink refused.",
    "train": "Train a mask model (extra: train).",
    "evaluate": "Measure a model or the whole path (extra: train).",
    "models": "List, show, verify and choose models.",
    "scenes": "Render test scenes with ground truth (extra: demo).",
    "serve": "Serve video files as RTSP cameras, with faults on demand.",
    "demo": "Show the whole system at work on this machine (extra: demo).",
    "bench": "Measure how many cameras this machine holds.",
    "docs": "Print the documentation and sample files of this version.",
    "completion": "Print the completion script for a shell.",
}


_FORMER_NAMES = {"alert": "alerts"}


def _load(verb: str) -> click.Command:
    """Import and return a verb's command: it has the name of its module, except `schema`."""
    module = importlib.import_module(f"maskwatch.cli.{'check' if verb == 'schema' else verb}")
    command = getattr(module, verb)
    assert isinstance(command, click.Command), verb
    return _with_line_breaks(command)


class _LazyGroup(click.Group):
    """A group whose verbs are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        verb = _FORMER_NAMES.get(cmd_name, cmd_name)
        return _load(verb) if verb in _VERBS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; for an unknown one suggest a similar one."""
        known = {*_VERBS, *_FORMER_NAMES}
        near = difflib.get_close_matches(args[0], _VERBS, n=1) if args[0] not in known else []
        if near:
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete verbs from the table; nothing is imported, since a shell waits for this."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        found = [name for name in _VERBS if name.startswith(incomplete)]
        return [CompletionItem(name, help=_VERBS[name]) for name in found]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the overview from the table, without importing a verb."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


def _with_line_breaks(command: click.Command) -> click.Command:
    r"""Let click see the `\b` of a raw docstring: it keeps the lines of the paragraph after it."""
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _with_line_breaks(inner)
    return command


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="maskwatch")
def cli() -> None:
    r"""Watch cameras for people without a face mask, and send alerts.

    \b
    Examples:
      maskwatch check config.yaml
      maskwatch run --config config.yaml
      maskwatch probe rtsp://camera.example/stream
      maskwatch replay clip.mp4 --annotate out.mp4
      maskwatch events list --since 24h
    """


_with_line_breaks(cli)


def _denial(error: OSError) -> str:
    """Return why this user may not use the file that the error names, "" for another cause."""
    from maskwatch.access import explain

    if not isinstance(error, PermissionError) or not error.filename:
        return ""
    path = Path(os.fsdecode(error.filename))
    return next(filter(None, (explain(path, write=write) for write in (False, True))), "")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code that `errors.py` documents."""
    _open_closed_streams()
    try:
        cli.main(args=arguments, prog_name="maskwatch", standalone_mode=True)
    except MaskwatchError as error:
        _print_error(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of the output has ended (`maskwatch events | head`): not an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        reason = _denial(error)
        if reason:
            _print_error(reason)
            sys.exit(AccessDeniedError.exit_code)
        named = f"{error.filename}: " if error.filename else ""
        _print_error(f"{named}{error.strerror or error}")
        sys.exit(MaskwatchError.exit_code)
    except Exception:  # noqa: BLE001 - the process's entry point: a traceback must not show a secret
        click.echo(redact(traceback.format_exc()), err=True, nl=False)
        _print_error("this is a bug in maskwatch; please report it with the lines above")
        sys.exit(MaskwatchError.exit_code)


def _open_closed_streams() -> None:
    """Open descriptors 0 to 2 if closed: else a socket gets such a number, and libraries write to it."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be no UTF-8


def _print_error(text: str) -> None:
    from maskwatch.files import printable

    # The name of a file may hold what steers a terminal; a message may have several lines.
    shown = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in printable(text))
    click.echo(f"maskwatch: {redact(shown)}", err=True)
