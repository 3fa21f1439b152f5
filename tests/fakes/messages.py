"""Messages for tests of the wire."""

from __future__ import annotations

from datetime import UTC, datetime

from maskwatch.domain import Box, CameraState, Change, ChangeKind, Verdict, Violation, uuid7
from maskwatch.ipc.messages import Heartbeat

NOON = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)


def make_heartbeat() -> Heartbeat:
    return Heartbeat(
        state=CameraState.LIVE,
        reason="",
        since=NOON,
        leave_by=None,
        frames=5,
        last_frame=NOON,
        attempt=0,
    )


def make_change() -> Change:
    violation = Violation(
        id=uuid7(NOON, b"0123456789"), camera="hall", zone="", zones=("door",), track=3,
        verdict=Verdict.NO_MASK, first_seen=NOON, started=NOON, ended=None, close_reason=None,
        confidence=0.99, evidence=7.5, readings=9, face_height=80.0, box=Box(0.1, 0.2, 0.3, 0.4),
        model="m",
    )  # fmt: skip
    return Change(1, ChangeKind.OPENED, NOON, violation)
