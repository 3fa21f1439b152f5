"""The RTSP server with real clients: PyAV (FFmpeg) and OpenCV, over TCP and UDP."""

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
from tests.fakes.waiting import SLACK, wait_until

ClipOf = Callable[..., Path]
Later = Callable[[float, Callable[[], object]], None]

_FRAME = 3600


@dataclass
class Received:
    """What a client received."""

    numbers: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    corrupt: int = 0
    failed: int = 0
    times: list[float] = field(default_factory=list)


def watch(url: str, frames: int = 30, transport: str = "tcp", timeout: float = 3.0 * SLACK) -> Received:
    """Decode up to `frames` frames, or until the stream fails or ends."""
    options = {
        "rtsp_transport": transport,
        "timeout": f"{timeout * 1e6:.0f}",
        "analyzeduration": "100000",
    }
    received = Received()
    with av.open(url, options=options, timeout=(timeout, timeout)) as container:
        for packet in container.demux(video=0):
            _decode(packet, received)
            if len(received.numbers) >= frames:
                break
    return received


def _decode(packet: av.Packet, received: Received) -> None:
    try:
        pictures = packet.decode()
    except av.FFmpegError:
        received.failed += 1
        return
    for picture in pictures:
        received.numbers.append(number_of(picture.to_ndarray(format="bgr24")))
        received.sizes.add((picture.width, picture.height))
        received.corrupt += picture.is_corrupt
        received.times.append(time.monotonic())
        if picture.pts is not None:
            received.stamps.append(picture.pts)


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with RtspServer() as server:
        yield server


_FFMPEG_LOGINS = [AuthScheme.BASIC, AuthScheme.DIGEST]  # it knows no SHA-256

# -- clients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", _FFMPEG_LOGINS)
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_ffmpeg_plays_every_codec_over_every_transport_after_every_login(
    clip_of: ClipOf, codec: str, transport: str, auth: AuthScheme
) -> None:
    with RtspServer(users={"ann": "p@ss:w/rd ü"}, auth=auth) as server:
        server.add("hall", clip_of(codec=codec))
        received = watch(server.url("hall"), 8, transport)
    assert received.numbers == list(range(8))
    assert received.corrupt == received.failed == 0


def test_frames_of_several_slices_arrive_complete(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of(slices=4))
    received = watch(server.url("hall"), 30)
    assert received.numbers == list(range(30))
    assert received.corrupt == received.failed == 0


def test_opencv_plays_a_path_with_a_query(server: RtspServer, clip_of: ClipOf) -> None:
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
        with av.open(server.url("hall"), options=trusting, timeout=5 * SLACK) as container:
            assert next(container.decode(video=0)).width == 320
        with pytest.raises(OSError, match="Input/output"):
            av.open(server.url("hall"), options={"tls_verify": "1", "rtsp_transport": "tcp"})


# -- logins and paths --------------------------------------------------------------------------


@pytest.mark.parametrize("auth", _FFMPEG_LOGINS)
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


def test_a_port_in_use_is_an_error_at_the_start(server: RtspServer) -> None:
    with pytest.raises(OSError, match="in use"), RtspServer(port=server.port):
        pass


# -- time --------------------------------------------------------------------------------------


def test_a_loop_repeats_its_frames_while_its_time_continues(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of(frames=20, gop=10))
    received = watch(server.url("hall"), 50)
    assert received.numbers == [number % 20 for number in range(50)]
    assert {later - earlier for earlier, later in pairwise(received.stamps)} == {_FRAME}


