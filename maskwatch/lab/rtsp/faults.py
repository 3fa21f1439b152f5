"""What can go wrong with a camera, to be turned on and off while clients are connected."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

__all__ = ["Faults"]

_DAMAGED_BYTES = 8
_SWITCHES = ("stall", "silent", "garbage", "close", "no_video")
# For each: its type, the least and the most that makes sense.
_NUMBERS: dict[str, tuple[type[float | int], float, float]] = {
    "corrupt": (float, 0, 1),
    "drop": (float, 0, 1),
    "omit": (float, 0, 1),
    "drip": (float, 0.1, 1e6),
    "status": (int, 400, 599),
    "clock_offset": (float, -1e6, 1e6),
}


@dataclass(slots=True)
class Faults:
    """The faults of one path; each field may be set at any time from any thread.

    Replies and pictures obey at once: a client that plays already feels the change too.
    """

    corrupt: float = 0.0
    """Share of the RTP packets, 0 to 1, in which eight bytes are overwritten."""
    drop: float = 0.0
    """Share of the RTP packets, 0 to 1, that are never sent."""
    omit: float = 0.0
    """Share of the pictures, 0 to 1, that are left out without a gap in the packets' numbers."""
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
    refuse: str = ""
    """The transport that is not offered: `tcp` or `udp`; clients are answered 461."""
    clock_offset: float = 0.0
    """Seconds added to the RTP time: a camera whose clock is set."""

    def clear(self) -> None:
        """Heal everything."""
        for field in fields(self):
            setattr(self, field.name, field.default)

    def order(self, words: str) -> None:
        """Obey an operator: `stall`, `stall=off`, `drop=0.05`, `status=404`, `clear`.

        Raises ValueError if there is no such fault, or the value makes no sense for it.
        """
        name, _, value = words.strip().partition("=")
        if name == "clear":
            self.clear()
        elif name in _SWITCHES:
            setattr(self, name, _switch(name, value))
        elif name == "refuse":
            self.refuse = _transport(value)
        elif name in _NUMBERS:
            setattr(self, name, _number(name, value))
        else:
            known = ", ".join((*_SWITCHES, *_NUMBERS, "refuse", "clear"))
            raise ValueError(f"no fault {name!r}, expected one of {known}")

    def damage(self, payload: bytes, rng: random.Random) -> bytes | None:
        """The payload as it arrives: whole, with bytes overwritten, or None if lost."""
        if self.drop and rng.random() < self.drop:
            return None
        if self.corrupt and rng.random() < self.corrupt:
            return _overwrite(payload, rng)
        return payload


def _switch(name: str, value: str) -> bool:
    if value not in ("", "on", "off"):
        raise ValueError(f"{name}: expected on or off, found {value!r}")
    return value != "off"


def _transport(value: str) -> str:
    if value not in ("tcp", "udp"):
        raise ValueError(f"refuse: expected tcp or udp, found {value!r}")
    return value


def _number(name: str, value: str) -> float | int:
    kind, least, most = _NUMBERS[name]
    try:
        number = kind(value)
    except ValueError:
        raise ValueError(f"{name}: expected a number, found {value!r}") from None
    if not least <= number <= most:
        raise ValueError(f"{name}: expected {least:g} to {most:g}, found {value}")
    return number


def _overwrite(payload: bytes, rng: random.Random) -> bytes:
    """Damage the body but not the header: what the decoder gets, not what is thrown away."""
    damaged = bytearray(payload)
    if len(damaged) > 3:
        for _ in range(_DAMAGED_BYTES):
            damaged[rng.randrange(3, len(damaged))] = rng.getrandbits(8)
    return bytes(damaged)
