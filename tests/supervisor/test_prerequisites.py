"""What is missing is tried again until it is there; what can never be there is an error."""

from __future__ import annotations

import asyncio

import pytest

from maskwatch.backoff import Backoff
from maskwatch.clock import SystemClock
from maskwatch.errors import ConfigError, TemporaryError
from maskwatch.supervisor import prerequisites
from maskwatch.supervisor.prerequisites import Prerequisites


class Attempts:
    """Fails with the given errors in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.seen: list[dict[str, str]] = []

    async def __call__(self) -> None:
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Prerequisites:
    monkeypatch.setattr(prerequisites, "_BACKOFF", Backoff(first=0.01, cap=0.01))
    return Prerequisites(SystemClock())


def test_the_reason_is_shown_until_an_attempt_succeeds(made: Prerequisites) -> None:
    attempts = Attempts(TemporaryError("not there"))
    assert not asyncio.run(made.tried("metrics", attempts))
    assert made.missing == {"metrics": "not there"}
    assert asyncio.run(made.tried("metrics", attempts))
    assert made.missing == {}


def test_attempts_are_repeated_until_one_succeeds(made: Prerequisites) -> None:
    attempts = Attempts(TemporaryError("a"), MemoryError(), TemporaryError("b"))
    asyncio.run(made.obtain("models", attempts))
    assert (attempts.errors, made.missing) == ([], {})


def test_an_error_that_cannot_pass_is_raised(made: Prerequisites) -> None:
    attempts = Attempts(TemporaryError("a"), ConfigError("wrong"))
    with pytest.raises(ConfigError, match="wrong"):
        asyncio.run(made.obtain("metrics", attempts))
