"""The options on the command line, so that those that do not apply are rejected."""

from __future__ import annotations

from collections.abc import Collection

import click
from click.core import ParameterSource

from maskwatch.errors import UsageError

__all__ = ["explicit_options", "refuse"]


def explicit_options() -> set[str]:
    """Return the names of the running command's parameters that the command line sets."""
    context = click.get_current_context()
    names = (parameter.name or "" for parameter in context.command.params)
    return {n for n in names if context.get_parameter_source(n) is ParameterSource.COMMANDLINE}


def refuse(names: Collection[str], reason: str) -> None:
    """Raise UsageError if the command line sets one of these options."""
    rejected = sorted(f"--{name.replace('_', '-')}" for name in explicit_options() & set(names))
    if rejected:
        raise UsageError(f"{', '.join(rejected)}: {reason}")
