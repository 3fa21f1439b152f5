"""The RTSP server as its clients see it: PyAV (FFmpeg) and OpenCV, over TCP and UDP."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import av
import cv2
import pytest

from maskwatch.lab.rtsp import AuthScheme, RtspServer, Start
from tests.fakes.certificates import self_signed
from tests.fakes.clips import number_of

ClipOf = Callable[..., Path]
Later = Callable[[float, Callable[[], object]], None]

_FRAME = 3600


@dataclass
class Seen:
    """What a client saw."""

    numbers: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    marked: int = 0
    failed: int = 0
    moments: list[float] = field(default_factory=list)


def watch(url: str, frames: int = 30, transport: str = "tcp", patience: float = 3.0) -> Seen:
    """Decode until so many pictures came, or the stream failed or ended."""
    options = {"rtsp_transport": transport, "timeout": "1000000", "analyzeduration": "100000"}
    seen = Seen()
    with av.open(url, options=options, timeout=(patience, patience)) as container:
        for packet in container.demux(video=0):
            _decode(packet, seen)
            if len(seen.numbers) >= frames:
                break
    return seen


def _decode(packet: av.Packet, seen: Seen) -> None:
    try:
        pictures = packet.decode()
    except av.FFmpegError:
        seen.failed += 1
        return
    for picture in pictures:
        seen.numbers.append(number_of(picture.to_ndarray(format="bgr24")))
        seen.sizes.add((picture.width, picture.height))
        seen.marked += picture.is_corrupt
        seen.moments.append(time.monotonic())
        if picture.pts is not None:
            seen.stamps.append(picture.pts)


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as server:
        yield server


# -- clients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", list(AuthScheme))
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_ffmpeg_plays_every_codec_over_every_transport_after_every_login(
    clip_of: ClipOf, codec: str, transport: str, auth: AuthScheme
) -> None:
    with RtspServer(users={"ann": "p@ss:w/rd ü"}, auth=auth) as server:
        server.add("hall", clip_of(codec=codec))
        seen = watch(server.url("hall"), 8, transport)
    assert seen.numbers == list(range(8))
    assert seen.marked == seen.failed == 0


def test_pictures_of_many_slices_arrive_whole(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of(slices=4))
    seen = watch(server.url("hall"), 30)
    assert seen.numbers == list(range(30))
    assert seen.marked == seen.failed == 0


def test_opencv_plays_it_too(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("site/hall 1?profile=main", clip_of())
    capture = cv2.VideoCapture(server.url("site/hall 1?profile=main"))
    good, image = capture.read()
    capture.release()
    assert good
    assert image.shape == (240, 320, 3)


def test_an_encrypted_camera_is_played_if_its_certificate_is_trusted(
    clip_of: ClipOf, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with RtspServer(tls=context) as server:
        server.add("hall", clip_of())
        assert server.url("hall").startswith("rtsps://")
        trusting = {"tls_verify": "1", "ca_file": str(certificate), "rtsp_transport": "tcp"}
        with av.open(server.url("hall"), options=trusting, timeout=5) as container:
            assert next(container.decode(video=0)).width == 320
        with pytest.raises(OSError, match="Input/output"):
            av.open(server.url("hall"), options={"tls_verify": "1", "rtsp_transport": "tcp"})


# -- logins and paths --------------------------------------------------------------------------


@pytest.mark.parametrize("auth", list(AuthScheme))
def test_a_wrong_password_is_refused_and_counted(clip_of: ClipOf, auth: AuthScheme) -> None:
    with RtspServer(users={"ann": "right"}, auth=auth) as server:
        server.add("hall", clip_of())
        with pytest.raises(av.error.HTTPUnauthorizedError):
            watch(server.url("hall", password="wrong"))
        assert server.counts("hall").described == 0
        assert server.counts("hall").refused >= 1
        server.set_users({"ann": "wrong"})
        assert watch(server.url("hall"), 3).numbers == [0, 1, 2]


def test_an_unknown_path_is_not_found(server: RtspServer) -> None:
    with pytest.raises(av.error.HTTPNotFoundError):
        watch(server.url("nowhere"))


def test_a_port_that_is_taken_is_an_error_at_the_start(server: RtspServer) -> None:
    with pytest.raises(OSError, match="in use"), RtspServer(port=server.port):
        pass


# -- time --------------------------------------------------------------------------------------


def test_a_loop_goes_on_in_time_and_starts_again_in_the_picture(
    server: RtspServer, clip_of: ClipOf
) -> None:
    server.add("hall", clip_of(frames=20, gop=10))
    seen = watch(server.url("hall"), 50)
    assert seen.numbers == [number % 20 for number in range(50)]
    assert {later - earlier for earlier, later in pairwise(seen.stamps)} == {_FRAME}


def test_pictures_come_at_the_clip_s_own_pace(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    seen = watch(server.url("hall"), 50)
    started = server.started("hall")
    assert started is not None
    # FFmpeg hands a picture over when the next one begins: 40 ms later.
    late = [
        moment - started.monotonic - 0.04 * (number + 1)
        for number, moment in zip(seen.numbers, seen.moments, strict=True)
    ][10:]
    assert min(late) > -0.05
    assert sorted(late)[len(late) // 2] < 0.2


def test_clients_see_the_same_live_camera_whenever_they_come(
    server: RtspServer, clip_of: ClipOf
) -> None:
    server.add("hall", clip_of(frames=500, gop=25))
    watch(server.url("hall"), 30)
    started = server.started("hall")
    assert started is not None
    shown = int((time.monotonic() - started.monotonic) * 25)
    first = watch(server.url("hall"), 1).numbers[0]
    assert first % 25 == 0  # a key frame, the last one before now
    assert shown - 25 <= first <= shown + 3


def test_a_clip_waits_for_its_first_client(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    assert server.started("hall") is None
    with pytest.raises(TimeoutError, match="hall has not begun"):
        server.wait_started("hall", 0.05)
    before = time.monotonic()
    assert watch(server.url("hall"), 1).numbers == [0]
    assert before < server.wait_started("hall", 1).monotonic < time.monotonic()


def test_a_clip_may_begin_without_any_client(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of(), start=Start.NOW)
    assert server.started("hall") is not None


def test_a_clip_held_back_shows_its_first_picture_until_it_is_told_to_play(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    server.add("hall", clip_of(), start=Start.MANUAL, loop=False, hold_last=True)
    later(0.8, lambda: server.play("hall", after=0.1))
    seen = watch(server.url("hall"), 100)
    begin = seen.numbers.index(1)
    assert set(seen.numbers[: begin - 1]) == {0}
    assert seen.numbers[begin : begin + 49] == list(range(1, 50))
    assert set(seen.numbers[begin + 49 :]) == {49}
    assert all(later > earlier for earlier, later in pairwise(seen.stamps))


def test_a_clip_played_once_closes_its_connections_and_is_gone(
    server: RtspServer, clip_of: ClipOf
) -> None:
    server.add("hall", clip_of(frames=10), loop=False)
    assert watch(server.url("hall")).numbers == list(range(10))
    with pytest.raises(av.error.HTTPNotFoundError):
        watch(server.url("hall"))
    server.play("hall")
    assert watch(server.url("hall")).numbers == list(range(10))


# -- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_dropped_packets_are_missing_at_the_client(clip_of: ClipOf, transport: str) -> None:
    with RtspServer(seed=1) as server:
        server.add("hall", clip_of()).drop = 0.05
        seen = watch(server.url("hall"), 40, transport)
        counts = server.counts("hall")
    assert 0.01 < counts.dropped / (counts.dropped + counts.packets) < 0.12
    assert seen.numbers != [number % 50 for number in range(40)]


def test_corrupt_packets_are_damaged_at_the_client(clip_of: ClipOf) -> None:
    with RtspServer(seed=1) as server:
        server.add("hall", clip_of()).corrupt = 0.3
        seen = watch(server.url("hall"), 40)
        counts = server.counts("hall")
    assert 0.2 < counts.corrupted / counts.packets < 0.4
    assert seen.marked + seen.failed > 0


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("fault", ["stall", "silent"])
def test_a_stream_that_stands_still_keeps_its_connection_and_goes_on_when_healed(
    server: RtspServer, clip_of: ClipOf, transport: str, fault: str, later: Later
) -> None:
    faults = server.add("hall", clip_of(frames=500))
    later(0.4, lambda: faults.order(fault))
    later(1.2, faults.clear)
    seen = watch(server.url("hall"), 40, transport)
    gaps = [later - earlier for earlier, later in pairwise(seen.moments)]
    assert 0.5 < max(gaps) < 1.5
    assert seen.marked == seen.failed == 0
    assert server.counts("hall").connections == 1


@pytest.mark.parametrize("fault", ["silent", "garbage", "drip=20", "close"])
def test_a_client_that_comes_in_to_a_fault_gets_no_stream(
    server: RtspServer, clip_of: ClipOf, fault: str
) -> None:
    server.add("hall", clip_of()).order(fault)
    with pytest.raises((av.error.InvalidDataError, TimeoutError)):
        watch(server.url("hall"), patience=1.0)


@pytest.mark.parametrize("fault", ["garbage", "drip=50", "close"])
def test_a_client_that_plays_feels_a_new_fault_at_once(
    server: RtspServer, clip_of: ClipOf, fault: str, later: Later
) -> None:
    faults = server.add("hall", clip_of())
    later(0.5, lambda: faults.order(fault))
    try:
        seen = len(watch(server.url("hall"), 40, patience=1.0).numbers)
    except (av.FFmpegError, TimeoutError):
        seen = 0
    assert seen < 30


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, av.error.HTTPUnauthorizedError),
        (404, av.error.HTTPNotFoundError),
        (503, av.error.HTTPServerError),
    ],
)
def test_any_status_can_be_answered(
    server: RtspServer, clip_of: ClipOf, status: int, error: type[Exception]
) -> None:
    server.add("hall", clip_of()).status = status
    with pytest.raises(error):
        watch(server.url("hall"))


def test_a_stream_may_have_no_video(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of()).no_video = True
    with av.open(server.url("hall"), options={"rtsp_transport": "tcp"}, timeout=2) as container:
        assert not container.streams.video


def test_a_camera_whose_clock_is_set_jumps_in_time_only(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    faults = server.add("hall", clip_of())
    later(0.5, lambda: setattr(faults, "clock_offset", 100.0))
    seen = watch(server.url("hall"), 30)
    assert seen.numbers == list(range(30))
    jumps = [b - a for a, b in pairwise(seen.stamps) if b - a != _FRAME]
    assert jumps == [100 * 90_000 + _FRAME]


def test_another_size_in_mid_stream_reaches_the_decoder(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    server.add("hall", clip_of())
    later(0.5, lambda: server.switch("hall", clip_of(size=(480, 320))))
    seen = watch(server.url("hall"), 40)
    assert seen.sizes == {(320, 240), (480, 320)}
    assert seen.marked == seen.failed == 0


def test_another_codec_in_mid_stream_is_no_stream_any_more_until_it_is_opened_anew(
    server: RtspServer, clip_of: ClipOf
) -> None:
    server.add("hall", clip_of())
    watch(server.url("hall"), 3)
    server.switch("hall", clip_of(codec="hevc", size=(480, 320)))
    assert watch(server.url("hall"), 3).sizes == {(480, 320)}


def test_a_camera_may_hang_up_and_take_the_next_call(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    server.add("hall", clip_of(frames=500))
    server.add("door", clip_of())
    later(0.4, lambda: server.disconnect("hall"))
    assert len(watch(server.url("hall"), 100).numbers) < 30
    assert watch(server.url("hall"), 1).numbers


def test_a_camera_may_go_off_the_network_and_come_back_on_its_port(
    server: RtspServer, clip_of: ClipOf
) -> None:
    server.add("hall", clip_of())
    url = server.url("hall")
    server.offline()
    with pytest.raises(ConnectionRefusedError):
        watch(url)
    server.online()
    assert watch(url, 2).numbers


# -- the end -----------------------------------------------------------------------------------


def test_nothing_is_left_when_the_server_has_closed(clip_of: ClipOf, later: Later) -> None:
    threads = threading.active_count()
    with RtspServer() as server:
        server.add("hall", clip_of())
        with socket.create_connection(("127.0.0.1", server.port)):
            server.add("door", clip_of()).silent = True
            later(0.3, server.close)
            watch(server.url("hall"), 100)
    server.close()
    assert threading.active_count() <= threads + 1  # the timer itself may still be there


def test_a_client_that_talks_nonsense_is_sent_away(server: RtspServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(10) == b""


def test_waiting_for_clients_ends_when_enough_play(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    with pytest.raises(TimeoutError, match="too few clients"):
        server.wait_playing("hall", 0.05)
    thread = threading.Thread(target=watch, args=(server.url("hall"), 20))
    thread.start()
    server.wait_playing("hall", 3)
    assert server.counts("hall").playing == 1
    thread.join()
