"""The kinds of cameras: servers, codecs, transports, logins, clocks, pixels and refreshes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields

_VALUES = {
    "server": ("lab", "gstreamer", "live555"),
    "codec": ("h264", "hevc", "mjpeg"),
    "transport": ("tcp", "udp", "tls"),
    "login": ("basic", "md5", "sha256"),
    "clock": ("right", "slow", "fast", "still", "set"),
    "pixels": ("square", "narrow", "wide"),
    "refresh": ("key", "intra", "between"),
}

_BY_FILE = "it sends pictures by the times in the file"
_NO_SHAPE = "RTP carries no shape of pixels for JPEG (RFC 2435)"
_ALL_KEYS = "each picture is a key picture"
CANNOT = (
    ("gstreamer", ("sha256",), "it knows Digest with MD5 only"),
    ("gstreamer", ("slow", "fast", "still", "set"), _BY_FILE),
    ("gstreamer", ("between",), "it begins with a key picture"),
    ("live555", ("mjpeg",), "it serves JPEG from a device only"),
    ("live555", ("basic", "sha256"), "it knows Digest with MD5 only"),
    ("live555", ("slow", "fast", "still", "set"), _BY_FILE),
    ("mjpeg", ("narrow", "wide"), _NO_SHAPE),
    ("mjpeg", ("intra", "between"), _ALL_KEYS),
)
"""What does not exist with a server or codec, and why."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of camera; the values are those of `_VALUES`.

    `refresh`: a key picture each second; a refresh by columns; a key picture each second, of which
    the client has missed the latest when it joins.
    """

    server: str
    codec: str
    transport: str
    login: str
    clock: str
    pixels: str
    refresh: str

    @property
    def name(self) -> str:
        return "-".join(astuple(self))

    @property
    def pairs(self) -> set[tuple[str, str, str, str]]:
        named = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return {(*one, *other) for one, other in itertools.combinations(named, 2)}


def _exists(cell: Cell) -> bool:
    values = set(astuple(cell))
    return not any(one in values and values & set(others) for one, others, _ in CANNOT)


def product() -> list[Cell]:
    """Return every cell that exists."""
    return list(filter(_exists, itertools.starmap(Cell, itertools.product(*_VALUES.values()))))


def pairwise() -> Iterator[Cell]:
    """Return few cells in which each pair of values of the product occurs."""
    cells = product()
    missing = set().union(*(cell.pairs for cell in cells))
    while missing:
        best = max(cells, key=lambda cell: len(cell.pairs & missing))
        missing -= best.pairs
        yield best
