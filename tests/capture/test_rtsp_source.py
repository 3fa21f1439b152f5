"""One connection to a camera: its frames, and the error of each way to fail."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from maskwatch.capture.container import StreamOptions
from maskwatch.capture.file import FileSource
from maskwatch.capture.rtsp import RtspSource
from maskwatch.config.schema import Transport
from maskwatch.domain.frame import Frame
from maskwatch.errors import (
    SourceEndedError,
    SourceError,
    SourceGarbageError,
    SourceNotFoundError,
    SourceNoVideoError,
    SourceRefusedError,
    SourceSilentError,
    SourceUnauthorizedError,
    SourceUnreachableError,
)
from maskwatch.lab.rtsp import RtspServer
from maskwatch.secrets import SecretUrl
from tests.fakes.certificates import self_signed
from tests.fakes.clips import make_clip, number_of

ClipOf = Callable[..., Path]
Image = npt.NDArray[np.uint8]
Later = Callable[[float, Callable[[], object]], None]

CANARY = "CANARY-4711"


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer(users={"ann": CANARY}, seed=1) as server:
        yield server


def options(url: str, **changes: object) -> StreamOptions:
    chosen = {"open_timeout": 2.0, "stall_timeout": 1.0, **changes}
    return StreamOptions(SecretUrl(url), **chosen)  # type: ignore[arg-type] - test's own values


def watch(source: RtspSource, seconds: float) -> list[Frame]:
    end = time.monotonic() + seconds
    frames = []
    while time.monotonic() < end:
        frame = source.read(0.2)
        if frame is not None:
            frames.append(frame)
    return frames


def failure(source: RtspSource, seconds: float = 6.0) -> SourceError:
    """Read until it fails, and return why; the text must hold no secret."""
    with source, pytest.raises(SourceError) as caught:
        watch(source, seconds)
    error = caught.value
    assert CANARY not in "".join(map(repr, (error, error.__cause__, error.args)))
    assert error.__cause__ is None
    return error


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize(("codec", "slices"), [("h264", 1), ("h264", 4), ("hevc", 1)])
def test_frames_are_sampled_by_time_and_none_is_damaged(
    server: RtspServer, clip_of: ClipOf, codec: str, slices: int, transport: Transport
) -> None:
    server.add("hall", clip_of(codec=codec, frames=200, slices=slices))
    with RtspSource(options(server.url("hall"), transport=transport), rate=5) as source:
        frames = watch(source, 2.0)
        numbers = [number_of(frame.image) for frame in frames]
        assert 8 <= len(frames) <= 11
        assert all(2 <= later - earlier <= 10 for earlier, later in pairwise(numbers))
        assert source.counts.damaged == 0
        assert source.info is not None
        assert (source.info.codec, source.info.transport) == (codec, transport.value)


def test_a_lowered_rate_takes_effect_on_a_running_stream(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("cam", clip_of(frames=250))
    with RtspSource(options(server.url("cam", user="ann")), rate=10) as source:
        watch(source, 1.0)
        source.set_rate(2.0)
        watch(source, 0.3)
        frames = watch(source, 3.0)
    gaps = [later.moment - earlier.moment for earlier, later in pairwise(frames)]
    assert gaps
    assert min(gaps) > 0.3
    assert source.counts.reduced > 10


def test_a_slow_reader_gets_the_newest_frame_and_skipped_ones_are_counted(
    server: RtspServer, clip_of: ClipOf
) -> None:
    server.add("hall", clip_of(frames=500))
    with RtspSource(options(server.url("hall")), rate=10) as source:
        first = next(iter(source))
        time.sleep(1.5)
        second = source.read(1.0)
        assert second is not None
        # 1.5 s are some 37 pictures; the newest sample is at most a tenth of a second old.
        assert number_of(second.image) - number_of(first.image) > 30
        assert time.monotonic() - second.moment < 1.2
        assert source.counts.skipped >= 12
        assert second.sequence == 1


@pytest.mark.long
def test_a_camera_of_one_picture_a_second_is_not_taken_for_a_stalled_one(
    server: RtspServer, clip_of: ClipOf
) -> None:
    server.add("hall", clip_of(rate=1, frames=30, gop=2))
    slow = options(server.url("hall"), open_timeout=10.0, stall_timeout=5.0)
    with RtspSource(slow, rate=5) as source:
        frames = watch(source, 8.0)
    assert len(frames) >= 4


@pytest.mark.long
def test_a_camera_slower_than_the_timeouts_is_named_with_what_to_set(
    server: RtspServer, tmp_path: Path
) -> None:
    rate = Fraction(1, 4)
    server.add("hall", make_clip(tmp_path / "slow.mp4", rate=rate, frames=3, gop=1))
    with RtspSource(options(server.url("hall"), open_timeout=3.0, stall_timeout=6.0)) as source:
        error = failure(source, 20.0)
    assert "sends a picture every 4 s; set `open_timeout` and `stall_timeout` to 12" in str(error)


def test_the_time_to_the_first_frame_is_short(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    begun = time.monotonic()
    with RtspSource(options(server.url("hall"))) as source:
        next(iter(source))
    assert time.monotonic() - begun < 6.0


def true_images(clip: Path) -> dict[int, Image]:
    """Return the pictures of a clip by their numbers."""
    with FileSource(clip, rate=25) as source:
        return {number_of(frame.image): frame.image for frame in source}


def assert_none_is_wrong(frames: list[Frame], truth: dict[int, Image]) -> None:
    assert len(frames) > 10
    for frame in frames:
        assert np.abs(frame.image.astype(int) - truth[number_of(frame.image)]).mean() < 0.5


@pytest.mark.long
@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_lost_packets_cause_no_wrong_picture(
    server: RtspServer, clip_of: ClipOf, codec: str, transport: Transport
) -> None:
    clip = clip_of(codec=codec, frames=300, gop=12)
    faults = server.add("hall", clip)
    chosen = options(server.url("hall"), transport=transport, stall_timeout=9.0)
    with RtspSource(chosen, rate=25) as source:
        next(iter(source))
        faults.drop = 0.02
        frames = watch(source, 5.0)
        assert server.counts("hall").dropped > 3
        assert source.counts.damaged > 3
    assert_none_is_wrong(frames, true_images(clip))


def test_pictures_that_a_camera_omits_cause_no_wrong_picture(
    server: RtspServer, clip_of: ClipOf
) -> None:
    clip = clip_of(frames=300, gop=12)
    faults = server.add("hall", clip)
    with RtspSource(options(server.url("hall"), stall_timeout=9.0), rate=25) as source:
        watch(source, 1.5)  # two groups of pictures: before that, gaps in frame_num are not reported
        faults.omit = 0.05
        frames = watch(source, 5.0)
        assert server.counts("hall").omitted > 1
        assert source.counts.damaged > 1
    assert_none_is_wrong(frames, true_images(clip))


# -- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("silent", SourceSilentError, "no answer within|arrived within"),
        ("garbage", SourceGarbageError, "does not speak RTSP"),
        ("close", SourceGarbageError, "without an answer"),
        ("drip=20", SourceSilentError, "arrived within|no answer"),
        ("stall", SourceSilentError, "arrived within"),
        ("status=401", SourceUnauthorizedError, "user name or password"),
        ("status=404", SourceNotFoundError, "no such stream"),
        ("status=503", SourceError, "answered with an error"),
        ("no_video", SourceNoVideoError, "no video track"),
        ("corrupt=1", SourceGarbageError, "damaged|not video"),
    ],
)
def test_each_way_to_fail_on_opening_has_its_own_message(
    server: RtspServer, clip_of: ClipOf, fault: str, error: type[SourceError], words: str
) -> None:
    server.add("hall", clip_of()).apply(fault)
    begun = time.monotonic()
    found = failure(RtspSource(options(server.url("hall"))))
    assert type(found) is error
    assert re.search(words, str(found)), str(found)
    assert time.monotonic() - begun < 20.0


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
@pytest.mark.parametrize("fault", ["stall", "silent", "drip=20", "garbage", "close"])
def test_each_failure_in_mid_stream_is_noticed_in_time(
    server: RtspServer, clip_of: ClipOf, fault: str, transport: Transport, later: Later
) -> None:
    faults = server.add("hall", clip_of())
    later(0.5, lambda: faults.apply(fault))
    begun = time.monotonic()
    found = failure(RtspSource(options(server.url("hall"), transport=transport)))
    assert isinstance(found, SourceSilentError | SourceEndedError | SourceGarbageError)
    assert time.monotonic() - begun < 0.5 + 4 * (1.0 + 1.5)


def test_the_picture_from_before_a_stall_is_not_returned_as_new(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    faults = server.add("hall", clip_of(frames=500))
    with RtspSource(options(server.url("hall"), stall_timeout=3.0), rate=25) as source:
        next(iter(source))
        faults.stall = True
        watch(source, 0.3)
        later(1.5, faults.clear)
        resumed = next(iter(source))
        started = server.started("hall")
        assert started is not None
        due = started.monotonic + number_of(resumed.image) / 25
        assert resumed.moment - due < 1.2  # the key frame it goes on from may be a second old


def test_a_refusal_and_an_unknown_host_are_different_errors(server: RtspServer) -> None:
    server.offline()
    assert type(failure(RtspSource(options(server.url("hall"))))) is SourceRefusedError
    unknown = failure(RtspSource(options(f"rtsp://ann:{CANARY}@camera.invalid/x")))
    assert type(unknown) is SourceUnreachableError
    assert "the host name is unknown" in str(unknown)


def test_an_address_of_another_kind_is_refused_without_a_connection() -> None:
    error = failure(RtspSource(options(f"http://ann:{CANARY}@127.0.0.1/x")))
    assert "expected an address that begins rtsp://" in str(error)


def test_a_wrong_password_is_tried_once_only(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    url = server.url("hall", password=f"{CANARY}-wrong")
    assert type(failure(RtspSource(options(url)))) is SourceUnauthorizedError
    # One challenge, and one answer to it that was wrong.
    assert server.counts("hall").refused == 2


def test_ffmpeg_s_log_does_not_reach_the_terminal(
    server: RtspServer, clip_of: ClipOf, capfd: pytest.CaptureFixture[str]
) -> None:
    server.add("hall", clip_of())
    failure(RtspSource(options(server.url("hall", password=f"{CANARY}-wrong"))))
    failure(RtspSource(options(server.url("nowhere"))))
    failure(RtspSource(options(f"rtsp://ann:{CANARY}@camera.invalid/x")))
    assert capfd.readouterr() == ("", "")


def test_a_change_of_size_in_mid_stream_is_followed(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    server.add("hall", clip_of())
    later(0.8, lambda: server.switch("hall", clip_of(size=(480, 320))))
    with RtspSource(options(server.url("hall"), open_timeout=9.0, stall_timeout=9.0)) as source:
        sizes = [next(iter(source)).full_size]
        end = time.monotonic() + 20
        while sizes[-1] == sizes[0] and time.monotonic() < end:
            sizes.append(next(iter(source)).full_size)
    assert sizes[0] == (320, 240)
    assert sizes[-1] == (480, 320)


def test_a_change_of_codec_in_mid_stream_fails_within_the_stall_time(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    server.add("hall", clip_of())
    later(0.5, lambda: server.switch("hall", clip_of(codec="hevc")))
    found = failure(RtspSource(options(server.url("hall"))))
    assert type(found) is SourceGarbageError
    assert "only damaged pictures" in str(found)


def test_the_end_of_a_live_stream_is_a_failure(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of(frames=20), loop=False)
    assert type(failure(RtspSource(options(server.url("hall"))))) is SourceEndedError


def test_a_certificate_is_verified_unless_that_is_disabled(clip_of: ClipOf, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with RtspServer(tls=context) as server:
        server.add("hall", clip_of())
        found = failure(RtspSource(options(server.url("hall"))))
        assert type(found) is SourceUnreachableError
        assert "certificate" in str(found)
        with RtspSource(options(server.url("hall"), tls_verify=False)) as source:
            assert next(iter(source)).size == (320, 240)


def test_a_file_in_place_of_a_camera_plays_at_its_own_pace(clip_of: ClipOf) -> None:
    begun = time.monotonic()
    with RtspSource(options(str(clip_of())), rate=25) as source, pytest.raises(SourceEndedError):
        watch(source, 5.0)
    assert 1.8 < time.monotonic() - begun < 16.0
    assert source.counts.decoded == 50


# -- closing -----------------------------------------------------------------------------------


def test_closing_ends_the_thread_and_the_connection(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    source = RtspSource(options(server.url("hall")))
    next(iter(source))
    assert not source.closed
    source.close()
    source.close()
    assert source.closed
    deadline = time.monotonic() + 8
    while server.counts("hall").playing and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.counts("hall").playing == 0


def test_a_connection_that_was_never_opened_closes_immediately(server: RtspServer) -> None:
    source = RtspSource(options(server.url("hall")))
    assert source.closed
    source.close()
