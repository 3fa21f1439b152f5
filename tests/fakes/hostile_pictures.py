"""Clips by which a hostile camera costs its watcher memory and processor time: H.264 made bit by bit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from maskwatch.lab.rtsp import Clip, Codec, RtspServer
from maskwatch.lab.rtsp.clip import CLOCK_RATE, AccessUnit

_LEVEL = 62
_BASELINE = 66
Size = tuple[int, int]


class _Bits:
    """Writes the bit strings of ITU-T H.264, clause 7.2."""

    def __init__(self) -> None:
        self._bits = ""

    def u(self, width: int, value: int) -> _Bits:
        self._bits += f"{value:0{width}b}"
        return self

    def ue(self, *values: int) -> _Bits:
        for value in values:
            coded = f"{value + 1:b}"
            self._bits += "0" * (len(coded) - 1) + coded
        return self

    def nal(self, header: int) -> bytes:
        bits = self._bits + "1"
        bits += "0" * (-len(bits) % 8)
        raw = int(bits, 2).to_bytes(len(bits) // 8, "big")
        return bytes([header]) + _escaped(raw)


def _escaped(raw: bytes) -> bytes:
    out = bytearray()
    for byte in raw:
        if byte <= 3 and out[-2:] == b"\x00\x00":
            out.append(3)
        out.append(byte)
    return bytes(out)


def parameter_sets(width: int, height: int, *, references: int) -> tuple[bytes, bytes]:
    """Return SPS and PPS (Baseline, CAVLC) of a size in pixels, both multiples of 16."""
    sps = _Bits().u(8, _BASELINE).u(8, 0).u(8, _LEVEL).ue(0)  # profile, constraints, level, id
    sps.ue(0, 2, references).u(1, 0)  # frame_num bits, order type, references, no gaps
    sps.ue(width // 16 - 1, height // 16 - 1).u(1, 1).u(1, 1).u(1, 0).u(1, 0)
    pps = _Bits().ue(0, 0).u(1, 0).u(1, 0).ue(0, 0, 0).u(1, 0).u(2, 0).ue(0, 0, 0)
    pps.u(1, 0).u(1, 0).u(1, 0)
    return sps.nal(0x67), pps.nal(0x68)


def _slice(number: int, first: int, *, key: bool) -> bytes:
    """Return a slice of one grey macroblock, at the macroblock `first`."""
    bits = _Bits().ue(first, 7, 0).u(4, 0 if key else number % 16)  # type I, frame_num
    if key:
        bits.ue(number % 2).u(2, 0)  # no long-term reference
    else:
        bits.u(1, 0)  # references leave in the order in which they came
    return bits.ue(0, 3, 0, 0).u(1, 1).nal(0x65 if key else 0x61)


def clip(sizes: Sequence[Size], *, rate: int = 25, slices: int = 1, references: int = 0) -> Clip:
    """Return a clip of one picture for each size, with one macroblock in each of its slices.

    Each is a key frame; with `references`, only the first is, and a decoder keeps that many pictures.
    """
    units = []
    for number, size in enumerate(sizes):
        key = not references or number == 0
        sets = parameter_sets(*size, references=references or 1) if key else ()
        nals = (*sets, *(_slice(number, first, key=key) for first in range(slices)))
        at = number * CLOCK_RATE // rate
        units.append(AccessUnit(at, at, nals, key))
    keys = tuple(number for number, unit in enumerate(units) if unit.key)
    length = len(units) * CLOCK_RATE // rate
    return Clip(Codec.H264, *sizes[0], tuple(units), length, units[0].nals[:2], keys)


KINDS: dict[str, Callable[[], Clip]] = {
    "fast": lambda: clip([(320, 240)] * 1000, rate=1000),
    "sliced": lambda: clip([(4096, 2304)] * 5, rate=5, slices=4000),
}


def main() -> None:
    """Serve one of KINDS, print its address, and end with standard input."""
    with RtspServer() as server:
        server.add("hall", KINDS[sys.argv[1]]())
        sys.stdout.write(f"{server.url('hall')}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
