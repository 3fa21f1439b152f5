"""The framing of messages between processes: two lengths, JSON, raw bytes.

A frame is two big-endian 32-bit lengths, then the message as JSON, then a blob (an anonymized
picture, or nothing). Lengths are checked before a body is read, nothing is unpickled, and invalid
messages raise `WireError`: the peer may be a decoder that a camera has taken over.

These sockets are private (mode 0600, or inherited), so a `Secret` travels in plain text here, and
nowhere else.
"""

from __future__ import annotations

import struct
from typing import Generic, TypeVar

import msgspec

from maskwatch.config.codec import dec_hook, enc_hook
from maskwatch.decoding import decode_json
from maskwatch.errors import WireError
from maskwatch.ipc.messages import FromRecorder, ToChild, ToRecorder, ToSupervisor

T = TypeVar("T")

MAX_JSON = 4 * 1024 * 1024
"""Most bytes of JSON in a frame: a configuration of 1 MiB in YAML fits, with room."""
MAX_BLOB = 16 * 1024 * 1024
"""Most bytes of a blob: a JPEG of an 8K picture fits."""

_HEADER = struct.Struct(">II")
HEADER_BYTES = _HEADER.size
"""The two lengths before each frame."""


_encoder = msgspec.json.Encoder(enc_hook=enc_hook)

TO_CHILD: msgspec.json.Decoder[ToChild] = msgspec.json.Decoder(ToChild, dec_hook=dec_hook)
TO_SUPERVISOR: msgspec.json.Decoder[ToSupervisor] = msgspec.json.Decoder(ToSupervisor, dec_hook=dec_hook)
TO_RECORDER: msgspec.json.Decoder[ToRecorder] = msgspec.json.Decoder(ToRecorder, dec_hook=dec_hook)
FROM_RECORDER: msgspec.json.Decoder[FromRecorder] = msgspec.json.Decoder(FromRecorder, dec_hook=dec_hook)


def encode(message: msgspec.Struct, blob: bytes = b"") -> bytes:
    """Return the frame of a message and the blob beside it.

    Raises:
        WireError: it is larger than a peer accepts.
    """
    text = _encoder.encode(message)
    _check(len(text), len(blob))
    return b"".join((_HEADER.pack(len(text), len(blob)), text, blob))


class Reader(Generic[T]):
    """Reassembles frames from the pieces that a stream delivers; `decoder` accepts one direction."""

    def __init__(
        self, decoder: msgspec.json.Decoder[T], *, max_json: int = MAX_JSON, max_blob: int = MAX_BLOB
    ) -> None:
        self._decoder = decoder
        self._limits = (max_json, max_blob)
        self._buffer = bytearray()

    @property
    def partial(self) -> bool:
        """Whether part of a frame has arrived, but not all of it."""
        return bool(self._buffer)

    @property
    def missing(self) -> int:
        """The least number of bytes that must arrive before the next message is complete."""
        if len(self._buffer) < _HEADER.size:
            return _HEADER.size - len(self._buffer)
        text, blob = _HEADER.unpack_from(self._buffer)
        return _HEADER.size + int(text) + int(blob) - len(self._buffer)

    def feed(self, data: bytes) -> list[tuple[T, bytes]]:
        """Take the next bytes of the stream and return the messages, with blobs, now complete.

        Raises:
            WireError: a message is invalid, not of this direction, or too long. The stream cannot
                be read any further.
        """
        self._buffer += data
        found: list[tuple[T, bytes]] = []
        start = 0
        while (end := self._frame_end(start)) is not None:
            found.append(self._decode(start, end))
            start = end
        del self._buffer[:start]
        return found

    def _frame_end(self, start: int) -> int | None:
        """Return where the frame at `start` ends, or None if that has not arrived."""
        if len(self._buffer) - start < _HEADER.size:
            return None
        text, blob = _HEADER.unpack_from(self._buffer, start)
        _check(text, blob, self._limits)
        end = start + _HEADER.size + int(text) + int(blob)
        return end if end <= len(self._buffer) else None

    def _decode(self, start: int, end: int) -> tuple[T, bytes]:
        text = start + _HEADER.size
        length, _ = _HEADER.unpack_from(self._buffer, start)
        with memoryview(self._buffer) as view:
            try:
                message = decode_json(self._decoder, view[text : text + length])
            except msgspec.DecodeError as error:
                raise WireError(f"invalid message: {error}") from None
            return message, bytes(view[text + length : end])


def _check(text: int, blob: int, limits: tuple[int, int] = (MAX_JSON, MAX_BLOB)) -> None:
    if text > limits[0]:
        raise WireError(f"a message of {text} bytes; at most {limits[0]} are accepted")
    if blob > limits[1]:
        raise WireError(f"a blob of {blob} bytes; at most {limits[1]} are accepted")
