"""Examines a -wal that an ended process left: SQLite silently drops what follows a flipped bit in it.

The format is described at https://www.sqlite.org/fileformat2.html#the_write_ahead_log. The checksum of
a frame covers the frame and the checksum before it, so that frames after a damaged one can be checked.
Each transaction is synced before the next one begins. So a damaged frame, a sound commit and another
sound frame are no torn write: that commit was acknowledged. In the last transaction a frame of which one
flipped bit explains the checksum is none either. The checksum is linear, so that the bit is known.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct(">8I")  # magic, version, page size, checkpoint, salt (2), checksum (2)
_FRAME = struct.Struct(">6I")  # page, pages after a commit (else 0), salt (2), checksum (2)
_SUMMED = 8  # bytes of a frame's header that its checksum covers
_MAGIC = 0x377F0682  # checksums are of little-endian words; one more: of big-endian words
_VERSION = 3007000
_NO_SUM = (0, 0)
_WORD = 0xFFFFFFFF
_MAX_CORRECTIONS = 16  # frames examined for a flipped bit, some 20 ms each

_Pair = tuple[int, int]


def wal_and_shm(path: Path) -> tuple[Path, Path]:
    """Return the -wal and -shm files that belong to a database file."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame as it was written, if that is known: if it is sound, or one bit of it was flipped."""

    page: int
    commit: int
    data: bytes
    sound: bool
    flipped: bool = False


