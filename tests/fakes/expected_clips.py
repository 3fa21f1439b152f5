"""Expected events of recorded clips, as data and as the decoded form."""

from __future__ import annotations

from typing import Any

import msgspec

from maskwatch.lab.evaluation.real_clips import ExpectedClip


def expected_person(**changes: Any) -> dict[str, Any]:
    """Return a required person without a mask in the middle of the picture for ten seconds."""
    person = {
        "id": "a",
        "who": "a visitor",
        "rule": "required",
        "judgeable_from": 1.0,
        "mask": [[0, 10, "bare"]],
        "boxes": [[0, 0.4, 0.4, 0.5, 0.6], [10, 0.5, 0.4, 0.6, 0.6]],
    }
    return person | changes


def expected_clip(*people: dict[str, Any], objects: tuple[dict[str, Any], ...] = ()) -> ExpectedClip:
    return msgspec.convert({"people": people, "objects": objects}, ExpectedClip)
