"""Finds the control socket of a running daemon, for `status` and `reload`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from maskwatch.cli.config_option import config_option, default_config

__all__ = ["daemon_options", "socket_of"]

_DEFAULT_DIR = Path("/run/maskwatch")
_RUNTIME_DIR_LINE = re.compile(r"""^runtime_dir:[ \t]*["']?(?P<value>[^"'\s#]+)""", re.MULTILINE)


def daemon_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config` and `--runtime-dir` to a command, as `path` and `runtime_dir`."""
    command = click.option(
        "--runtime-dir",
        type=click.Path(path_type=Path),
        envvar="RUNTIME_DIRECTORY",
        help=f"The daemon's runtime directory; {_DEFAULT_DIR} unless a configuration sets another.",
    )(command)
    about = "The daemon's configuration file, to find its runtime directory."
    return config_option("path", about)(command)


def socket_of(path: Path | None, runtime_dir: Path | None) -> Path:
    """Return the daemon's control socket."""
    from maskwatch.ipc.control import control_socket

    if runtime_dir is None:
        path = path or default_config()
        runtime_dir = _DEFAULT_DIR if path is None else _runtime_dir_of(path)
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
        return path.absolute().parent / found["value"] if found else _DEFAULT_DIR
