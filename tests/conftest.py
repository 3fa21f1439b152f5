"""What every test may ask for."""

from __future__ import annotations

import functools
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from maskwatch import secrets

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

# How long one example takes says more about the machine's other work than about the code.
settings.register_profile("maskwatch", deadline=None)
settings.load_profile("maskwatch")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The photographs and clips beside the checkout; tests that need them carry `shared`."""
    if not _SHARED.is_dir():
        pytest.skip("shared data is absent")
    return _SHARED


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout's root."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make, or find again, a small clip of numbered pictures; the arguments are `make_clip`'s."""
    from tests.fakes.clips import make_clip  # not every test needs PyAV

    folder = tmp_path_factory.mktemp("clips")

    @functools.cache
    def clip_of(suffix: str = "mp4", **wanted: Any) -> Path:
        return make_clip(folder / f"{abs(hash(tuple(wanted.items())))}.{suffix}", **wanted)

    return clip_of


@pytest.fixture
def later() -> Iterator[Callable[[float, Callable[[], object]], None]]:
    """Do something in so many seconds; the test does not end before it is done."""
    timers: list[threading.Timer] = []

    def later(seconds: float, action: Callable[[], object]) -> None:
        timers.append(threading.Timer(seconds, action))
        timers[-1].start()

    yield later
    for timer in timers:
        timer.join()


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    """A secret of one test must not turn words of another test's messages into stars."""
    registry = secrets._registry
    secrets._registry = secrets._SecretRegistry()
    yield
    secrets._registry = registry


@pytest.fixture
def fresh_logging() -> Iterator[None]:
    """Let a test set up the log of a process, and take everything back after it."""
    root, ours = logging.getLogger(), logging.getLogger("maskwatch")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    hooks, raising = (sys.excepthook, threading.excepthook), logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    sys.excepthook, threading.excepthook = hooks
    logging.raiseExceptions = raising
    logging.captureWarnings(capture=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With MASKWATCH_NO_SKIPS, a skip is a failure, but for tests that need the shared data."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = reporter.stats.get("skipped", [])
    wrong = [report for report in skipped if "shared" not in report.keywords]
    if skipped:
        reporter.write_line(f"\nskipped for want of ../shared: {len(skipped) - len(wrong)}")
    if wrong and os.environ.get("MASKWATCH_NO_SKIPS"):
        for report in wrong:
            reporter.write_line(f"skipped, which is a failure here: {report.nodeid}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
