"""Former names of options, understood for one release with a deprecation warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

__all__ = ["CommandWithRenamedOptions"]


class CommandWithRenamedOptions(click.Command):
    """A command that accepts former names of its options.

    `renamed` maps each former name to the present one, or to "" for an option that has no effect
    any more. A name that is a flag today is replaced only where a value follows it, as it did then.
    """

    def __init__(self, *arguments: Any, renamed: Mapping[str, str], **keys: Any) -> None:
        super().__init__(*arguments, **keys)
        self.renamed = renamed

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments after replacing former names."""
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
