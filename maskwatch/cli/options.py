"""The options that several verbs share, and what they refer to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from maskwatch.errors import UsageError

if TYPE_CHECKING:
    from maskwatch.config.schema import RetentionConfig

_DEFAULT_PATHS = (Path("config.yaml"), Path("/etc/maskwatch/config.yaml"))
_RUNTIME_DIR = Path("/run/maskwatch")
_RUNTIME_DIR_LINE = re.compile(r"""^runtime_dir:[ \t]*["']?(?P<value>[^"'\s#]+)""", re.MULTILINE)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

F = TypeVar("F", bound=Callable[..., Any])


def config_option(about: str = "The daemon's configuration file.") -> Callable[[F], F]:
    """Add `--config` to a verb; None without option and variable."""
    defaults = " or ".join(
        f"./{path}" if not path.is_absolute() else str(path) for path in _DEFAULT_PATHS
    )
    return click.option(
        "--config",
        "-c",
        type=click.Path(path_type=Path),
        envvar="MASKWATCH_CONFIG",
        help=f"{about}  [default: {defaults}]",
    )


def clip_options(command: F) -> F:
    """Add `--config`, as `config_file`, and `--camera` to a command that analyses recorded files."""
    command = click.option(
        "--camera", help="Camera whose rules apply; needed when the file has several cameras."
    )(command)
    return click.option(
        "--config",
        "-c",
        "config_file",
        type=click.Path(path_type=Path),
        help="Configuration file; without one, all defaults.",
    )(command)


def _default_config() -> Path | None:
    """Return the first readable configuration file at a default path, None if there is none."""
    return next((path for path in _DEFAULT_PATHS if os.access(path, os.R_OK)), None)


def find_config(config: Path | None) -> Path:
    """Return `config`, or the file at a default path.

    Raises:
        UsageError: there is neither.
    """
    path = config or _default_config()
    if path is None:
        raise UsageError("no configuration file: give --config FILE")
    return path


def daemon_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config` and `--runtime-dir` to a command, as `config` and `runtime_dir`."""
    command = click.option(
        "--runtime-dir",
        type=click.Path(path_type=Path),
        envvar="RUNTIME_DIRECTORY",
        help=f"The daemon's runtime directory; {_RUNTIME_DIR} unless a configuration sets another.",
    )(command)
    about = "The daemon's configuration file, to find its runtime directory."
    return config_option(about)(command)


def socket_of(config: Path | None, runtime_dir: Path | None) -> Path:
    from maskwatch.ipc.control import control_socket

    if runtime_dir is None:
        path = config or _default_config()
        runtime_dir = _RUNTIME_DIR if path is None else _runtime_dir_of(path)
    return control_socket(runtime_dir)


def _runtime_dir_of(path: Path) -> Path:
    """Return the `runtime_dir` of a configuration file.

    The file may be invalid, which the daemon reports itself; so its one line is enough here.
    """
    from maskwatch.config.load import MAX_BYTES, load
    from maskwatch.errors import ConfigError
    from maskwatch.files import read_file

    try:
        return Path(load(path, secrets=False).runtime_dir)
    except ConfigError:
        if not path.is_file():
            raise
        text = read_file(path, MAX_BYTES).decode("utf-8", "replace")
        found = _RUNTIME_DIR_LINE.search(text)
        return path.absolute().parent / found["value"] if found else _RUNTIME_DIR


@dataclass(frozen=True, slots=True)
class DataLocation:
    """The location of a daemon's data; without a configuration only `data_dir` is set."""

    data_dir: Path
    runtime_dir: Path | None = None
    retention: RetentionConfig | None = None


def data_location_options(command: F) -> F:
    data_dir = click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="The data directory itself, instead of a configuration file.",
    )
    return config_option()(data_dir(command))


def find_data(config: Path | None, data_dir: Path | None) -> DataLocation:
    """Return the location that these options name.

    Raises:
        ConfigError: the file cannot be used.
        UsageError: neither option was given, and no default configuration file exists.
    """
    if data_dir is not None:
        return DataLocation(data_dir)
    path = config or _default_config()
    if path is None:
        raise UsageError("which daemon? Give --config FILE or --data-dir DIRECTORY")
    from maskwatch.config.load import load

    loaded = load(path, secrets=False)
    return DataLocation(Path(loaded.data_dir), Path(loaded.runtime_dir), loaded.store.retention)


def explicit_options() -> set[str]:
    context = click.get_current_context()
    names = (parameter.name or "" for parameter in context.command.params)
    return {n for n in names if context.get_parameter_source(n) is ParameterSource.COMMANDLINE}


def refuse(names: Collection[str], reason: str) -> None:
    """Raise UsageError if the command line sets one of these options."""
    rejected = sorted(f"--{name.replace('_', '-')}" for name in explicit_options() & set(names))
    if rejected:
        raise UsageError(f"{', '.join(rejected)}: {reason}")


class CommandWithRenamedOptions(click.Command):
    """A command that accepts former names of its options.

    `renamed` maps each former name to the present one, or to "" for an option that has no effect
    any more. A name that is a flag today is replaced only where a value follows it, as it did then.
    """

    def __init__(self, *arguments: Any, renamed: Mapping[str, str], **keys: Any) -> None:
        super().__init__(*arguments, **keys)
        self.renamed = renamed

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(self._with_present_names(args)))

    def _with_present_names(self, args: list[str]) -> Iterator[str]:
        flags = {name for o in self.params if getattr(o, "is_flag", False) for name in o.opts}
        for index, arg in enumerate(args):
            if arg == "--":
                yield from args[index:]
                return
            name, equals, _ = arg.partition("=")
            has_value = bool(equals) or not [*args, "-"][index + 1].startswith("-")
            if name in self.renamed and (name not in flags or has_value):
                yield from self._replaced(arg)
            else:
                yield arg

    def _replaced(self, arg: str) -> Iterator[str]:
        former, equals, value = arg.partition("=")
        present = self.renamed[former]
        advice = f"use {present}" if present else "leave it out"
        click.echo(f"maskwatch: {former} is deprecated here; {advice}", err=True)
        if present:
            yield f"{present}{equals}{value}"


def parse_time(text: str | None, now: datetime) -> datetime | None:
    """Parse `24h`, `7d`, `2026-03-01` or `2026-03-01T12:00Z` to a time in UTC."""
    if text is None:
        return None
    if span := re.fullmatch(r"(\d{1,6})([smhdw])", text):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a time: expected a span (90m, 24h, 7d), a date, or a time "
            "(2026-03-01T12:00)"
        ) from None
