"""Commands go to the process that executes them, and every one is answered once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.supervisor.commands import CommandRouter


class FakeExecutor:
    """Records the commands; `fault` is the reason with which it refuses."""

    def __init__(self) -> None:
        self.fault = ""
        self.done: list[str] = []
        self.reloads: list[Callable[[bool, str], None]] = []

    def switch(self, camera: str, *, on: bool, seconds: float, by: str) -> str:  # noqa: ARG002 - the executor's signature
        self.done.append(f"{camera} {'on' if on else 'off'}")
        return self.fault

    def forward(self, command: Command) -> str:
        self.done.append(f"{command.verb} {command.target}")
        return self.fault

    def reload(self, done: Callable[[bool, str], None]) -> None:
        self.reloads.append(done)


class RouterHarness:
    """A router with its executor, the results that it returned, and the counts."""

    def __init__(self) -> None:
        self.executor = FakeExecutor()
        self.answers: list[CommandResult] = []
        self.counted: list[tuple[str, bool]] = []
        self.router = CommandRouter(self.executor, 10.0, self._count)  # type: ignore[arg-type]  # a fake

    def _count(self, verb: str, ok: bool) -> None:
        self.counted.append((verb, ok))

    def run(self, verb: str, target: str = "hall", now: float = 0.0) -> None:
        command = Command(id=f"{verb}-1", verb=verb, target=target)
        self.router.run(command, self.answers.append, now)


@pytest.fixture
def harness() -> RouterHarness:
    return RouterHarness()


def test_enable_and_disable_are_executed_and_answered_immediately(harness: RouterHarness) -> None:
    harness.run("disable")
    harness.run("enable")
    assert harness.executor.done == ["hall off", "hall on"]
    assert [answer.ok for answer in harness.answers] == [True, True]


def test_a_refused_command_is_answered_with_the_reason(harness: RouterHarness) -> None:
    harness.executor.fault = "there is no camera 'hall'"
    harness.run("disable")
    harness.run("snooze")
    assert [answer.detail for answer in harness.answers] == [harness.executor.fault] * 2
    assert harness.counted == [("disable", False), ("snooze", False)]


@pytest.mark.parametrize("verb", ["snooze", "snapshot", "acknowledge"])
def test_a_child_s_command_is_answered_when_the_child_answers(harness: RouterHarness, verb: str) -> None:
    harness.run(verb)
    assert harness.answers == []
    result = CommandResult(id=f"{verb}-1", ok=True, detail="done")
    executing, other = ("hall", "") if verb == "snapshot" else ("", "hall")
    harness.router.done(result, other)
    harness.router.done(result, "gate")
    assert harness.answers == [], "only the process that executes it may answer"
    harness.router.done(result, executing)
    harness.router.done(result, executing)
    assert harness.answers == [result]


def test_a_child_that_does_not_answer_in_time_is_reported_once(harness: RouterHarness) -> None:
    harness.run("snooze", now=5.0)
    harness.router.expire(14.9)
    assert harness.answers == []
    harness.router.expire(15.0)
    harness.router.done(CommandResult(id="snooze-1", ok=True), "")
    assert [(answer.ok, "did not answer" in answer.detail) for answer in harness.answers] == [
        (False, True)
    ]


def test_a_reload_is_answered_at_its_end(harness: RouterHarness) -> None:
    harness.run("reload", "")
    assert harness.answers == []
    harness.executor.reloads[0](False, "nothing was changed")
    assert harness.answers == [CommandResult(id="reload-1", ok=False, detail="nothing was changed")]


def test_an_unknown_verb_is_refused(harness: RouterHarness) -> None:
    harness.run("explode")
    assert not harness.answers[0].ok
    assert "explode" in harness.answers[0].detail


def test_the_result_of_an_unknown_command_is_ignored(harness: RouterHarness) -> None:
    harness.router.done(CommandResult(id="stranger", ok=True), "")
    assert harness.answers == []


def test_a_command_is_logged_with_who_sent_it_and_with_its_result(
    harness: RouterHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    command = Command(id="1", verb="disable", target="hall", seconds=5, origin="cli", by="ann (uid 7)")
    harness.router.run(command, harness.answers.append, 0.0)
    harness.router.run(Command(id="2", verb="format", origin="mqtt"), harness.answers.append, 0.0)
    lines = [(record.getMessage(), record.by) for record in caplog.records]  # type: ignore[attr-defined]
    assert lines == [
        ("command disable hall for 5 s", "ann (uid 7)"),
        ("command disable hall for 5 s done: disabled hall", "ann (uid 7)"),
        ("command format", "mqtt"),
        ("command format refused: unknown command 'format'", "mqtt"),
    ]
