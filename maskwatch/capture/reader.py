"""The thread that reads and decodes one stream and leaves sampled pictures in a mailbox."""

from __future__ import annotations

import logging
import math
import threading
from datetime import timedelta
from enum import Enum
from typing import Any, TypeAlias

import av

from maskwatch.capture.container import OpenVideo, StreamOptions, check_size, open_stream, stream_info
from maskwatch.capture.damage import Damage, DamageFilter, LogWatch
from maskwatch.capture.diagnose import diagnose
from maskwatch.capture.h264 import FrameNumGaps, SliceReassembler, refresh_length
from maskwatch.capture.mailbox import Mailbox, Sample
from maskwatch.capture.processor_share import ProcessorShare
from maskwatch.capture.source import AdjustableSampler, Size, SourceCounts, StreamInfo
from maskwatch.capture.stream_clock import KeepUpMeter, PauseDetector, Skipping, StreamClock
from maskwatch.capture.tracks import PixelShape
from maskwatch.clock import Clock
from maskwatch.config.addresses import is_network_address
from maskwatch.errors import SourceEndedError, SourceError

_Packet: TypeAlias = "av.Packet[Any]"  # generic in the stubs only

_log = logging.getLogger(__name__)
_FILE_JUMP_S = 5.0
_FILE_RATE = 25.0  # pictures a second where a file declares none
_SAMPLING_JITTER = 0.25


class Obstacle(Enum):
    """Why a picture cannot be used."""

    NO_KEY = "no_key"
    LATE = "late"
    DAMAGED = "damaged"


