"""Waiting for events, with bounds that a busy machine meets."""

from __future__ import annotations

import time
from collections.abc import Callable

SLACK = 4.0
"""Factor of every timeout of a wait; only a failing test waits that long."""


def wait_until(condition: Callable[[], object], timeout: float = 20.0, what: str = "") -> None:
    """Return once `condition()` is true; fail the test with `what` after `timeout * SLACK` seconds."""
    deadline = time.monotonic() + timeout * SLACK
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout * SLACK:g} s: {what or condition}"
        time.sleep(0.02)
