"""RTSP requests and replies (RFC 2326), and descriptions of clips (SDP, RFC 4566)."""

from __future__ import annotations

import re
from asyncio import StreamReader
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from maskwatch.lab.rtsp.clip import CLOCK_RATE, Clip, Codec
from maskwatch.lab.rtsp.rtp import PAYLOAD_TYPE

TRACK = "track1"
"""Name of the one track in every description."""

_REASONS = {
    200: "OK",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    461: "Unsupported Transport",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}
_MAX_HEADERS = 64
_MAX_BODY = 65_536
_HOST = re.compile(r"^rtsps?://[^/]*/?", re.IGNORECASE)


class MessageError(ValueError):
    """The client sent something that is not an RTSP request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The URL after the host, without slashes at its ends: `cam1/main?x=1`."""
        return _HOST.sub("", self.url).strip("/")

    @property
    def sequence(self) -> str:
        """The CSeq that the reply must repeat."""
        return self.headers.get("cseq", "0")


async def read_request(reader: StreamReader) -> Request | None:
    """Return the next request, None at the end of the stream; interleaved RTCP is skipped.

    Raises MessageError, and asyncio.IncompleteReadError if the stream ends within a request.
    """
    while first := await reader.read(1):
        if first == b"$":
            await _skip_interleaved(reader)
        elif first not in b"\r\n":
            return await _read_rest(reader, first)
    return None


async def _skip_interleaved(reader: StreamReader) -> None:
    head = await reader.readexactly(3)
    await reader.readexactly(int.from_bytes(head[1:], "big"))


async def _read_rest(reader: StreamReader, first: bytes) -> Request:
    words = (await _line(reader, first)).split()
    if len(words) != 3 or not words[2].startswith("RTSP/"):
        raise MessageError("the first line is not METHOD URL RTSP/1.0")
    headers = {}
    while line := await _line(reader):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
        if len(headers) > _MAX_HEADERS:
            raise MessageError(f"more than {_MAX_HEADERS} headers")
    await _skip_body(reader, headers.get("content-length", "0"))
    return Request(words[0], words[1], headers)


async def _line(reader: StreamReader, first: bytes = b"") -> str:
    try:
        line = first + await reader.readline()
    except ValueError as error:
        raise MessageError("a line without an end") from error
    return line.decode("utf-8", "surrogateescape").strip()


async def _skip_body(reader: StreamReader, length: str) -> None:
    if not length.isdecimal() or int(length) > _MAX_BODY:
        raise MessageError(f"an invalid Content-Length: {length[:20]}")
    await reader.readexactly(int(length))


def reply(code: int, sequence: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """Return a reply as bytes, with the length of its body."""
    lines = [f"RTSP/1.0 {code} {_REASONS.get(code, 'Status')}", f"CSeq: {sequence}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


_HEAD = ("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*")


def describe(clip: Clip) -> str:
    """Return the session description of a clip (formats of RFC 6184, RFC 7798 and RFC 2435)."""
    media = (
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} {clip.codec.value}/{CLOCK_RATE}",
        *_format_parameters(clip),
        f"a=framerate:{clip.rate:.3f}",
        f"a=control:{TRACK}",
    )
    return _lines(*_HEAD, *media)


def describe_without_video() -> str:
    """Return the description of a session with sound only, such as an intercom's."""
    return _lines(*_HEAD, "m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", f"a=control:{TRACK}")


def _format_parameters(clip: Clip) -> list[str]:
    """Return the line of SDP with the parameter sets; JPEG has none."""
    sets = [b64encode(nal).decode() for nal in clip.parameter_sets]
    match clip.codec:
        case Codec.H264:
            profile, joined = clip.parameter_sets[0][1:4].hex(), ",".join(sets)
            text = f"packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={joined}"
        case Codec.H265:
            names = ("sprop-vps", "sprop-sps", "sprop-pps")
            text = ";".join(f"{name}={value}" for name, value in zip(names, sets, strict=True))
        case Codec.JPEG:
            return []
    return [f"a=fmtp:{PAYLOAD_TYPE} {text}"]


def _lines(*lines: str) -> str:
    return "".join(f"{line}\r\n" for line in lines)
