"""The parts of capture that need no camera: sampling, mailbox, lag, damage, diagnosis."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch import errors
from maskwatch.capture.damage import Damage, DamageFilter, LogWatch
from maskwatch.capture.diagnose import diagnose, reason_of
from maskwatch.capture.mailbox import Mailbox, Sample
from maskwatch.capture.source import AdjustableSampler, RateSampler
from maskwatch.telemetry.catalogue import DISCONNECT_REASONS

ClipOf = Callable[..., Path]

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_PICTURE = av.VideoFrame(16, 16, "yuv420p")


# -- sampling ----------------------------------------------------------------------------------


@given(st.floats(1, 30), st.floats(1, 30), st.floats(0, 1e6))
def test_the_number_of_sampled_frames_follows_the_rate(
    camera_rate: float, rate: float, start: float
) -> None:
    sampler = RateSampler(rate, early=0.05)
    sampled = sum(sampler.is_due(start + n / camera_rate) for n in range(int(camera_rate * 20)))
    assert sampled == pytest.approx(min(rate, camera_rate) * 20, abs=2)


@given(st.lists(st.floats(-0.008, 0.008), min_size=100, max_size=100))
def test_jitter_loses_no_sample(jitter: list[float]) -> None:
    sampler = RateSampler(5.0, early=0.25)
    times = [n / 25 + late for n, late in enumerate(jitter)]
    sampled = [at for at in times if sampler.is_due(at)]
    assert len(sampled) in (20, 21)
    assert max(later - earlier for earlier, later in pairwise(sampled)) < 0.26


def test_a_clock_that_jumps_back_does_not_stop_the_sampling() -> None:
    sampler = RateSampler(5.0, early=0.05)
    assert [sampler.is_due(at) for at in (100.0, 100.1, 100.2, 50.0, 50.2)] == [
        True,
        False,
        True,
        True,
        True,
    ]


def test_a_slot_is_missed_only_if_each_of_its_frames_is_lost() -> None:
    sampler = RateSampler(1.0, early=0.0)
    assert sampler.is_due(0.0)
    for at in (0.5, 1.1, 1.9, 2.0):  # in slot 0, which is sampled, 1, 1 and 2
        sampler.lose(at)
    assert sampler.missed == 1
    assert sampler.is_due(2.5), "the loss of an earlier frame does not use up its slot"
    assert sampler.missed == 1
    sampler.lose(3.0)
    assert sampler.is_due(4.0)
    assert sampler.missed == 2


def test_a_lowered_rate_is_evenly_spaced_and_what_it_leaves_out_is_counted() -> None:
    sampler = AdjustableSampler(5.0, early=0.25)
    pictures = [n / 25 for n in range(25 * 60)]
    first, lowered, last = (pictures[begin : begin + 500] for begin in (0, 500, 1000))
    assert sum(map(sampler.is_due, first)) == 101
    assert sampler.reduced == 0
    sampler.set_rate(1.7)
    chosen = [at for at in lowered if sampler.is_due(at)]
    assert len(chosen) in (34, 35)
    gaps = [later - earlier for earlier, later in pairwise(chosen)]
    assert 0.44 < min(gaps) <= max(gaps) < 0.64  # the first may come a quarter of a slot early
    reduced = sampler.reduced
    assert reduced in (65, 66)
    sampler.set_rate(99.0)  # never more than asked
    assert sum(map(sampler.is_due, last)) in (100, 101)
    assert sampler.reduced - reduced <= 1


def test_frames_lost_at_a_lowered_rate_are_not_counted_twice() -> None:
    sampler = AdjustableSampler(5.0, early=0.0)
    sampler.set_rate(1.0)
    for number in range(25 * 20):
        if number % 50 < 25:  # every other second is lost
            sampler.lose(number / 25)
        else:
            sampler.is_due(number / 25)
    assert sampler.missed == pytest.approx(10, abs=1)
    assert sampler.missed + sampler.reduced == pytest.approx(90, abs=2)


def test_a_camera_slower_than_the_lowered_rate_loses_nothing() -> None:
    sampler = AdjustableSampler(5.0, early=0.25)
    sampler.set_rate(2.0)
    assert sum(sampler.is_due(float(number)) for number in range(60)) == 60
    assert sampler.reduced == 0


# -- mailbox -----------------------------------------------------------------------------------


def _sample(number: int) -> Sample:
    return Sample(_PICTURE, _NOW, float(number), float(number))


def test_the_newest_sample_wins_and_the_replaced_one_is_reported() -> None:
    box = Mailbox()
    assert not box.put(_sample(1))
    assert box.put(_sample(2))
    taken = box.take(0)
    assert taken is not None
    assert taken.moment == 2.0
    assert box.take(0) is None


def test_a_failure_is_raised_after_the_last_sample_each_time() -> None:
    box = Mailbox()
    box.put(_sample(1))
    box.fail(errors.SourceEndedError("over"))
    assert box.take(0) is not None
    for _ in range(2):
        with pytest.raises(errors.SourceEndedError, match="over"):
            box.take(0)


def test_take_waits_for_a_sample_up_to_the_timeout() -> None:
    box = Mailbox()
    begun = time.monotonic()
    assert box.take(0.05) is None
    assert time.monotonic() - begun >= 0.05
    threading.Timer(0.05, box.put, [_sample(1)]).start()
    assert box.take(5) is not None


@pytest.mark.parametrize("size", [5, 20])
def test_the_samples_of_a_burst_are_kept_up_to_a_bound(size: int) -> None:
    box = Mailbox()
    replaced = sum(box.put(Sample(_PICTURE, _NOW, n / 5, 9.0 + n / 1000)) for n in range(size))
    assert replaced == max(0, size - 8)
    taken = [sample.moment for _ in range(size) if (sample := box.take(0))]
    assert taken == [n / 5 for n in range(max(0, size - 8), size)]


# -- damage ------------------------------------------------------------------------------------


def _decode(path: Path, spoil: Callable[[int, bytes], bytes | None]) -> tuple[list[float], int]:
    """Decode a file with altered packets; return the times of what passed and the count of the rest."""
    log, damage = LogWatch(), DamageFilter()
    damage.start()
    passed, stopped = [], 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        context.thread_type, context.thread_count = "SLICE", 1
        for number, packet in enumerate(container.demux(stream)):
            data = spoil(number, bytes(packet))
            if not data:
                continue
            copy = av.Packet(data)
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            try:
                frames, sound = context.decode(copy), True
            except av.FFmpegError:
                frames, sound = [], False
            damage.packet(log.damage() if sound else Damage.LOSS)
            for frame in frames:
                if damage.passes(frame):
                    passed.append(float(frame.pts * stream.time_base))
                else:
                    stopped += 1
    return passed, stopped


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_sound_pictures_all_pass(clip_of: ClipOf, codec: str) -> None:
    passed, stopped = _decode(clip_of("ts", codec=codec), lambda _, data: data)
    assert (len(passed), stopped) == (50, 0)


def test_after_a_damaged_picture_none_passes_before_a_sound_key_frame(
    clip_of: ClipOf,
) -> None:
    def spoil(number: int, data: bytes) -> bytes:
        return data[:200] + b"\xff" * 60 + data[260:] if number == 10 else data

    passed, stopped = _decode(clip_of("ts"), spoil)
    assert [round(at * 25) - round(passed[0] * 25) for at in passed] == [
        *range(10),
        *range(25, 50),
    ]
    assert stopped == 15


def test_a_key_frame_next_to_damage_does_not_end_it() -> None:
    damage = DamageFilter()
    key = _key_frame()
    damage.start()
    damage.packet(Damage.NONE)
    assert damage.passes(key)
    damage.packet(Damage.LOSS)
    assert not damage.passes(key)
    damage.packet(Damage.NONE)
    assert not damage.passes(key)
    damage.packet(Damage.NONE)
    assert damage.passes(key)


def test_a_key_frame_after_missing_references_ends_the_damage() -> None:
    """A stream that is joined between two key frames is sound from the first one on."""
    damage = DamageFilter()
    damage.start()
    for _ in range(5):
        damage.packet(Damage.REFERENCES)
    assert not damage.passes(_key_frame())
    damage.packet(Damage.NONE)
    assert damage.passes(_key_frame())


def _key_frame() -> av.VideoFrame:
    encoder = av.CodecContext.create("mpeg4", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 64, 64, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    decoder = av.CodecContext.create("mpeg4", "r")
    packets = [*encoder.encode(av.VideoFrame(64, 64, "yuv420p")), *encoder.encode(None)]
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    assert frames[0].key_frame
    return frames[0]


@pytest.mark.usefixtures("fresh_logging")
def test_ffmpeg_s_log_reaches_only_the_thread_that_caused_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))
    log = LogWatch()
    av.logging.log(av.logging.WARNING, "rtsp", "RTP: missed 3 packets")
    seen_elsewhere: list[Damage] = []
    thread = threading.Thread(target=lambda: seen_elsewhere.append(LogWatch().damage()))
    thread.start()
    thread.join()
    assert seen_elsewhere == [Damage.NONE]
    assert log.damage() is Damage.LOSS
    assert log.damage() is Damage.NONE
    assert capfd.readouterr() == ("", "")


def test_a_repeated_log_line_counts_each_time() -> None:
    log = LogWatch()
    for _ in range(3):
        av.logging.log(av.logging.WARNING, "rtsp", "RTP: missed 1 packets")
        assert log.damage() is Damage.LOSS


def test_log_lines_of_an_earlier_stream_do_not_count_for_the_next() -> None:
    LogWatch()
    av.logging.log(av.logging.WARNING, "rtsp", "RTP: missed 3 packets")
    assert LogWatch().damage() is Damage.NONE


def test_the_debug_log_gets_what_ffmpeg_logs_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "maskwatch.capture.damage")
    LogWatch()
    av.logging.log(av.logging.ERROR, "tcp", "cannot open rtsp://ann:CANARY@host/x")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("maskwatch")]
    assert lines == ["libav.tcp: cannot open rtsp://***@host/x"]


def test_harmless_log_lines_are_no_damage() -> None:
    log = LogWatch()
    av.logging.log(av.logging.ERROR, "h264", "SEI type 5 size 2208 truncated at 1943")
    assert log.damage() is Damage.NONE


def test_the_libav_logger_does_not_propagate() -> None:
    LogWatch()
    assert not logging.getLogger("libav").propagate


# -- diagnosis ---------------------------------------------------------------------------------


def _ffmpeg(kind: type[Exception], number: int, line: str = "") -> Exception:
    log = (16, "rtsp", line) if line else None
    return kind(number, "rtsp://ann:CANARY@host/x", "rtsp://ann:CANARY@host/x", log)


@pytest.mark.parametrize(
    ("error", "waited", "expected"),
    [
        (_ffmpeg(av.error.ConnectionRefusedError, 111), 0.0, errors.SourceRefusedError),
        (_ffmpeg(av.error.HTTPUnauthorizedError, 1), 0.0, errors.SourceUnauthorizedError),
        (_ffmpeg(av.error.HTTPForbiddenError, 1), 0.0, errors.SourceUnauthorizedError),
        (_ffmpeg(av.error.HTTPNotFoundError, 1), 0.0, errors.SourceNotFoundError),
        (_ffmpeg(av.error.HTTPServerError, 1), 0.0, errors.SourceError),
        (_ffmpeg(av.error.TimeoutError, 110), 0.0, errors.SourceSilentError),
        (_ffmpeg(av.error.ExitError, 1), 3.0, errors.SourceSilentError),
        (_ffmpeg(av.error.EOFError, 1), 0.0, errors.SourceEndedError),
        (_ffmpeg(av.error.OSError, 113), 0.0, errors.SourceUnreachableError),
        (_ffmpeg(av.error.OSError, 101), 0.0, errors.SourceUnreachableError),
        (_ffmpeg(av.error.OSError, 104), 0.0, errors.SourceEndedError),
        (_ffmpeg(av.error.OSError, 5), 0.0, errors.SourceUnreachableError),
        (_ffmpeg(av.error.OSError, 28), 0.0, errors.SourceError),
        (_ffmpeg(av.error.FileNotFoundError, 2), 0.1, errors.SourceGarbageError),
        (_ffmpeg(av.error.HTTPNotFoundError, 1), 0.1, errors.SourceNotFoundError),
        (_ffmpeg(av.error.InvalidDataError, 1), 0.1, errors.SourceGarbageError),
        (_ffmpeg(av.error.InvalidDataError, 1), 4.9, errors.SourceSilentError),
        (
            _ffmpeg(av.error.OSError, 5, "Failed to resolve hostname host: x"),
            0.0,
            errors.SourceUnreachableError,
        ),
        (errors.SourceSilentError("as it is"), 0.0, errors.SourceSilentError),
    ],
)
def test_ffmpeg_s_errors_are_mapped_without_the_password(
    error: Exception, waited: float, expected: type[errors.SourceError]
) -> None:
    mapped = diagnose(error, "rtsp://***@host/x", waited, 5.0)
    assert type(mapped) is expected
    assert "CANARY" not in repr(mapped)
    assert mapped.__cause__ is None


def test_every_source_error_has_a_reason_in_the_metrics() -> None:
    kinds = [errors.SourceError, *errors.SourceError.__subclasses__()]
    reasons = [reason_of(kind("x")) for kind in kinds]
    assert len(set(reasons)) == len(kinds)
    assert set(reasons) <= set(DISCONNECT_REASONS)
