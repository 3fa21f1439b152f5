"""Ground truths of clips, built by hand."""

from __future__ import annotations

from maskwatch.lab.truth import Truth


def make_truth(**fields: object) -> Truth:
    """Return the ground truth of an empty clip of 640 x 360 pixels, with some fields replaced."""
    empty: dict[str, object] = {
        "name": "t",
        "kind": "t",
        "seed": 0,
        "size": (640, 360),
        "rate": 10.0,
        "seconds": 1.0,
        "visits": (),
        "frames": (),
    }
    return Truth(**{**empty, **fields})  # type: ignore[arg-type]  # the fields are checked by name
