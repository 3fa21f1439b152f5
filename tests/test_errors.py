"""The tree of errors is what its docstring draws, and every exit code is in the manual."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from maskwatch import errors
from maskwatch.errors import ConfigError, MaskwatchError, Problem, SecretError

_LINE = re.compile(r"^(?P<indent>[ │├└─]*)(?P<name>\w+Error)\s+(?P<code>\d+)\s{2,}(?P<words>\S.*)$")


def _drawn() -> Iterator[tuple[str, str | None, int]]:
    """Yield name, parent and exit code of every line of the drawing."""
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = _LINE.match(line)
        if found:
            depth = len(found["indent"])
            stack = [(d, n) for d, n in stack if d < depth]
            yield found["name"], stack[-1][1] if stack else None, int(found["code"])
            stack.append((depth, found["name"]))


def _existing(kind: type[MaskwatchError] = MaskwatchError) -> Iterator[tuple[str, str | None, int]]:
    parent = None if kind is MaskwatchError else kind.__base__
    yield kind.__name__, parent.__name__ if parent else None, kind.exit_code
    for inner in kind.__subclasses__():
        if inner.__module__ == errors.__name__:
            yield from _existing(inner)


def test_the_drawing_shows_the_existing_classes() -> None:
    assert sorted(_drawn(), key=str) == sorted(_existing(), key=str)


def test_every_error_is_public() -> None:
    assert not [name for name, _, _ in _existing() if name.startswith("_")]


def test_every_error_has_a_docstring() -> None:
    for name, _, _ in _existing():
        assert getattr(errors, name).__doc__.strip().splitlines()[0].endswith("."), name


def test_no_error_is_raised_by_its_class_alone_from_elsewhere() -> None:
    """Errors of ours live in the one module: another's would have no drawn place and no code."""
    others = [kind for kind in MaskwatchError.__subclasses__() if kind.__module__ != errors.__name__]
    assert others == []


def test_every_exit_code_is_in_the_manual(root: Path) -> None:
    manual = (root / "docs/configuration.md").read_text()
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", manual, re.MULTILINE)}
    assert told == {0} | {code for _, _, code in _existing()}


def test_exit_codes_leave_room_for_signals_and_shells() -> None:
    assert all(0 < code < 64 for _, _, code in _existing())


def test_a_problem_has_the_form_of_a_compilers_message() -> None:
    assert str(Problem("c.yaml", 3, 5, "a.b", "wrong", "try c")) == "c.yaml:3:5: a.b: wrong (try c)"
    assert str(Problem("c.yaml", 1, 1, "", "empty")) == "c.yaml:1:1: empty"


def test_a_config_error_shows_each_problem_on_a_line() -> None:
    problems = [Problem("c", 1, 1, "a", "x"), Problem("c", 2, 1, "b", "y")]
    error = SecretError(problems)
    assert isinstance(error, ConfigError)
    assert error.problems == problems
    assert str(error) == "c:1:1: a: x\nc:2:1: b: y"
    assert ConfigError("only words").problems == []
