"""Open a stream or a file with the FFmpeg options that were measured to matter."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import av
from av.container import InputContainer

from maskwatch.capture.diagnose import diagnose
from maskwatch.capture.rtsp_client import Access, open_session
from maskwatch.capture.rtsp_relay import RtspRelay
from maskwatch.capture.source import Size, StreamInfo
from maskwatch.capture.tracks import PixelShape, Track, choose_track, moving_tracks
from maskwatch.config.addresses import is_network_address
from maskwatch.config.schema import CameraAuth, Transport
from maskwatch.errors import SourceError, SourceGarbageError, SourceNotFoundError, SourceTooLargeError
from maskwatch.files import ffmpeg_name, open_regular
from maskwatch.secrets import SecretUrl

MAX_PIXELS = 7680 * 4320
"""The largest picture to accept unless the configuration says otherwise: 8K."""

_MICROSECONDS = 1_000_000
_PROBE_BYTES = 5_000_000
_MAX_STREAMS = 32
_PADDING_PIXELS = 1 << 16
# Of the time to the first picture.
_OPEN_SHARE = 0.75
_MIN_OPEN_S = 0.5


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How to connect to a camera. `transport` is TCP or UDP; times are seconds.

    `processor_share` is how many processors decoding may use while others wait for one.
    `listener` is where FFmpeg reaches the relay; None makes one, which a sandboxed process cannot.
    `video_track` is the number of the track to analyse; -1: the largest one that moves.
    `redirect_hosts` are those of `CameraConfig`.
    """

    url: SecretUrl
    transport: Transport = Transport.TCP
    open_timeout: float = 10.0
    stall_timeout: float = 5.0
    tls_verify: bool = True
    max_pixels: int = MAX_PIXELS
    auth: CameraAuth = CameraAuth.DIGEST
    ca_file: str = ""
    listener: socket.socket | None = None
    processor_share: float = math.inf
    video_track: int = -1
    redirect_hosts: tuple[str, ...] = ()

    @property
    def access(self) -> Access:
        return Access(self.url, self.auth, self.tls_verify, self.ca_file, self.redirect_hosts)

    @property
    def where(self) -> str:
        return self.url.redacted


class OpenVideo(NamedTuple):
    """An open stream or file, and the video track of it that is analysed."""

    container: InputContainer
    track: Track


@contextlib.contextmanager
def open_stream(options: StreamOptions) -> Iterator[OpenVideo]:
    """Connect to a camera, or open a file in its place; close it at the end. Raises SourceError."""
    address = options.url.reveal()
    if not is_network_address(address):
        video = open_file(address, options.max_pixels, options.video_track)
        with contextlib.closing(video.container):
            yield video
        return
    if not address.lower().startswith(("rtsp://", "rtsps://")):
        raise SourceError(f"{options.where}: expected an address that begins rtsp:// or rtsps://")
    begun, limit = time.monotonic(), options.open_timeout * _OPEN_SHARE
    relay = RtspRelay(open_session(options.access, limit), options.listener, options.where)
    left = max(_MIN_OPEN_S, begun + limit - time.monotonic())
    try:
        video = _open_relayed(relay, options, left)
        with contextlib.closing(video.container):
            try:
                yield video
            except (av.FFmpegError, OSError, ValueError):
                # To be read before closing, which ends the relay's connection too.
                if relay.failure is not None:
                    raise relay.failure from None
                raise
    finally:
        relay.close()