class WalFile:
    """The contents of a -wal.

    Attributes:
        damage: what is damaged that was acknowledged, "" if nothing is.
        incomplete: whether it ends in a transaction without a sound commit. It was not acknowledged,
            or more than one bit of it is damaged, which cannot be distinguished.
    """

    def __init__(self, database: Path) -> None:
        """Read it; a file that does not exist is sound."""
        wal = wal_and_shm(database)[0]
        data = wal.read_bytes() if wal.exists() else b""
        self._page_size = _page_size(database)
        self._checkpoint = 0
        self._order = "<"
        self._salt = _NO_SUM
        self._corrections = _MAX_CORRECTIONS
        self._frames: list[_Frame] = []
        self.damage, self.incomplete = "", False
        if self._page_size and len(data) > _HEADER.size:
            self._read(data)

    def _read(self, data: bytes) -> None:
        magic, _, _, self._checkpoint, *salt, first, second = _HEADER.unpack_from(data)
        self._order = ">" if magic == _MAGIC + 1 else "<"
        sound = _checksum(data[: _HEADER.size - 8], _NO_SUM, self._order) == (first, second)
        self._salt = (salt[0], salt[1]) if sound else self._usual_salt(data)
        self._frames = list(self._read_frames(data, (first, second)))
        while self._frames and not (self._frames[-1].sound or self._frames[-1].flipped):
            self._frames.pop()
        self.damage = self._find_damage(sound_header=sound)
        self.incomplete = any(not frame.sound for frame in self._frames) or (
            bool(self._frames) and not self._frames[-1].commit
        )

    def _find_damage(self, *, sound_header: bool) -> str:
        if not sound_header and self._frames:
            return "the header of the -wal is damaged"
        count = len(self._frames)
        unsound = [index for index, frame in enumerate(self._frames) if not frame.sound]
        commits = [index for index, frame in enumerate(self._frames) if frame.commit]
        for commit in commits:
            before = [index for index in unsound if index <= commit]
            if before and (commit < count - 1 or all(self._frames[each].flipped for each in before)):
                return f"{len(unsound)} of {count} frames of the -wal are damaged"
        return ""

    def _raw_frames(self, data: bytes) -> Iterator[tuple[tuple[int, ...], int]]:
        """Yield the header of each whole frame and where its page begins."""
        step = _FRAME.size + self._page_size
        for start in range(_HEADER.size, len(data) - step + 1, step):
            yield _FRAME.unpack_from(data, start), start + _FRAME.size

    def _usual_salt(self, data: bytes) -> _Pair:
        """Return the salt of most frames, where the header's cannot be trusted."""
        salts = Counter((header[2], header[3]) for header, _ in self._raw_frames(data))
        return max(salts, key=lambda salt: salts[salt], default=_NO_SUM)

    def _read_frames(self, data: bytes, before: _Pair) -> Iterator[_Frame]:
        for (_, _, *salt, first, second), start in self._raw_frames(data):
            begin = start - _FRAME.size
            summed = data[begin : begin + _SUMMED] + data[start : start + self._page_size]
            found, stored = _checksum(summed, before, self._order), (first, second)
            strange = _distance(self._salt, (salt[0], salt[1]))
            if strange == 0 and found != stored:
                summed, stored, flipped = self._corrected(summed, found, stored)
            else:
                flipped = strange == 1 and found == stored
            page, commit = struct.unpack_from(">2I", summed)
            sound = strange == 0 and found == stored and not flipped
            yield _Frame(page, commit, summed[_SUMMED:], sound, flipped)
            before = stored

    def _corrected(self, summed: bytes, found: _Pair, stored: _Pair) -> tuple[bytes, _Pair, bool]:
        """Return what one flipped bit explains: the bytes, their checksum, and whether it does."""
        if self._corrections == 0:
            return summed, stored, False
        self._corrections -= 1
        if _distance(found, stored) == 1:
            return summed, found, True
        bit = _flipped_bit(summed, found, stored, self._order)
        if bit is None:
            return summed, stored, False
        corrected = bytearray(summed)
        corrected[bit // 8] ^= 1 << bit % 8
        return bytes(corrected), stored, True

    def write_applicable(self, target: Path) -> None:
        """Write a -wal that SQLite applies whole: the damaged frames have new checksums."""
        header = struct.pack(">6I", _MAGIC, _VERSION, self._page_size, self._checkpoint, *self._salt)
        running = _checksum(header, _NO_SUM, "<")
        with target.open("wb") as file:
            file.write(header + struct.pack(">2I", *running))
            for frame in self._frames:
                start = struct.pack(">2I", frame.page, frame.commit)
                running = _checksum(frame.data, _checksum(start, running, "<"), "<")
                file.write(start + struct.pack(">4I", *self._salt, *running) + frame.data)


def _page_size(database: Path) -> int:
    """Return the size of a page by the database's header, 0 if that is not valid."""
    with database.open("rb") as file:
        size = int.from_bytes(os.pread(file.fileno(), 2, 16), "big")
    size = 65536 if size == 1 else size
    return size if 512 <= size <= 65536 and size & (size - 1) == 0 else 0


def _distance(left: _Pair, right: _Pair) -> int:
    """Return in how many bits two pairs of words differ."""
    return sum((one ^ other).bit_count() for one, other in zip(left, right, strict=True))


def _flipped_bit(data: bytes, found: _Pair, stored: _Pair, order: str) -> int | None:
    """Return the bit of data with the checksum `found` that gives the stored one if it is flipped.

    A difference in a word adds a multiple of itself to each half of the checksum, which depends only
    on how many words follow.
    """
    first, second = ((right - wrong) & _WORD for wrong, right in zip(found, stored, strict=True))
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    even, odd = (1, 1), (0, 1)  # what a difference of 1 in a word of the last pair adds
    for index in range(len(words) - 2, -1, -2):
        for at, (to_first, to_second) in ((index, even), (index + 1, odd)):
            for bit in range(32):
                change = -1 << bit if words[at] >> bit & 1 else 1 << bit
                if (change * to_first) & _WORD == first and (change * to_second) & _WORD == second:
                    byte = bit // 8 if order == "<" else 3 - bit // 8
                    return 8 * (4 * at + byte) + bit % 8
        even, odd = _one_pair_earlier(even), _one_pair_earlier(odd)
    return None


def _one_pair_earlier(added: _Pair) -> _Pair:
    return (added[0] + added[1]) & _WORD, (added[0] + 2 * added[1]) & _WORD


def _checksum(data: bytes, before: _Pair, order: str) -> _Pair:
    """Continue SQLite's checksum over data of a multiple of eight bytes."""
    first, second = before
    words: Iterable[int] = struct.unpack(f"{order}{len(data) // 4}I", data)
    pairs = iter(words)
    for even, odd in zip(pairs, pairs, strict=True):
        first = (first + even + second) & _WORD
        second = (second + odd + first) & _WORD
    return first, second
