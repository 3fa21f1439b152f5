"""Locates the data of a daemon by its configuration file or its data directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from maskwatch.cli.config_option import config_option, default_config
from maskwatch.errors import UsageError

if TYPE_CHECKING:
    from maskwatch.config.schema import RetentionConfig

__all__ = ["DataLocation", "data_location_options", "find_data"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class DataLocation:
    """The location of a daemon's data; without a configuration only `data_dir` is set."""

    data_dir: Path
    runtime_dir: Path | None = None
    retention: RetentionConfig | None = None


def data_location_options(command: F) -> F:
    """Add the options `--config` and `--data-dir`."""
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
    path = config or default_config()
    if path is None:
        raise UsageError("which daemon? Give --config FILE or --data-dir DIRECTORY")
    from maskwatch.config.load import load

    loaded = load(path, secrets=False)
    return DataLocation(Path(loaded.data_dir), Path(loaded.runtime_dir), loaded.store.retention)
