"""Tell good pictures from smeared ones: once a picture is damaged, all that build on it are.

A decoder conceals what is missing and says so on one frame at best; measured with 3 % of the
packets lost, `frame.is_corrupt` marked none of the wrong H.264 frames. What FFmpeg writes to its
log (packets missed, macroblocks that make no sense) gives it away: with 0.6 % of the packets lost,
not one of some 200 H.264 or H.265 pictures that passed differed from the original (docs/operations.md
has more figures, by bench/damage.py). What it cannot know: FFmpeg's H.265 decoder does not notice
bytes that were altered on the way (54 of 60 cases), as opposed to lost; TCP's and UDP's own checksums
stand against that.
"""

from __future__ import annotations

import logging
import re
import threading

import av
from av import logging as av_logging

from maskwatch.secrets import redact

__all__ = ["DamageFilter", "LogWatch"]

_log = logging.getLogger(__name__)

_SIGNS = re.compile(
    r"RTP: missed|bad cseq|error while decoding|corrupted macroblock|concealing"
    r"|Missing reference|Could not find ref|Error constructing the frame RPS"
    r"|non-existing PPS|decode_slice_header error|no frame!|undecodable NALU|block unavailable for"
    r"|probably corrupt input|decode of qscale|outside the valid range|alignment_bit_equal_to_one"
    r"|Invalid number of merging"
)
_HEALING = 2
_MOST_LINES = 1000


class _PerThread(logging.Handler):
    """Keeps the lines of each thread for that thread; the debug log gets them without secrets."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        lines, line = self.lines(), record.getMessage()
        if len(lines) < _MOST_LINES:
            lines.append(line)
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("%s: %s", record.name, redact(line.strip()))

    def lines(self) -> list[str]:
        """The lines of the calling thread since it last cleared them."""
        lines: list[str] = self._local.__dict__.setdefault("lines", [])
        return lines


class LogWatch:
    """Listens to what FFmpeg logs in this thread, and lets none of it out as it is.

    Its messages may hold the URL with the password: only the debug log gets them, redacted.
    """

    _handler = _PerThread()

    def __init__(self) -> None:
        logger = logging.getLogger("libav")
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        if self._handler not in logger.handlers:
            logger.addHandler(self._handler)
        av_logging.set_level(av_logging.WARNING)
        # Else a second loss of as many packets would be kept back as a repetition of the first.
        av_logging.set_skip_repeated(False)
        self._handler.lines().clear()  # what an earlier stream of this thread left behind

    def damage_seen(self) -> bool:
        """Whether FFmpeg complained of damage in this thread since the last call."""
        lines = self._handler.lines()
        seen = any(map(_SIGNS.search, lines))
        lines.clear()
        return seen


class DamageFilter:
    """Keeps pictures back from the first damaged one to the next sound key frame.

    A loss may be noticed one packet before or after the picture it belongs to; so a key frame
    heals only if its own packet and the one before it were sound.
    """

    def __init__(self) -> None:
        self._sound_packets = 0
        self._whole = False

    def packet(self, *, sound: bool) -> None:
        """Take note of a packet: `sound` if neither reading nor decoding it brought complaints."""
        self._sound_packets = self._sound_packets + 1 if sound else 0
        self._whole = self._whole and sound

    def passes(self, frame: av.VideoFrame) -> bool:
        """Whether a picture of the last packet may be judged."""
        if frame.is_corrupt:
            self.packet(sound=False)
        elif frame.key_frame and self._sound_packets >= _HEALING:
            self._whole = True
        return self._whole

    def start(self) -> None:
        """Begin a stream: its first key frame has no packet before it to vouch for it."""
        self._sound_packets = _HEALING - 1