def _open_relayed(relay: RtspRelay, options: StreamOptions, timeout: float) -> OpenVideo:
    begun = time.monotonic()
    try:
        container = av.open(
            relay.url, options=_ffmpeg_options(options), timeout=(timeout, options.stall_timeout)
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        waited = time.monotonic() - begun
        longest = min(timeout, options.stall_timeout)
        by_ffmpeg = diagnose(error, options.where, waited, longest)
        raise relay.failure or by_ffmpeg from None
    return _with_video(container, options.where, options.max_pixels, options.video_track)


def open_file(path: str, max_pixels: int = MAX_PIXELS, video_track: int = -1) -> OpenVideo:
    """Open a recorded file. Raises SourceError."""
    moving: set[int] = set()
    _require_regular(path)
    try:
        container = av.open(ffmpeg_name(path), options=_limits(max_pixels))
        if video_track < 0 and len(container.streams.video) > 1:
            moving = moving_tracks(ffmpeg_name(path))
    except av.error.InvalidDataError:
        raise SourceGarbageError(f"{path}: not a readable video") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise diagnose(error, path, waited=0.0, timeout=1.0) from None
    return _with_video(container, path, max_pixels, video_track, moving)


def _require_regular(path: str) -> None:
    """Raise SourceError for what FFmpeg would read without end, or wait for: a device, a named pipe."""
    try:
        open_regular(Path(path)).close()
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EINVAL:
            raise SourceNotFoundError(f"{path}: {error.strerror}") from None
        raise diagnose(error, path, waited=0.0, timeout=1.0) from None


def _ffmpeg_options(options: StreamOptions) -> dict[str, str]:
    ffmpeg = {
        "rtsp_transport": options.transport.value,
        "timeout": str(int(options.stall_timeout * _MICROSECONDS)),
        # A tenth of a second: the default waits for a second, then returns a burst of old frames.
        "analyzeduration": str(_MICROSECONDS // 10),
        "allowed_media_types": "video",
        "protocol_whitelist": "rtsp,rtp,udp,tcp",
        "probesize": str(_PROBE_BYTES),
        **_limits(options.max_pixels),
    }
    if options.transport is Transport.TCP:
        # Without a queue FFmpeg does not notice missing packets.
        ffmpeg["reorder_queue_size"] = "2"
    else:
        ffmpeg["buffer_size"] = str(1 << 20)
    return ffmpeg


def _limits(max_pixels: int) -> dict[str, str]:
    """Return FFmpeg's options that bound what a hostile stream can make it allocate.

    FFmpeg counts rows and columns of padding too: some more pixels are allowed for them.
    """
    padded = max_pixels + max_pixels // 8 + _PADDING_PIXELS
    return {"max_pixels": str(padded), "max_streams": str(_MAX_STREAMS)}


def check_size(where: str, size: Size, max_pixels: int) -> None:
    """Raise SourceTooLargeError for a picture of more than `max_pixels`."""
    width, height = size
    if width * height <= max_pixels:
        return
    raise SourceTooLargeError(
        f"{where}: pictures of {width}x{height}, {width * height} pixels, are larger than max_pixels "
        f"({max_pixels}) allows; use a sub-stream, or raise max_pixels"
    )


def _with_video(
    container: InputContainer,
    where: str,
    max_pixels: int,
    video_track: int,
    moving: Collection[int] = (),
) -> OpenVideo:
    """Return the container with its track set to decode without delay; close it if there is none."""
    try:
        track = choose_track(container, where, video_track, moving)
        # None without a decoder; the stubs omit that.
        context = cast("av.VideoCodecContext | None", track.codec_context)
        if context is None:
            raise SourceGarbageError(f"{where}: the codec is not supported")
        check_size(where, (context.width, context.height), max_pixels)
    except SourceError:
        container.close()
        raise
    # The decoder checks each new size before it allocates pictures.
    context.options = _limits(max_pixels)
    # Frame threads would add a delay of a frame each, and more threads than one cost cores.
    context.thread_type = "SLICE"
    context.thread_count = 1
    return OpenVideo(container, track)


def stream_info(video: OpenVideo, transport: str) -> StreamInfo:
    """Return the properties of the stream; the size as stored, not rotated."""
    track, context = video.track, video.track.codec_context
    # Of a stream without stamps only the guess considers what the encoder declares.
    rate = track.guessed_rate or track.average_rate or 0
    tracks = video.container.streams.video
    return StreamInfo(
        context.name,
        (context.width, context.height),
        float(rate),
        transport,
        tracks.index(track),
        len(tracks),
        PixelShape(track).aspect,
    )
