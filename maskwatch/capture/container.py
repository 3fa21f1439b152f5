"""Open a stream or a file with the FFmpeg options that were measured to matter."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

import av
from av.container import InputContainer

from maskwatch.capture.diagnose import diagnose
from maskwatch.capture.reachability import diagnose_rtsp_port
from maskwatch.capture.source import StreamInfo
from maskwatch.config.schema import Transport
from maskwatch.errors import SourceError, SourceGarbageError, SourceNoVideoError
from maskwatch.secrets import SecretUrl

__all__ = ["StreamOptions", "is_url", "open_file", "open_stream", "stream_info"]

_MICROSECONDS = 1_000_000
_KNOCK_S = 1.0
# Of the time to the first picture: what is left is for asking the camera what is wrong.
_OPENING_SHARE = 0.75
_KNOCKING_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How to reach a camera. `transport` is TCP or UDP; times are seconds."""

    url: SecretUrl
    transport: Transport = Transport.TCP
    open_timeout: float = 10.0
    stall_timeout: float = 5.0
    tls_verify: bool = True

    @property
    def where(self) -> str:
        """The address as messages may show it."""
        return self.url.redacted


def is_url(address: str) -> bool:
    """Whether an address names a stream rather than a file."""
    return "://" in address


def open_stream(options: StreamOptions) -> InputContainer:
    """Connect to a camera, or open a file that stands in for one. Raises SourceError."""
    address = options.url.reveal()
    if not is_url(address):
        return open_file(address)
    if not address.lower().startswith(("rtsp://", "rtsps://")):
        raise SourceError(f"{options.where}: expected an address that begins rtsp:// or rtsps://")
    begun = time.monotonic()
    try:
        container = av.open(
            address,
            options=_ffmpeg_options(options),
            timeout=(options.open_timeout * _OPENING_SHARE, options.stall_timeout),
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        waited = time.monotonic() - begun
        patience = min(options.open_timeout, options.stall_timeout)
        said = diagnose(error, options.where, waited, patience)
        patient = min(_KNOCK_S, options.open_timeout * _KNOCKING_SHARE)
        asked = diagnose_rtsp_port(options.url, patient) if _vague(error, address) else None
        raise asked or said from None
    return _with_video(container, options.where)


def _vague(error: Exception, address: str) -> bool:
    """Silence, nonsense, a closed door: FFmpeg calls all of them invalid data."""
    vague = av.error.InvalidDataError, av.error.ExitError, TimeoutError
    return isinstance(error, vague) and address.lower().startswith("rtsp://")


def open_file(path: str) -> InputContainer:
    """Open a recorded file. Raises SourceError."""
    try:
        container = av.open(path)
    except av.error.InvalidDataError:
        raise SourceGarbageError(f"{path}: not a readable video") from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise diagnose(error, path, waited=0.0, patience=1.0) from None
    return _with_video(container, path)


def _ffmpeg_options(options: StreamOptions) -> dict[str, str]:
    chosen = {
        "rtsp_transport": options.transport.value,
        "timeout": str(int(options.stall_timeout * _MICROSECONDS)),
        # A tenth of a second: the default waits for a second, then hands over a burst of old frames.
        "analyzeduration": str(_MICROSECONDS // 10),
        "allowed_media_types": "video",
    }
    if options.transport is Transport.TCP:
        # Without a queue FFmpeg does not notice that a camera left packets out.
        chosen["reorder_queue_size"] = "2"
    else:
        chosen["buffer_size"] = str(1 << 20)
    if options.url.reveal().lower().startswith("rtsps://"):
        chosen["tls_verify"] = "1" if options.tls_verify else "0"
    return chosen


def _with_video(container: InputContainer, where: str) -> InputContainer:
    """The container, its video stream set to decode without delay; closed if it has none."""
    if not container.streams.video:
        container.close()
        raise SourceNoVideoError(f"{where}: the stream has no video track")
    # None without a decoder, which the stubs do not say.
    context = cast("av.VideoCodecContext | None", container.streams.video[0].codec_context)
    if context is None:
        container.close()
        raise SourceGarbageError(f"{where}: the codec is not supported")
    # Frame threads would add a delay of a frame each, and more threads than one cost cores.
    context.thread_type = "SLICE"
    context.thread_count = 1
    return container


def stream_info(container: InputContainer, transport: str) -> StreamInfo:
    """What the stream is; the size as stored, not turned."""
    stream = container.streams.video[0]
    context = stream.codec_context
    rate = stream.average_rate or stream.guessed_rate or 0
    return StreamInfo(context.name, (context.width, context.height), float(rate), transport)
