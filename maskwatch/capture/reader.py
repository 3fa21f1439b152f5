"""The thread that reads and decodes one stream and leaves sampled pictures in a mailbox."""

from __future__ import annotations

import threading
from typing import Any, TypeAlias

import av
from av.container import InputContainer

from maskwatch.capture.container import StreamOptions, is_url, open_stream, stream_info
from maskwatch.capture.damage import DamageFilter, LogWatch
from maskwatch.capture.diagnose import diagnose
from maskwatch.capture.h264 import FrameNumGaps, SliceReassembler
from maskwatch.capture.mailbox import Mailbox, Sample
from maskwatch.capture.source import RateSampler, SourceCounts, StreamInfo
from maskwatch.clock import Clock
from maskwatch.errors import SourceEndedError, SourceError

__all__ = ["LagMeter", "StreamReader"]

_JUMP_S = 5.0
_DRIFT = 1e-3


class LagMeter:
    """Compares the stream's clock with arrival: the smallest difference seen counts as no lag.

    The reference rises by a thousandth of the time that passes, so that a camera whose clock runs
    slow does not seem to lag; after a jump of the stream's clock it starts anew.
    """

    def __init__(self) -> None:
        self._best: float | None = None
        self._stream_time = 0.0
        self._arrival = 0.0

    def lag(self, stream_time: float, arrival: float) -> float:
        """Seconds by which a packet is late; both times in seconds, each of its own clock."""
        offset = arrival - stream_time
        if self._best is None or abs(stream_time - self._stream_time) > _JUMP_S:
            self._best = offset
        else:
            self._best = min(offset, self._best + _DRIFT * (arrival - self._arrival))
        self._stream_time, self._arrival = stream_time, arrival
        return offset - self._best


_Packet: TypeAlias = "av.Packet[Any]"  # generic in the stubs only
_BEHIND_S = 2.0
_STALE_S = 1.0
_STALE_INTERVALS = 3.0
_SMOOTHING = 0.3
_JITTER = 0.25


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
        """When a picture fit to be judged was decoded last (monotonic seconds)."""
        self.last_packet: float | None = None
        """When anything of the stream arrived last (monotonic seconds)."""
        self._options = options
        self._mailbox = mailbox
        self._counts = counts
        self._clock = clock
        self._sampler = RateSampler(rate, early=_JITTER)
        self._damage = DamageFilter()
        self._numbers = FrameNumGaps()
        self._lag = LagMeter()
        self._rhythm = _Rhythm()
        self._catching_up = False
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the thread to end with the next packet."""
        self._stopping.set()

    def run(self) -> None:
        """Read until the stream ends, fails or `stop` is called; the mailbox learns why."""
        begun = self._clock.monotonic()
        try:
            self._read(LogWatch())
            failure: SourceError = SourceEndedError(f"{self._options.where}: the stream ended")
        except (SourceError, av.FFmpegError, OSError, ValueError) as error:
            waited = self._clock.monotonic() - (self.last_packet or begun)
            failure = diagnose(error, self._options.where, waited, self._options.stall_timeout)
        self._mailbox.fail(failure)

    def _read(self, log: LogWatch) -> None:
        container = open_stream(self._options)
        try:
            live = is_url(self._options.url.reveal())
            transport = self._options.transport.value if live else "file"
            self.info = stream_info(container, transport)
            self._damage.start()
            self._demux(container, log, live=live)
        finally:
            container.close()

    def _demux(self, container: InputContainer, log: LogWatch, *, live: bool) -> None:
        stream = container.streams.video[0]
        joiner = SliceReassembler(stream.codec_context.name)
        numbered = live and stream.codec_context.name == "h264"
        if numbered:
            self._numbers.missed(stream.codec_context.extradata or b"")
        begun = self._clock.monotonic()
        for packet in container.demux(stream):
            if self._stopping.is_set():
                return
            if packet.dts is None and not packet.size:
                continue  # the flush at the end would give pictures that are long out of date
            if not live:
                self._pace(packet, begun)
            now = self._clock.monotonic()
            stale = self._rhythm.broken(now)
            if not stale:
                self.last_packet = now
            for whole in joiner.add(packet) if live else [packet]:
                if numbered and self._numbers.missed(bytes(whole)):
                    self._damage.packet(sound=False)
                self._use(whole, log, now, stale=stale)

    def _pace(self, packet: _Packet, begun: float) -> None:
        """Hold a file's packet until it is due, as a camera would."""
        due = begun + _seconds(packet)
        self._stopping.wait(max(0.0, due - self._clock.monotonic()))

    def _use(self, packet: _Packet, log: LogWatch, now: float, *, stale: bool) -> None:
        if self._too_late(packet, now):
            self._counts.late += 1
            self._numbers.forget()
            return
        for video in self._decode(packet, log):
            self._counts.decoded += 1
            if not self._damage.passes(video):
                self._counts.damaged += 1
            elif not stale:
                self._good(video, now)

    def _too_late(self, packet: _Packet, now: float) -> bool:
        """Whether to skip a packet: decoding lags behind, and this is no key frame to go on from."""
        if packet.pts is None:
            return self._catching_up
        behind = self._lag.lag(_seconds(packet), now) > _BEHIND_S
        self._catching_up = not packet.is_keyframe and (behind or self._catching_up)
        return self._catching_up

    def _decode(self, packet: _Packet, log: LogWatch) -> list[av.VideoFrame]:
        """The pictures that a packet brings; a packet that makes no sense brings none."""
        begun = self._clock.monotonic()
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            self._counts.damaged += 1
            log.damage_seen()
            self._damage.packet(sound=False)
            return []
        self._counts.decoding.observe(self._clock.monotonic() - begun)
        self._damage.packet(sound=not log.damage_seen())
        return frames

    def _good(self, video: av.VideoFrame, now: float) -> None:
        self.last_good = now
        if self._sampler.wants(now):
            self._counts.sampled += 1
            sample = Sample(video, self._clock.now(), now)
            self._counts.skipped += self._mailbox.put(sample)


class _Rhythm:
    """Notices a packet that came after a pause: it holds a picture from before the pause.

    FFmpeg gives a picture out when the next one begins, or when it loses patience.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._interval = 0.0

    def broken(self, now: float) -> bool:
        """Whether the packet that arrived just now is stale; call it for every packet."""
        last, self._last = self._last, now
        if last is None:
            return False
        pause = now - last
        stale = pause > max(_STALE_S, _STALE_INTERVALS * self._interval)
        self._interval += _SMOOTHING * (min(pause, 1 / _SMOOTHING) - self._interval)
        return stale


def _seconds(packet: _Packet) -> float:
    """The packet's time on the stream's clock, 0 if it has none."""
    if packet.pts is None or packet.time_base is None:
        return 0.0
    return float(packet.pts * packet.time_base)
