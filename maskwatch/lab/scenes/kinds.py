"""The kinds of scenes that the event evaluation is made of, by name."""

from __future__ import annotations

from maskwatch.lab.scenes.people import PEOPLE
from maskwatch.lab.scenes.register import Kind
from maskwatch.lab.scenes.settings import SETTINGS

__all__ = ["KINDS", "Kind"]

KINDS: dict[str, Kind] = {**PEOPLE.kinds, **SETTINGS.kinds}
"""Every kind; a scene of one depends on its name and the seed alone, not on the order here."""