def test_frames_come_at_the_rate_of_the_clip(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    received = watch(server.url("hall"), 50)
    started = server.started("hall")
    assert started is not None
    # FFmpeg returns a frame when the next one starts: 40 ms later.
    delays = [
        at - started.monotonic - 0.04 * (number + 1)
        for number, at in zip(received.numbers, received.times, strict=True)
    ][10:]
    assert min(delays) > -0.05
    assert sorted(delays)[len(delays) // 2] < 0.2 * SLACK


def test_a_later_client_joins_the_stream_that_is_running(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of(frames=500, gop=25))
    watch(server.url("hall"), 30)
    started = server.started("hall")
    assert started is not None
    shown = int((time.monotonic() - started.monotonic) * 25)
    first = watch(server.url("hall"), 1).numbers[0]
    shown_later = int((time.monotonic() - started.monotonic) * 25)
    assert first % 25 == 0  # a key frame, the last one before the client came
    assert shown - 25 <= first <= shown_later


def test_a_clip_waits_for_its_first_client(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    assert server.started("hall") is None
    before = time.monotonic()
    assert watch(server.url("hall"), 1).numbers == [0]
    started = server.started("hall")
    assert started is not None
    assert before < started.monotonic < time.monotonic()


def test_a_clip_may_start_without_a_client(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of(), start=Start.NOW)
    assert server.started("hall") is not None


def test_a_manual_clip_shows_its_first_frame_until_it_is_played(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    server.add("hall", clip_of(), start=Start.MANUAL, loop=False, hold_last=True)
    later(0.8, lambda: server.play("hall", after=0.1))
    received = watch(server.url("hall"), 100)
    start = received.numbers.index(1)
    assert set(received.numbers[: start - 1]) == {0}
    assert received.numbers[start : start + 49] == list(range(1, 50))
    assert set(received.numbers[start + 49 :]) == {49}
    assert all(later > earlier for earlier, later in pairwise(received.stamps))


def test_a_clip_played_once_closes_its_connections_and_is_not_found(
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
        received = watch(server.url("hall"), 40, transport)
        counts = server.counts("hall")
    assert 0.01 < counts.dropped / (counts.dropped + counts.packets) < 0.12
    assert received.numbers != [number % 50 for number in range(40)]


def test_corrupt_packets_are_damaged_at_the_client(clip_of: ClipOf) -> None:
    with RtspServer(seed=1) as server:
        server.add("hall", clip_of()).corrupt = 0.3
        received = watch(server.url("hall"), 40)
        counts = server.counts("hall")
    assert 0.2 < counts.corrupted / counts.packets < 0.4
    assert received.corrupt + received.failed > 0


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("fault", ["stall", "silent"])
def test_a_stalled_stream_keeps_its_connection_and_continues_once_cleared(
    server: RtspServer, clip_of: ClipOf, transport: str, fault: str, later: Later
) -> None:
    faults = server.add("hall", clip_of(frames=500))
    later(0.4, lambda: faults.apply(fault))
    later(1.2, faults.clear)
    received = watch(server.url("hall"), 40, transport)
    gaps = [later - earlier for earlier, later in pairwise(received.times)]
    assert 0.5 < max(gaps) < 1.5 * SLACK
    assert received.corrupt == received.failed == 0
    assert server.counts("hall").connections == 1


@pytest.mark.parametrize("fault", ["silent", "garbage", "drip=20", "close"])
def test_a_client_that_connects_during_a_fault_gets_no_stream(
    server: RtspServer, clip_of: ClipOf, fault: str
) -> None:
    server.add("hall", clip_of()).apply(fault)
    with pytest.raises((av.error.InvalidDataError, TimeoutError)):
        watch(server.url("hall"), timeout=1.0)


@pytest.mark.parametrize("fault", ["garbage", "drip=50", "close"])
def test_a_new_fault_reaches_a_client_that_is_playing(
    server: RtspServer, clip_of: ClipOf, fault: str, later: Later
) -> None:
    faults = server.add("hall", clip_of())
    later(0.5, lambda: faults.apply(fault))
    try:
        frames = len(watch(server.url("hall"), 40, timeout=1.0).numbers)
    except (av.FFmpegError, TimeoutError):
        frames = 0
    assert frames < 30


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
    with av.open(server.url("hall"), options={"rtsp_transport": "tcp"}, timeout=2 * SLACK) as container:
        assert not container.streams.video


def test_a_camera_whose_clock_is_set_jumps_in_time_only(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    faults = server.add("hall", clip_of())
    later(0.5, lambda: setattr(faults, "clock_offset", 100.0))
    received = watch(server.url("hall"), 30)
    assert received.numbers == list(range(30))
    jumps = [b - a for a, b in pairwise(received.stamps) if b - a != _FRAME]
    assert jumps == [100 * 90_000 + _FRAME]


def test_a_camera_s_clock_may_run_at_another_rate(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of()).clock_rate = 0.5
    received = watch(server.url("hall"), 20)
    assert {b - a for a, b in pairwise(received.stamps)} == {_FRAME / 2}


def test_another_size_mid_stream_reaches_the_decoder(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    server.add("hall", clip_of())
    larger = clip_of(size=(480, 320))
    later(0.5, lambda: server.switch("hall", larger))
    received = watch(server.url("hall"), 40)
    assert received.sizes == {(320, 240), (480, 320)}
    assert received.corrupt == received.failed == 0


def test_another_codec_mid_stream_plays_once_the_stream_is_opened_again(
    server: RtspServer, clip_of: ClipOf
) -> None:
    server.add("hall", clip_of())
    watch(server.url("hall"), 3)
    server.switch("hall", clip_of(codec="hevc", size=(480, 320)))
    assert watch(server.url("hall"), 3).sizes == {(480, 320)}


def test_a_camera_may_close_its_connections_and_accept_new_ones(
    server: RtspServer, clip_of: ClipOf, later: Later
) -> None:
    server.add("hall", clip_of(frames=500))
    server.add("door", clip_of())
    later(0.4, lambda: server.disconnect("hall"))
    assert len(watch(server.url("hall"), 100).numbers) < 30
    assert watch(server.url("hall"), 1).numbers


def test_a_camera_may_go_offline_and_return_on_its_port(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    url = server.url("hall")
    server.offline()
    with pytest.raises(ConnectionRefusedError):
        watch(url)
    server.online()
    assert watch(url, 2).numbers


# -- closing ----------------------------------------------------------------------------------


def test_no_thread_is_left_when_the_server_has_closed(clip_of: ClipOf, later: Later) -> None:
    threads = threading.active_count()
    with RtspServer() as server:
        server.add("hall", clip_of())
        with socket.create_connection(("127.0.0.1", server.port)):
            server.add("door", clip_of()).silent = True
            later(0.3, server.close)
            watch(server.url("hall"), 100)
    server.close()
    assert threading.active_count() <= threads + 1  # the timer itself may still run


def test_a_client_that_does_not_speak_rtsp_is_disconnected(server: RtspServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=2 * SLACK) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(10) == b""


def test_clients_that_play_are_counted(server: RtspServer, clip_of: ClipOf) -> None:
    server.add("hall", clip_of())
    thread = threading.Thread(target=watch, args=(server.url("hall"), 20))
    thread.start()
    wait_until(lambda: server.counts("hall").playing == 1)
    thread.join()
    wait_until(lambda: server.counts("hall").playing == 0)
