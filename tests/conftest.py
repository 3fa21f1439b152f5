"""Fixtures for all tests."""

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

_LONGEST = 600.0  # seconds: a time limit that few tests have
_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

# The time of one example depends on the load of the machine.
settings.register_profile("maskwatch", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=1000)
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
    """Make a small clip of numbered pictures, cached; the arguments are those of `make_clip`."""
    from tests.fakes.clips import make_clip  # few tests need PyAV

    folder = tmp_path_factory.mktemp("clips")

    @functools.cache
    def clip_of(suffix: str = "mp4", **options: Any) -> Path:
        return make_clip(folder / f"{abs(hash(tuple(options.items())))}.{suffix}", **options)

    return clip_of


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the files of `make_certificates`."""
    from tests.fakes.certificates import make_certificates  # few tests need cryptography

    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


@pytest.fixture(scope="session")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of seven seconds: a person without a mask approaches the camera and leaves."""
    from maskwatch.lab.scenes import Scene, default_heads, render  # few tests need a rendered scene
    from maskwatch.lab.scenes.scene import Figure, Step

    path = tmp_path_factory.mktemp("visitor") / "visitor.mp4"
    steps = (Step(0.3, -0.9, 7.0), Step(4.6, -0.4, 2.9), Step(5.8, -0.2, 1.0))
    scene = Scene(name="visitor", kind="e2e", seconds=7, figures=(Figure(steps, face=0),))
    render(scene, path, size=(960, 540), fps=15.0, faces=default_heads())
    return path


@pytest.fixture
def later() -> Iterator[Callable[[float, Callable[[], object]], None]]:
    """Run an action after a delay in seconds; the test ends only when the action has run."""
    timers: list[threading.Timer] = []

    def later(seconds: float, action: Callable[[], object]) -> None:
        timers.append(threading.Timer(seconds, action))
        timers[-1].start()

    yield later
    for timer in timers:
        timer.join()


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    """Redact no secret of one test in the messages of another."""
    registry = secrets._registry
    secrets._registry = secrets.Replacements()
    yield
    secrets._registry = registry


@pytest.fixture
def fresh_logging() -> Iterator[None]:
    """Let a test set up the log of a process, and restore the previous setup after it."""
    root, package = logging.getLogger(), logging.getLogger("maskwatch")
    handlers, levels = list(root.handlers), (root.level, package.level)
    hooks, raising = (sys.excepthook, threading.excepthook), logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    package.setLevel(levels[1])
    sys.excepthook, threading.excepthook = hooks
    logging.raiseExceptions = raising
    logging.captureWarnings(capture=False)


@pytest.hookimpl(trylast=True)  # after the random order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests: none of them then runs alone at the end."""
    items.sort(key=_time_limit, reverse=True)


def _time_limit(item: pytest.Item) -> float:
    """Return the test's own time limit in seconds if it is an unusual one, else 0."""
    marker = item.get_closest_marker("timeout")
    limit = float(marker.args[0]) if marker else 0.0
    return limit if limit >= _LONGEST else 0.0


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With MASKWATCH_NO_SKIPS, a skip is a failure, except of a test that needs the shared data."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = reporter.stats.get("skipped", [])
    failures = [report for report in skipped if "shared" not in report.keywords]
    if skipped:
        reporter.write_line(f"\nskipped because ../shared is absent: {len(skipped) - len(failures)}")
    if failures and os.environ.get("MASKWATCH_NO_SKIPS"):
        for report in failures:
            reporter.write_line(f"skipped, which is a failure here: {report.nodeid}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
