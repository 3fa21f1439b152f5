"""RTSP messages and interleaved frames (RFC 2326), cut out of a stream of untrusted bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEADERS = 32_768
"""Bytes of the first line and the headers of one message."""
MAX_BODY = 65_536
"""Bytes of a body, such as the description of a stream."""

_FRAME_HEAD = 4
_END = re.compile(rb"\r?\n\r?\n")
_NEXT = re.compile(rb"\$[\x00-\x07]|RTSP/1")
_FOLD = re.compile(r"\n[ \t]+")  # a header that goes on in the next line
_STATUS = re.compile(r"RTSP/\d+\.\d+ +(\d{3})\b")


class MessageError(ValueError):
    """What arrived is not RTSP, or exceeds a bound; the text says which."""


@dataclass(slots=True)
class Message:
    """A request or a reply."""

    start: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    @property
    def status(self) -> int:
        """The code of a reply; 0 for a request."""
        found = _STATUS.match(self.start)
        return int(found[1]) if found else 0

    @property
    def method(self) -> str:
        return self.start.partition(" ")[0]

    @property
    def uri(self) -> str:
        return self.start.split(" ")[1] if self.start.count(" ") >= 2 else ""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str, default: str = "") -> str:
        return next(iter(self.all(name)), default)

    def set(self, name: str, value: str) -> None:
        """Set a header, in place of those of the same name."""
        self.headers = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        self.headers.append((name, value))

    def encode(self) -> bytes:
        if self.body:
            self.set("Content-Length", str(len(self.body)))
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + self.body


class MessageReader:
    """Separates messages from interleaved frames; `feed` it with what arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Message | bytes | None:
        """Return the next message, or all complete frames before it; None if more is needed.

        Raises:
            MessageError: the next bytes are neither.
        """
        frames = self._frames_end()
        if frames:
            data = bytes(self._buffer[:frames])
            del self._buffer[:frames]
            return data
        del self._buffer[: len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))]
        if not self._buffer or self._buffer[:1] == b"$":
            return None
        return self._message()

    def resynchronize(self) -> int:
        """Drop bytes up to what may be the next frame or reply; return how many."""
        found = _NEXT.search(self._buffer, 1)
        dropped = found.start() if found else len(self._buffer)
        del self._buffer[:dropped]
        return dropped

    def _frames_end(self) -> int:
        """Return where the complete frames at the start of the buffer end."""
        buffer, at = self._buffer, 0
        while len(buffer) - at >= _FRAME_HEAD and buffer[at] == 0x24:
            end = at + _FRAME_HEAD + (buffer[at + 2] << 8 | buffer[at + 3])
            if end > len(buffer):
                break
            at = end
        return at

    def _message(self) -> Message | None:
        found = _END.search(self._buffer)
        end, begin = found.span() if found else (-1, 0)
        first = bytes(self._buffer[:MAX_HEADERS]).partition(b"\n")[0].rstrip(b"\r")
        if not re.match(rb"[\x21-\x7e][\x20-\x7e\x80-\xff]*$", first):
            raise MessageError("the peer does not speak RTSP")
        if end > MAX_HEADERS or (end < 0 and len(self._buffer) > MAX_HEADERS):
            raise MessageError(f"the peer sends more than {MAX_HEADERS} bytes of headers")
        if end < 0:
            return None
        text = bytes(self._buffer[:end]).decode("utf-8", "surrogateescape")
        start, *lines = _FOLD.sub(" ", text.replace("\r\n", "\n")).split("\n")
        if "RTSP/" not in start:
            raise MessageError("the peer does not speak RTSP")
        message = Message(start, [_header(line) for line in lines])
        length = _body_length(message)
        if len(self._buffer) < begin + length:
            return None
        message.body = bytes(self._buffer[begin : begin + length])
        del self._buffer[: begin + length]
        return message


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _body_length(message: Message) -> int:
    given = message.get("Content-Length", "0")
    if not re.fullmatch(r"\d{1,9}", given):
        raise MessageError("the peer sends an invalid Content-Length")
    if int(given) > MAX_BODY:
        raise MessageError(f"the peer sends a description of more than {MAX_BODY} bytes")
    return int(given)
