"""RTSP requests and replies (RFC 2326) as they stand on the wire."""

from __future__ import annotations

import re
from asyncio import StreamReader
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["MessageError", "Request", "read_request", "reply"]

_REASONS = {
    200: "OK",
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
_MOST_HEADERS = 64
_MOST_BODY = 65_536
_HOST = re.compile(r"^rtsps?://[^/]*/?", re.IGNORECASE)


class MessageError(ValueError):
    """What the client sent is no RTSP request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """What follows the host, without slashes at its ends: `cam1/main?x=1`."""
        return _HOST.sub("", self.url).strip("/")

    @property
    def sequence(self) -> str:
        """The CSeq that the reply must repeat."""
        return self.headers.get("cseq", "0")


async def read_request(reader: StreamReader) -> Request | None:
    """The next request, None at the end; RTCP inside the connection is skipped.

    Raises MessageError, and asyncio's own errors if the client goes away in the midst.
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
        if len(headers) > _MOST_HEADERS:
            raise MessageError(f"more than {_MOST_HEADERS} headers")
    await _skip_body(reader, headers.get("content-length", "0"))
    return Request(words[0], words[1], headers)


async def _line(reader: StreamReader, first: bytes = b"") -> str:
    try:
        line = first + await reader.readline()
    except ValueError as error:
        raise MessageError("a line without an end") from error
    return line.decode("latin1").strip()


async def _skip_body(reader: StreamReader, length: str) -> None:
    if not length.isdecimal() or int(length) > _MOST_BODY:
        raise MessageError(f"a Content-Length that makes no sense: {length[:20]}")
    await reader.readexactly(int(length))


def reply(code: int, sequence: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """A reply as bytes, with the length of its body."""
    lines = [f"RTSP/1.0 {code} {_REASONS.get(code, 'Status')}", f"CSeq: {sequence}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
