"""The option that names the daemon's configuration file, the same for every verb."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from maskwatch.errors import UsageError

__all__ = ["config_option", "find_config", "usual_config"]

_USUAL = (Path("config.yaml"), Path("/etc/maskwatch/config.yaml"))

F = TypeVar("F", bound=Callable[..., Any])


def config_option(
    name: str = "config", about: str = "The daemon's configuration file."
) -> Callable[[F], F]:
    """Give a verb `--config`, as the argument `name`; None if neither it nor the environment has one."""
    usual = " or ".join(f"./{path}" if not path.is_absolute() else str(path) for path in _USUAL)
    return click.option(
        "--config",
        "-c",
        name,
        type=click.Path(path_type=Path),
        envvar="MASKWATCH_CONFIG",
        help=f"{about}  [default: {usual}]",
    )


def usual_config() -> Path | None:
    """Return the configuration file at one of the usual places, None if there is none to be read."""
    return next((path for path in _USUAL if os.access(path, os.R_OK)), None)


def find_config(given: Path | None) -> Path:
    """Return the file that was given, or else the one at a usual place.

    Raises:
        UsageError: there is neither.

    """
    path = given or usual_config()
    if path is None:
        raise UsageError("which configuration? Give --config FILE")
    return path
