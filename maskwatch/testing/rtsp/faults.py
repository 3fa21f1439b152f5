"""What can go wrong with a camera, to be turned on and off while clients are connected."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

__all__ = ["Faults"]

_DAMAGED_BYTES = 8


@dataclass(slots=True)
class Faults:
    """The faults of one path; each field may be set at any time from any thread.

    Replies and pictures obey at once: a client that plays already feels the change too.
    """

    corrupt: float = 0.0
    """Share of the RTP packets, 0 to 1, in which eight bytes are overwritten."""
    drop: float = 0.0
    """Share of the RTP packets, 0 to 1, that are never sent."""
    stall: bool = False
    """Pictures stop; the connection stays up and requests are answered."""
    silent: bool = False
    """Connections are accepted and nothing is ever sent on them."""
    garbage: bool = False
    """Random bytes are sent in place of replies and pictures."""
    drip: float | None = None
    """Bytes a second to which replies and pictures are held down."""
    status: int | None = None
    """Every request but OPTIONS is answered with this code, such as 401, 404 or 503."""
    close: bool = False
    """Each connection is closed as soon as it has asked for this path."""
    no_video: bool = False
    """The description lists a sound track only."""
    clock_offset: float = 0.0
    """Seconds added to the RTP time: a camera whose clock is set."""

    def clear(self) -> None:
        """Heal everything."""
        for field in fields(self):
            setattr(self, field.name, field.default)

    def damage(self, payload: bytes, rng: random.Random) -> bytes | None:
        """The payload as it arrives: whole, with bytes overwritten, or None if lost."""
        if self.drop and rng.random() < self.drop:
            return None
        if self.corrupt and rng.random() < self.corrupt:
            return _overwrite(payload, rng)
        return payload


def _overwrite(payload: bytes, rng: random.Random) -> bytes:
    """Damage the body but not the header: what the decoder gets, not what is thrown away."""
    damaged = bytearray(payload)
    if len(damaged) > 3:
        for _ in range(_DAMAGED_BYTES):
            damaged[rng.randrange(3, len(damaged))] = rng.getrandbits(8)
    return bytes(damaged)
