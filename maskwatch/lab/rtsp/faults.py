"""Faults of a camera, which can be switched on and off while clients are connected."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

_DAMAGED_BYTES = 8
_SWITCHES = ("stall", "silent", "garbage", "close", "no_video", "join_anywhere")
# Type, minimum and maximum of each.
_NUMBERS: dict[str, tuple[type[float | int], float, float]] = {
    "corrupt": (float, 0, 1),
    "drop": (float, 0, 1),
    "omit": (float, 0, 1),
    "drip": (float, 0.1, 1e6),
    "status": (int, 400, 599),
    "clock_offset": (float, -1e6, 1e6),
    "clock_rate": (float, 0, 100),
}


@dataclass(slots=True)
class Faults:
    """The faults of one path; each field may be set at any time from any thread.

    A change applies immediately, also to clients that are already playing.
    """

    corrupt: float = 0.0
    """Share of the RTP packets, 0 to 1, in which eight bytes are overwritten."""
    drop: float = 0.0
    """Share of the RTP packets, 0 to 1, that are never sent."""
    omit: float = 0.0
    """Share of the frames, 0 to 1, that are not sent, without a gap in the sequence numbers."""
    stall: bool = False
    """No frame is sent; the connection stays open and requests are answered."""
    silent: bool = False
    """Connections are accepted, but nothing is sent on them."""
    garbage: bool = False
    """Random bytes are sent in place of replies and frames."""
    drip: float | None = None
    """Bytes a second to which replies and frames are limited."""
    status: int | None = None
    """Every request but OPTIONS is answered with this code, such as 401, 404 or 503."""
    close: bool = False
    """Each connection is closed as soon as it requests this path."""
    no_video: bool = False
    """The description lists only a sound track."""
    refuse: str = ""
    """The transport that is refused with 461: `tcp` or `udp`."""
    redirect: str = ""
    """The address to which DESCRIBE is answered with 302; empty for none. Not for `apply`."""
    clock_offset: float = 0.0
    """Seconds added to the RTP time, as when a camera's clock is set."""
    clock_rate: float = 1.0
    """Seconds by which the RTP time advances in a second; 0: it stands still."""
    join_anywhere: bool = False
    """A new client's first picture is the current one, not the last key picture."""

    def clear(self) -> None:
        """Switch every fault off."""
        for field in fields(self):
            setattr(self, field.name, field.default)

    def apply(self, text: str) -> None:
        """Set one fault: `stall`, `stall=off`, `drop=0.05`, `status=404`, or `clear` all.

        Raises ValueError for an unknown fault or an invalid value.
        """
        name, _, value = text.strip().partition("=")
        if name == "clear":
            self.clear()
        elif name in _SWITCHES:
            setattr(self, name, _switch(name, value))
        elif name == "refuse":
            self.refuse = _transport(value)
        elif name in _NUMBERS:
            setattr(self, name, _number(name, value))
        else:
            names = ", ".join((*_SWITCHES, *_NUMBERS, "refuse", "clear"))
            raise ValueError(f"no fault {name!r}, expected one of {names}")

    def damage(self, payload: bytes, rng: random.Random) -> bytes | None:
        """Return the payload to send: intact, with bytes overwritten, or None if dropped."""
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
    kind, minimum, maximum = _NUMBERS[name]
    try:
        number = kind(value)
    except ValueError:
        raise ValueError(f"{name}: expected a number, found {value!r}") from None
    if not minimum <= number <= maximum:
        raise ValueError(f"{name}: expected {minimum:g} to {maximum:g}, found {value}")
    return number


def _overwrite(payload: bytes, rng: random.Random) -> bytes:
    """Return the payload with random bytes after its header, so that the decoder receives it."""
    damaged = bytearray(payload)
    if len(damaged) > 3:
        for _ in range(_DAMAGED_BYTES):
            damaged[rng.randrange(3, len(damaged))] = rng.getrandbits(8)
    return bytes(damaged)
