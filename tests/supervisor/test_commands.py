"""Commands go to who can obey them, and every one is answered once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.supervisor.commands import CommandRouter


class Hands:
    """Carries out commands by noting them; `fault` is what stands in the way."""

    def __init__(self) -> None:
        self.fault = ""
        self.done: list[str] = []
        self.reloads: list[Callable[[bool, str], None]] = []

    def switch(self, camera: str, *, on: bool, seconds: float) -> str:  # noqa: ARG002 - the family's to obey
        self.done.append(f"{camera} {'on' if on else 'off'}")
        return self.fault

    def pass_on(self, command: Command) -> str:
        self.done.append(f"{command.verb} {command.target}")
        return self.fault

    def reload(self, done: Callable[[bool, str], None]) -> None:
        self.reloads.append(done)


class Office:
    """A router with its hands, the answers that it gave, and what it counted."""

    def __init__(self) -> None:
        self.hands = Hands()
        self.answers: list[CommandResult] = []
        self.counted: list[tuple[str, bool]] = []
        self.router = CommandRouter(self.hands, 10.0, lambda verb, ok: self.counted.append((verb, ok)))

    def run(self, verb: str, target: str = "hall", now: float = 0.0) -> None:
        command = Command(id=f"{verb}-1", verb=verb, target=target)
        self.router.run(command, self.answers.append, now)


@pytest.fixture
def office() -> Office:
    return Office()


def test_enable_and_disable_are_done_and_answered_at_once(office: Office) -> None:
    office.run("disable")
    office.run("enable")
    assert office.hands.done == ["hall off", "hall on"]
    assert [answer.ok for answer in office.answers] == [True, True]


def test_what_cannot_be_done_is_answered_with_the_reason(office: Office) -> None:
    office.hands.fault = "there is no camera 'hall'"
    office.run("disable")
    office.run("snooze")
    assert [answer.detail for answer in office.answers] == [office.hands.fault] * 2
    assert office.counted == [("disable", False), ("snooze", False)]


@pytest.mark.parametrize("verb", ["snooze", "snapshot", "acknowledge"])
def test_a_child_s_command_is_answered_when_the_child_answers(office: Office, verb: str) -> None:
    office.run(verb)
    assert office.answers == []
    result = CommandResult(id=f"{verb}-1", ok=True, detail="done")
    asked, stranger = ("hall", "") if verb == "snapshot" else ("", "hall")
    office.router.done(result, stranger)
    office.router.done(result, "gate")
    assert office.answers == [], "an answer counts only from the process that was asked"
    office.router.done(result, asked)
    office.router.done(result, asked)
    assert office.answers == [result]


def test_a_child_that_does_not_answer_is_not_waited_for_for_ever(office: Office) -> None:
    office.run("snooze", now=5.0)
    office.router.expire(14.9)
    assert office.answers == []
    office.router.expire(15.0)
    office.router.done(CommandResult(id="snooze-1", ok=True), "")
    assert [(answer.ok, "did not answer" in answer.detail) for answer in office.answers] == [
        (False, True)
    ]


def test_a_reload_is_answered_at_its_end(office: Office) -> None:
    office.run("reload", "")
    assert office.answers == []
    office.hands.reloads[0](False, "nothing was changed")
    assert office.answers == [CommandResult(id="reload-1", ok=False, detail="nothing was changed")]


def test_an_unknown_verb_is_refused(office: Office) -> None:
    office.run("explode")
    assert not office.answers[0].ok
    assert "explode" in office.answers[0].detail


def test_an_answer_that_nobody_asked_for_is_ignored(office: Office) -> None:
    office.router.done(CommandResult(id="stranger", ok=True), "")
    assert office.answers == []
