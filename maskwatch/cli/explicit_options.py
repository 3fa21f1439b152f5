"""Which options the user gave: those that do not apply are a mistake, not to be passed over."""

from __future__ import annotations

from collections.abc import Collection

import click
from click.core import ParameterSource

from maskwatch.errors import UsageError

__all__ = ["explicit_options", "refuse"]


def explicit_options() -> set[str]:
    """Return the names of the running command's parameters that stand on the command line."""
    context = click.get_current_context()
    named = (parameter.name or "" for parameter in context.command.params)
    return {n for n in named if context.get_parameter_source(n) is ParameterSource.COMMANDLINE}


def refuse(names: Collection[str], why: str) -> None:
    """Raise UsageError where one of these options was given."""
    wrong = sorted(f"--{name.replace('_', '-')}" for name in explicit_options() & set(names))
    if wrong:
        raise UsageError(f"{', '.join(wrong)}: {why}")
