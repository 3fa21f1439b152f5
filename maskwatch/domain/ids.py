"""Identifiers: time-ordered ones for live runs, reproducible ones for replays."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Protocol
from uuid import UUID, uuid5

_REPLAY_NAMESPACE = UUID("6f7b1f0e-41f4-5d0e-9d0a-6d61736b7700")


def uuid7(at: datetime, random_bytes: bytes) -> UUID:
    """Return a UUID version 7 (RFC 9562, section 5.7) of `at` (aware) and 10 random bytes."""
    milliseconds = int(at.timestamp() * 1000) & ((1 << 48) - 1)
    random = int.from_bytes(random_bytes[:10], "big")
    value = milliseconds << 80
    value |= 0x7 << 76 | ((random >> 62) & 0xFFF) << 64
    value |= 0b10 << 62 | (random & ((1 << 62) - 1))
    return UUID(int=value)


class IdSource(Protocol):
    """Source of the violations' ids."""

    def next(self, at: datetime) -> UUID:
        """Return a new id for a violation that began `at` (aware)."""


class LiveIds:
    """UUIDv7 from the capture time and the kernel's randomness."""

    def next(self, at: datetime) -> UUID:
        return uuid7(at, os.urandom(10))


class ReplayIds:
    """The same ids on every run: from the clip's hash, the camera and the sequence."""

    def __init__(self, clip_hash: str, camera: str) -> None:
        self._name = f"{clip_hash}/{camera}"
        self._sequence = 0

    def next(self, at: datetime) -> UUID:  # noqa: ARG002 - a replay's ids do not depend on the time
        self._sequence += 1
        return uuid5(_REPLAY_NAMESPACE, f"{self._name}/{self._sequence}")
