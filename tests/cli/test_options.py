"""An option has one meaning in every verb; former names still work and print a warning."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from maskwatch.cli import app
from maskwatch.cli.evaluate_events import events as evaluate_events
from maskwatch.cli.evaluate_real import real as evaluate_real
from maskwatch.cli.options import CommandWithRenamedOptions


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner_name, inner in command.commands.items():
            yield from _commands(f"{name} {inner_name}", inner)


def _all_commands() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {
        "evaluate --events": evaluate_events,
        "evaluate --events --real": evaluate_real,
    }
    for verb in app._VERBS:
        found |= dict(_commands(verb, app._load(verb)))
    return found


COMMANDS = _all_commands()


def _shared_options() -> dict[str, dict[str, click.Option]]:
    """Return the options that several commands have: by option name, then by command."""
    options: dict[str, dict[str, click.Option]] = defaultdict(dict)
    for name, command in COMMANDS.items():
        for option in command.params:
            if isinstance(option, click.Option):
                for flag in (*option.opts, *option.secondary_opts):
                    options[flag][name] = option
    return {flag: owners for flag, owners in options.items() if len(owners) > 1}


SHARED = _shared_options()


def _kind(option: click.Option) -> tuple[object, ...]:
    """Return whether an option is a flag, the type of its value, and the words that it takes."""
    choices = tuple(option.type.choices) if isinstance(option.type, click.Choice) else ()
    return option.is_flag, type(option.type), choices


@pytest.mark.parametrize("flag", sorted(SHARED))
def test_an_option_is_of_the_same_kind_in_every_verb(flag: str) -> None:
    kinds = {name: _kind(option) for name, option in SHARED[flag].items()}
    assert len(set(kinds.values())) == 1, kinds


@pytest.mark.parametrize("flag", sorted(SHARED))
def test_the_helps_of_an_option_share_a_word_in_every_verb(flag: str) -> None:
    """A name that is used for two purposes has two descriptions without a word in common."""
    words = [set(re.findall(r"\w{4,}", (o.help or "").casefold())) for o in SHARED[flag].values()]
    assert set.intersection(*words), {name: o.help for name, o in SHARED[flag].items()}


@pytest.mark.parametrize("name", sorted(SHARED["--json"]))
def test_json_is_a_flag_that_prints_on_standard_output(name: str) -> None:
    option = SHARED["--json"][name]
    assert option.is_flag
    assert "JSON" in str(option.help)


@pytest.mark.parametrize(
    ("arguments", "parsed", "warning"),
    [
        (
            ["--json", "a.json"],
            {"report": "a.json", "json": False},
            "--json is deprecated here; use --report",
        ),
        (
            ["--json=a.json"],
            {"report": "a.json", "json": False},
            "--json is deprecated here; use --report",
        ),
        (["--json"], {"report": None, "json": True}, ""),
        (["--json", "--report", "b"], {"report": "b", "json": True}, ""),
        (
            ["--gone", "--json"],
            {"report": None, "json": True},
            "--gone is deprecated here; leave it out",
        ),
    ],
)
def test_a_former_option_name_works_and_prints_a_deprecation_warning(
    arguments: list[str], parsed: dict[str, object], warning: str
) -> None:
    @click.command(cls=CommandWithRenamedOptions, renamed={"--json": "--report", "--gone": ""})
    @click.option("--json", "as_json", is_flag=True)
    @click.option("--report")
    def verb(as_json: bool, report: str | None) -> None:
        click.echo(repr({"report": report, "json": as_json}))

    done = CliRunner().invoke(verb, arguments)
    assert done.stdout == f"{parsed!r}\n"
    assert done.stderr == (f"maskwatch: {warning}\n" if warning else "")


def test_every_former_name_leads_to_an_option_of_its_verb() -> None:
    renaming = {n: c for n, c in COMMANDS.items() if isinstance(c, CommandWithRenamedOptions)}
    assert set(renaming) == {
        "demo", "evaluate", "evaluate --events", "events export", "probe", "scenes render",
    }  # fmt: skip
    for name, command in renaming.items():
        present = {flag for option in command.params for flag in option.opts}
        assert {new for new in command.renamed.values() if new} <= present, name
