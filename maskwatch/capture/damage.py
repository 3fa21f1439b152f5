"""Separates good pictures from damaged ones: once a picture is damaged, all that build on it are.

A decoder conceals what is missing and marks one frame at best; measured with 3 % of the packets lost,
`frame.is_corrupt` marked none of the wrong H.264 frames. But FFmpeg logs missed packets and invalid
macroblocks. With 0.6 % of the packets lost, none of some 200 H.264 or H.265 pictures that passed
differed from the original (docs/operations.md has more figures, by bench/damage.py).

Limit: FFmpeg's H.265 decoder does not notice bytes that were altered in transit (54 of 60 cases), as
opposed to lost; the checksums of TCP and UDP protect against that.
"""

from __future__ import annotations

import logging
import re
import threading
from enum import Enum

import av
from av import logging as av_logging

from maskwatch.secrets import redact

_log = logging.getLogger(__name__)

_LOSS_SIGNS = re.compile(
    r"RTP: missed|bad cseq|error while decoding|corrupted macroblock|concealing"
    r"|non-existing PPS|decode_slice_header error|no frame!|undecodable NALU|block unavailable for"
    r"|probably corrupt input|decode of qscale|outside the valid range|alignment_bit_equal_to_one"
    r"|Invalid number of merging"
)
_REFERENCE_SIGNS = re.compile(r"Missing reference|Could not find ref|Error constructing the frame RPS")
_TOO_LARGE = re.compile(r"Picture size (\d+)x(\d+) (?:exceeds specified max|is invalid)")
_OUT_OF_MEMORY = re.compile(r"get_buffer\(\) failed|[Aa]llocation fail|[Cc]ould not allocate")
_MIN_SOUND_PACKETS = 2
# Pictures that a decoder may hold back behind the one whose packet it got last.
_REFRESH_MARGIN = 2
# Of the first pictures of a refresh, some may name pictures from before it.
_MAX_REFERENCES = 4
# As many as ten seconds have at the most usual rate.
_MAX_SOUND_PACKETS = 250
_MAX_LINES = 1000


class Damage(Enum):
    """What FFmpeg logged of a packet."""

    NONE = "none"
    REFERENCES = "references"
    """The packet is whole; pictures that it builds on are missing, as when a stream is joined."""
    LOSS = "loss"


class _ThreadLines(logging.Handler):
    """Keeps the lines of each thread for that thread; copies them, redacted, to the debug log."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        lines, line = self.lines(), record.getMessage()
        if len(lines) < _MAX_LINES:
            lines.append(line)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: %s", record.name, redact(line.strip()))

    def lines(self) -> list[str]:
        """Return the lines of the calling thread since it last cleared them."""
        lines: list[str] = self._local.__dict__.setdefault("lines", [])
        return lines


class LogWatch:
    """Collects what FFmpeg logs in this thread, and keeps it out of every other log.

    Its messages may hold the URL with the password: only the debug log gets them, redacted.
    """

    _handler = _ThreadLines()

    def __init__(self) -> None:
        logger = logging.getLogger("libav")
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        if self._handler not in logger.handlers:
            logger.addHandler(self._handler)
        av_logging.set_level(av_logging.WARNING)
        # Else FFmpeg suppresses a second loss of as many packets as a repetition of the first.
        av_logging.set_skip_repeated(False)
        self._handler.lines().clear()  # lines of an earlier stream of this thread

    def refused_size(self) -> tuple[int, int] | None:
        """Return the size of a picture that FFmpeg refused as too large since the last `damage`."""
        found = next(filter(None, map(_TOO_LARGE.search, self._handler.lines())), None)
        return None if found is None else (int(found[1]), int(found[2]))

    def out_of_memory(self) -> bool:
        """Return whether FFmpeg logged that it could not allocate, since the last `damage`."""
        return any(map(_OUT_OF_MEMORY.search, self._handler.lines()))

    def damage(self) -> Damage:
        """Return what FFmpeg logged in this thread since the last call."""
        lines = self._handler.lines()
        damage = Damage.REFERENCES if any(map(_REFERENCE_SIGNS.search, lines)) else Damage.NONE
        damage = Damage.LOSS if any(map(_LOSS_SIGNS.search, lines)) else damage
        lines.clear()
        return damage


class DamageFilter:
    """Rejects pictures from the first damaged one to the next sound key frame or complete refresh.

    A loss may be noticed one packet before or after the picture it belongs to. So a key frame
    ends the damage only if its own packet is sound and no loss was seen with the one before; a refresh,
    if all packets of it were sound. A stream of neither is sound again after many sound packets.
    """

    def __init__(self) -> None:
        self._sound_packets = 0
        self._sound = False
        self._refresh_left: int | None = None
        self._refresh_passed = 0

    def packet(self, damage: Damage, *, refresh: int | None = None) -> None:
        """Count a packet.

        Args:
            damage: what FFmpeg logged while reading and decoding it.
            refresh: with it a refresh begins, which is complete after so many further pictures.
        """
        if damage is not Damage.NONE:
            self._damaged(damage, refresh)
            return
        self._sound_packets += 1
        if self._sound:
            return
        if self._refresh_left is not None:
            self._pass()
        elif refresh is not None and self._sound_packets >= _MIN_SOUND_PACKETS:
            self._begin(refresh)
        refreshed = self._refresh_left is not None and self._refresh_left <= 0
        self._sound = refreshed or self._sound_packets >= _MAX_SOUND_PACKETS

    def skipped(self, codec: str, *, key: bool, refresh: int | None) -> None:
        """Resume with the next packet, after some that were not decoded.

        Args:
            codec: FFmpeg's name of it.
            key: whether that packet is a key picture.
            refresh: as that of `packet`.
        """
        if key and refresh is None:
            return  # it builds on no other picture
        # After a key picture of H.265, FFmpeg logs which of those that were skipped are missing.
        self._damaged(Damage.REFERENCES if key and codec == "hevc" else Damage.LOSS, refresh)

    def resume(self, decoder: av.CodecContext, *, key: bool, refresh: int | None) -> None:
        """Let the decoder go on at the refresh that the next packet begins, as `skipped`.

        FFmpeg's H.265 decoder goes on at key pictures only; a new or emptied one also at others.
        """
        waiting = not self._sound and self._refresh_left is None
        if waiting and not key and refresh is not None and decoder.name == "hevc":
            decoder.flush_buffers()

    def _damaged(self, damage: Damage, refresh: int | None) -> None:
        self._sound = False
        self._sound_packets = _MIN_SOUND_PACKETS - 1 if damage is Damage.REFERENCES else 0
        if damage is Damage.REFERENCES and refresh is not None:
            self._begin(refresh)
        elif damage is Damage.REFERENCES and self._refresh_passed < _MAX_REFERENCES:
            self._pass()
        else:
            self._refresh_left = None

    def _begin(self, refresh: int) -> None:
        self._refresh_left, self._refresh_passed = refresh + _REFRESH_MARGIN, 0

    def _pass(self) -> None:
        if self._refresh_left is not None:
            self._refresh_left -= 1
            self._refresh_passed += 1

    def passes(self, frame: av.VideoFrame) -> bool:
        """Return whether a picture of the last packet is undamaged."""
        if frame.is_corrupt:
            self.packet(Damage.LOSS)
        elif frame.key_frame and self._sound_packets >= _MIN_SOUND_PACKETS:
            self._sound = True
        return self._sound

    def start(self) -> None:
        """Start a stream: its first key frame needs no sound packet before it."""
        self._sound_packets = _MIN_SOUND_PACKETS - 1