class StreamReader:
    """Runs once, in a thread of its own; the attributes may be read from others."""

    def __init__(
        self,
        options: StreamOptions,
        rate: float,
        mailbox: Mailbox,
        counts: SourceCounts,
        clock: Clock,
    ) -> None:
        self.info: StreamInfo | None = None
        self.last_good: float | None = None
        """When the last sound picture was decoded (monotonic seconds)."""
        self.last_packet: float | None = None
        """When the last packet arrived (monotonic seconds)."""
        self.obstacle = Obstacle.NO_KEY
        """Why the latest picture that was not used was not."""
        self.clock_note = ""
        """What is odd about the camera's clock, in words; "" if nothing is."""
        self._options = options
        self._mailbox = mailbox
        self._counts = counts
        self._clock = clock
        self._sampler = AdjustableSampler(rate, early=_SAMPLING_JITTER)
        self._new_rate: float | None = None
        self._before = (counts.missed, counts.reduced)  # on earlier connections
        self._damage = DamageFilter()
        self._gaps = FrameNumGaps()
        self._stream_clock = StreamClock()
        self._meter = KeepUpMeter()
        self._pauses = PauseDetector()
        self._skipping = Skipping()
        self._skipped = False
        self._codec = ""
        self._last_moment = -math.inf
        self._share = ProcessorShare(options.processor_share)
        self._shape: PixelShape | None = None
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Request the thread's end with the next packet."""
        self._stopping.set()

    def set_rate(self, rate: float) -> None:
        """Sample `rate` pictures a second from the next one on, and never more than asked."""
        self._new_rate = rate

    def run(self) -> None:
        """Read until the stream ends, fails or `stop` is called; the mailbox gets the error."""
        begun = self._clock.monotonic()
        try:
            self._read(LogWatch())
            failure: SourceError = SourceEndedError(f"{self._options.where}: the stream ended")
        except (SourceError, av.FFmpegError, MemoryError, OSError, ValueError) as error:
            waited = self._clock.monotonic() - (self.last_packet or begun)
            failure = diagnose(error, self._options.where, waited, self._options.stall_timeout)
        self._mailbox.fail(failure)

    def _read(self, log: LogWatch) -> None:
        with open_stream(self._options) as opened:
            live = is_network_address(self._options.url.reveal())
            transport = self._options.transport.value if live else "file"
            self.info = stream_info(opened, transport)
            for note in self.info.notes:
                _log.info("%s: %s", self._options.where, note)
            self._damage.start()
            self._demux(opened, log, live=live)

    def _demux(self, opened: OpenVideo, log: LogWatch, *, live: bool) -> None:
        stream = opened.track
        self._shape = PixelShape(stream)
        self._codec = stream.codec_context.name
        reassembler = SliceReassembler(self._codec)
        numbered = live and self._codec == "h264"
        if numbered:
            self._gaps.missed(stream.codec_context.extradata or b"")
        asked = last = self._clock.monotonic()
        rate = self.info.rate if self.info else 0.0
        pacer = None if live else FilePacer(asked, 1 / (rate or _FILE_RATE))
        for packet in opened.container.demux(stream):
            if self._stopping.is_set():
                return
            if packet.dts is None and not packet.size:
                continue  # the flush at the end, whose pictures are long out of date
            if pacer is not None:
                self._stopping.wait(
                    max(0.0, pacer.due(_decoding_stamp(packet)) - self._clock.monotonic())
                )
            now = self._clock.monotonic()
            self._meter.add(now - asked, now - last)
            last = now
            self._stopping.wait(self._share.pause(now))
            stale = self._pauses.paused(now, _stamp(packet))
            if not stale:
                self.last_packet = now
            for whole in reassembler.add(packet) if live else [packet]:
                if numbered and self._gaps.missed(bytes(whole)):
                    self._damage.packet(Damage.LOSS)
                self._process(whole, log, now, stale=stale)
            asked = self._clock.monotonic()

    def _process(self, packet: _Packet, log: LogWatch, now: float, *, stale: bool) -> None:
        delay = self._delay(packet, now)
        refresh = refresh_length(self._codec, bytes(packet))
        if self._too_late(packet, refresh, delay, now):
            self._counts.late += 1
            self._lose(now - delay)
            self.obstacle = Obstacle.LATE
            self._gaps.skip()
            self._skipped = True
            return
        if packet.is_keyframe:
            self.obstacle = Obstacle.DAMAGED  # from now on, no other cause is left
        if self._skipped:
            self._damage.skipped(self._codec, key=packet.is_keyframe, refresh=refresh)
            self._skipped = False
        self._damage.resume(packet.stream.codec_context, key=packet.is_keyframe, refresh=refresh)
        videos = self._decode(packet, log, refresh)
        if not videos and self.obstacle is Obstacle.NO_KEY:
            self._counts.no_key += 1
        for video in videos:
            self._counts.decoded += 1
            if self._damage.passes(video):
                self.obstacle = Obstacle.DAMAGED  # whatever comes next to be rejected
                if not stale:
                    self._sample(video, now - delay, now)
            elif self.obstacle is Obstacle.NO_KEY:
                self._counts.no_key += 1
            else:
                self.obstacle = Obstacle.DAMAGED
                self._counts.damaged += 1

    def _delay(self, packet: _Packet, now: float) -> float:
        """Return the seconds between the packet's own time and its arrival, as far as is known."""
        keeps_up = not self._meter.known or self._meter.keeps_up
        oddity = self._stream_clock.oddity
        delay = self._stream_clock.delay(_stamp(packet), now, keeps_up=keeps_up)
        if self._stream_clock.oddity not in ("", oddity) and not self.clock_note:
            self.clock_note = f"{self._stream_clock.oddity}; arrival is used instead"
            _log.info("%s: %s", self._options.where, self.clock_note)
        return delay

    def _too_late(self, packet: _Packet, refresh: int | None, delay: float, now: float) -> bool:
        """Return whether to skip a packet: decoding lags, and may resume only at some packets."""
        behind = self._stream_clock.behind(delay, now)
        if behind and not self._skipping.active:
            self._meter.reset()
        return self._skipping.skips(behind=behind, begins=packet.is_keyframe or refresh is not None)

    def _decode(self, packet: _Packet, log: LogWatch, refresh: int | None) -> list[av.VideoFrame]:
        """Return the pictures of a packet; an invalid packet has none."""
        begun = self._clock.monotonic()
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError) as error:
            self._check_size(log.refused_size())
            if isinstance(error, MemoryError) or log.out_of_memory():
                raise MemoryError from None
            self._counts.damaged += 1
            log.damage()
            self._damage.packet(Damage.LOSS)
            return []
        for size in [log.refused_size(), *((video.width, video.height) for video in frames)]:
            self._check_size(size)
        self._counts.decoding.observe(self._clock.monotonic() - begun)
        self._damage.packet(log.damage(), refresh=refresh)
        return frames

    def _check_size(self, size: Size | None) -> None:
        """Raise SourceTooLargeError for the size of a picture that is larger than allowed."""
        if size is not None:
            check_size(self._options.where, size, self._options.max_pixels)

    def _sample(self, video: av.VideoFrame, moment: float, now: float) -> None:
        """Leave the picture of `moment` for analysis if it is due; its packet arrived `now`."""
        self.last_good = now
        moment = self._last_moment = max(moment, self._last_moment)
        self._adjust_rate()
        due = self._sampler.is_due(moment)
        self._count_lost()
        if due:
            self._counts.sampled += 1
            assert self._shape is not None  # a picture was decoded
            captured_at = self._clock.now() - timedelta(seconds=now - moment)
            sample = Sample(video, captured_at, moment, now, self._shape.aspect)
            self._counts.skipped += self._mailbox.put(sample)

    def _lose(self, moment: float) -> None:
        """Count the picture of `moment`, which is not decoded, if it was due for analysis."""
        self._last_moment = max(moment, self._last_moment)
        self._adjust_rate()
        self._sampler.lose(self._last_moment)
        self._count_lost()

    def _adjust_rate(self) -> None:
        rate, self._new_rate = self._new_rate, None
        if rate is not None:
            self._sampler.set_rate(rate)

    def _count_lost(self) -> None:
        missed, reduced = self._before
        self._counts.missed = missed + self._sampler.missed
        self._counts.reduced = reduced + self._sampler.reduced


class FilePacer:
    """Returns when a file's packets are due, as a camera would send them.

    `interval`: seconds between two packets whose stamps do not tell.
    """

    def __init__(self, begun: float, interval: float) -> None:
        self._interval = interval
        self._due = begun - interval
        self._stamp: float | None = None

    def due(self, stamp: float | None) -> float:
        """Return the monotonic time at which a packet with this stamp is due.

        The first packet is due immediately, whatever its stamp; a jump is a new beginning.
        """
        last, self._stamp = self._stamp, stamp
        step = self._interval if stamp is None or last is None else stamp - last
        self._due += step if 0 < step < _FILE_JUMP_S else self._interval
        return self._due


def _stamp(packet: _Packet) -> float | None:
    """Return the packet's time on the stream's clock in seconds, None if it has none."""
    if packet.pts is None or packet.time_base is None:
        return None
    return float(packet.pts * packet.time_base)


def _decoding_stamp(packet: _Packet) -> float | None:
    """Return when the packet is to be decoded, as `_stamp`; it does not go back at B-pictures."""
    if packet.dts is None or packet.time_base is None:
        return _stamp(packet)
    return float(packet.dts * packet.time_base)
