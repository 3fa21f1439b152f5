"""Open a stream or a file with the FFmpeg options that were measured to matter."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

import av
from av.container import InputContainer

from maskwatch.capture.diagnose import diagnose
from maskwatch.capture.reachability import diagnose_rtsp_port
from maskwatch.capture.source import Size, StreamInfo
from maskwatch.config.addresses import is_network_address
from maskwatch.config.schema import Transport
from maskwatch.errors import SourceError, SourceGarbageError, SourceNoVideoError, SourceTooLargeError
from maskwatch.files import ffmpeg_name
from maskwatch.secrets import SecretUrl

MAX_PIXELS = 7680 * 4320
"""The largest picture to accept unless the configuration says otherwise: 8K."""

_MICROSECONDS = 1_000_000
_PROBE_BYTES = 5_000_000
_MAX_STREAMS = 32
_PADDING_PIXELS = 1 << 16
_MAX_DIAGNOSIS_S = 1.0
# Of the time to the first picture: what is left is for finding out what is wrong.
_OPEN_SHARE = 0.75
_DIAGNOSIS_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How to connect to a camera. `transport` is TCP or UDP; times are seconds."""

    url: SecretUrl
    transport: Transport = Transport.TCP
    open_timeout: float = 10.0
    stall_timeout: float = 5.0
    tls_verify: bool = True
    max_pixels: int = MAX_PIXELS

    @property
    def where(self) -> str:
        return self.url.redacted


def open_stream(options: StreamOptions) -> InputContainer:
    """Connect to a camera, or open a file in its place. Raises SourceError."""
    address = options.url.reveal()
    if not is_network_address(address):
        return open_file(address, options.max_pixels)
    if not address.lower().startswith(("rtsp://", "rtsps://")):
        raise SourceError(f"{options.where}: expected an address that begins rtsp:// or rtsps://")
    begun = time.monotonic()
    try:
        container = av.open(
            address,
            options=_ffmpeg_options(options),
            timeout=(options.open_timeout * _OPEN_SHARE, options.stall_timeout),
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        waited = time.monotonic() - begun
        raise _diagnose_opening(error, options, waited) from None
    return _with_video(container, options.where, options.max_pixels)


def _diagnose_opening(error: Exception, options: StreamOptions, waited: float) -> SourceError:
    timeout = min(options.open_timeout, options.stall_timeout)
    by_ffmpeg = diagnose(error, options.where, waited, timeout)
    # FFmpeg calls silence, garbage and a closed connection invalid data.
    vague = isinstance(error, av.error.InvalidDataError | av.error.ExitError | TimeoutError)
    if not vague or not options.url.reveal().lower().startswith("rtsp://"):
        return by_ffmpeg
    left = min(_MAX_DIAGNOSIS_S, options.open_timeout * _DIAGNOSIS_SHARE)
    return diagnose_rtsp_port(options.url, left) or by_ffmpeg


def open_file(path: str, max_pixels: int = MAX_PIXELS) -> InputContainer:
    """Open a recorded file. Raises SourceError."""
    try:
        container = av.open(ffmpeg_name(path), options=_limits(max_pixels))
    except av.error.InvalidDataError:
        raise SourceGarbageError(f"{path}: not a readable video") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise diagnose(error, path, waited=0.0, timeout=1.0) from None
    return _with_video(container, path, max_pixels)


def _ffmpeg_options(options: StreamOptions) -> dict[str, str]:
    ffmpeg = {
        "rtsp_transport": options.transport.value,
        "timeout": str(int(options.stall_timeout * _MICROSECONDS)),
        # A tenth of a second: the default waits for a second, then returns a burst of old frames.
        "analyzeduration": str(_MICROSECONDS // 10),
        "allowed_media_types": "video",
        "probesize": str(_PROBE_BYTES),
        **_limits(options.max_pixels),
    }
    if options.transport is Transport.TCP:
        # Without a queue FFmpeg does not notice missing packets.
        ffmpeg["reorder_queue_size"] = "2"
    else:
        ffmpeg["buffer_size"] = str(1 << 20)
    if options.url.reveal().lower().startswith("rtsps://"):
        ffmpeg["tls_verify"] = "1" if options.tls_verify else "0"
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


def _with_video(container: InputContainer, where: str, max_pixels: int) -> InputContainer:
    """Return the container with its video stream set to decode without delay; close it without one."""
    if not container.streams.video:
        container.close()
        raise SourceNoVideoError(f"{where}: the stream has no video track")
    # None without a decoder; the stubs omit that.
    context = cast("av.VideoCodecContext | None", container.streams.video[0].codec_context)
    if context is None:
        container.close()
        raise SourceGarbageError(f"{where}: the codec is not supported")
    try:
        check_size(where, (context.width, context.height), max_pixels)
    except SourceTooLargeError:
        container.close()
        raise
    # The decoder checks each new size before it allocates pictures.
    context.options = _limits(max_pixels)
    # Frame threads would add a delay of a frame each, and more threads than one cost cores.
    context.thread_type = "SLICE"
    context.thread_count = 1
    return container


def stream_info(container: InputContainer, transport: str) -> StreamInfo:
    """Return the properties of the stream; the size as stored, not rotated."""
    stream = container.streams.video[0]
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate or 0
    return StreamInfo(context.name, (context.width, context.height), float(rate), transport)
