"""What came of one clip of an event evaluation."""

from __future__ import annotations

import msgspec

from maskwatch.testing.events_eval import ClipOutcome
from maskwatch.testing.witness import Findings

__all__ = ["Judged"]


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """As the daemon would see it, and (`ungated`) without the motion gate.

    A quiet pass is not replayed without the gate: there is no visit to miss.
    """

    outcome: ClipOutcome
    findings: Findings
    ungated: ClipOutcome | None = None
