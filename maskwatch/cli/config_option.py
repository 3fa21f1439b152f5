"""The option that names the daemon's configuration file, the same for every verb."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from maskwatch.errors import UsageError

__all__ = ["config_option", "default_config", "find_config"]

_DEFAULT_PATHS = (Path("config.yaml"), Path("/etc/maskwatch/config.yaml"))

F = TypeVar("F", bound=Callable[..., Any])


def config_option(
    name: str = "config", about: str = "The daemon's configuration file."
) -> Callable[[F], F]:
    """Add `--config` to a verb, as the argument `name`; None without option and variable."""
    defaults = " or ".join(
        f"./{path}" if not path.is_absolute() else str(path) for path in _DEFAULT_PATHS
    )
    return click.option(
        "--config",
        "-c",
        name,
        type=click.Path(path_type=Path),
        envvar="MASKWATCH_CONFIG",
        help=f"{about}  [default: {defaults}]",
    )


def default_config() -> Path | None:
    """Return the first readable configuration file at a default path, None if there is none."""
    return next((path for path in _DEFAULT_PATHS if os.access(path, os.R_OK)), None)


def find_config(config: Path | None) -> Path:
    """Return `config`, or the file at a default path.

    Raises:
        UsageError: there is neither.
    """
    path = config or default_config()
    if path is None:
        raise UsageError("no configuration file: give --config FILE")
    return path
