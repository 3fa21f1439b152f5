"""The thread that reads and decodes one stream and leaves sampled pictures in a mailbox."""

from __future__ import annotations

import logging
import threading
from typing import Any, TypeAlias

import av

from maskwatch.capture.container import OpenVideo, StreamOptions, check_size, open_stream, stream_info
from maskwatch.capture.damage import DamageFilter, LogWatch
from maskwatch.capture.diagnose import diagnose
from maskwatch.capture.h264 import FrameNumGaps, SliceReassembler
from maskwatch.capture.mailbox import Mailbox, Sample
from maskwatch.capture.processor_share import ProcessorShare
from maskwatch.capture.source import RateSampler, Size, SourceCounts, StreamInfo
from maskwatch.capture.tracks import Track, pixel_aspect
from maskwatch.clock import Clock
from maskwatch.config.addresses import is_network_address
from maskwatch.errors import SourceEndedError, SourceError

_Packet: TypeAlias = "av.Packet[Any]"  # generic in the stubs only

_log = logging.getLogger(__name__)
_MAX_LAG_S = 2.0
_CLOCK_JUMP_S = 5.0
_CLOCK_DRIFT = 1e-3
_MIN_PAUSE_S = 1.0
_MIN_PAUSE_INTERVALS = 3.0
_INTERVAL_SMOOTHING = 0.3
_SAMPLING_JITTER = 0.25


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
        self._options = options
        self._mailbox = mailbox
        self._counts = counts
        self._clock = clock
        self._sampler = RateSampler(rate, early=_SAMPLING_JITTER)
        self._damage = DamageFilter()
        self._gaps = FrameNumGaps()
        self._lag = LagMeter()
        self._pauses = PauseDetector()
        self._catching_up = False
        self._share = ProcessorShare(options.processor_share)
        self._track: Track | None = None
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Request the thread's end with the next packet."""
        self._stopping.set()

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
        stream = self._track = opened.track
        reassembler = SliceReassembler(stream.codec_context.name)
        numbered = live and stream.codec_context.name == "h264"
        if numbered:
            self._gaps.missed(stream.codec_context.extradata or b"")
        begun = self._clock.monotonic()
        for packet in opened.container.demux(stream):
            if self._stopping.is_set():
                return
            if packet.dts is None and not packet.size:
                continue  # the flush at the end, whose pictures are long out of date
            if not live:
                self._pace(packet, begun)
            self._stopping.wait(self._share.pause(self._clock.monotonic()))
            now = self._clock.monotonic()
            stale = self._pauses.paused(now)
            if not stale:
                self.last_packet = now
            for whole in reassembler.add(packet) if live else [packet]:
                if numbered and self._gaps.missed(bytes(whole)):
                    self._damage.packet(sound=False)
                self._process(whole, log, now, stale=stale)

    def _pace(self, packet: _Packet, begun: float) -> None:
        """Hold a file's packet until it is due, as a camera would."""
        due = begun + _seconds(packet)
        self._stopping.wait(max(0.0, due - self._clock.monotonic()))

    def _process(self, packet: _Packet, log: LogWatch, now: float, *, stale: bool) -> None:
        if self._too_late(packet, now):
            self._counts.late += 1
            self._gaps.skip()
            return
        for video in self._decode(packet, log):
            self._counts.decoded += 1
            if not self._damage.passes(video):
                self._counts.damaged += 1
            elif not stale:
                self._sample(video, now)

    def _too_late(self, packet: _Packet, now: float) -> bool:
        """Return whether to skip a packet: decoding lags, and may resume only at a key frame."""
        if packet.pts is None:
            return self._catching_up
        lags = self._lag.lag(_seconds(packet), now) > _MAX_LAG_S
        self._catching_up = not packet.is_keyframe and (lags or self._catching_up)
        return self._catching_up

    def _decode(self, packet: _Packet, log: LogWatch) -> list[av.VideoFrame]:
        """Return the pictures of a packet; an invalid packet has none."""
        begun = self._clock.monotonic()
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError) as error:
            self._check_size(log.refused_size())
            if isinstance(error, MemoryError) or log.out_of_memory():
                raise MemoryError from None
            self._counts.damaged += 1
            log.damage_seen()
            self._damage.packet(sound=False)
            return []
        for size in [log.refused_size(), *((video.width, video.height) for video in frames)]:
            self._check_size(size)
        self._counts.decoding.observe(self._clock.monotonic() - begun)
        self._damage.packet(sound=not log.damage_seen())
        return frames

    def _check_size(self, size: Size | None) -> None:
        """Raise SourceTooLargeError for the size of a picture that is larger than allowed."""
        if size is not None:
            check_size(self._options.where, size, self._options.max_pixels)

    def _sample(self, video: av.VideoFrame, now: float) -> None:
        self.last_good = now
        if self._sampler.is_due(now):
            self._counts.sampled += 1
            assert self._track is not None  # a picture was decoded
            sample = Sample(video, self._clock.now(), now, pixel_aspect(self._track))
            self._counts.skipped += self._mailbox.put(sample)


class LagMeter:
    """Compares the stream's clock with arrival: the smallest difference seen counts as no lag.

    The reference rises by a thousandth of the time that passes, so that a camera whose clock runs
    slow does not seem to lag. After a jump of the stream's clock it starts again.
    """

    def __init__(self) -> None:
        self._reference: float | None = None
        self._stream_time = 0.0
        self._arrival = 0.0

    def lag(self, stream_time: float, arrival: float) -> float:
        """Return the seconds by which a packet is late; both times in seconds of their own clocks."""
        offset = arrival - stream_time
        if self._reference is None or abs(stream_time - self._stream_time) > _CLOCK_JUMP_S:
            self._reference = offset
        else:
            drift = _CLOCK_DRIFT * (arrival - self._arrival)
            self._reference = min(offset, self._reference + drift)
        self._stream_time, self._arrival = stream_time, arrival
        return offset - self._reference


class PauseDetector:
    """Notices a packet that came after a pause: it holds a picture from before the pause.

    FFmpeg returns a picture when the next one begins, or when its time-out has passed.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._interval = 0.0

    def paused(self, now: float) -> bool:
        """Return whether the packet that arrived now followed a pause; call it for every packet."""
        last, self._last = self._last, now
        if last is None:
            return False
        passed = now - last
        paused = passed > max(_MIN_PAUSE_S, _MIN_PAUSE_INTERVALS * self._interval)
        limited = min(passed, 1 / _INTERVAL_SMOOTHING)
        self._interval += _INTERVAL_SMOOTHING * (limited - self._interval)
        return paused


def _seconds(packet: _Packet) -> float:
    """Return the packet's time on the stream's clock, 0 if it has none."""
    if packet.pts is None or packet.time_base is None:
        return 0.0
    return float(packet.pts * packet.time_base)
