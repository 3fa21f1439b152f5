"""JSON that no correct peer sends, for every decoder of bytes from a peer."""

from __future__ import annotations

_DEPTH = 30_000
_OPEN, _CLOSE = b"[" * _DEPTH, b"]" * _DEPTH

HOSTILE_JSON: dict[str, bytes] = {
    "nothing": b"",
    "arrays": _OPEN + _CLOSE,
    "arrays_without_end": _OPEN,
    "objects_without_end": b'{"a":' * _DEPTH,
    "nested_in_an_unknown_field": b'{"x":' + _OPEN + _CLOSE + b"}",
    "nested_before_the_type": b'{"x":' + _OPEN + _CLOSE + b',"type":"TYPE"}',
    "nested_after_the_type": b'{"type":"TYPE","x":' + _OPEN + _CLOSE + b"}",
    "nested_objects_after_the_type": b'{"type":"TYPE","x":' + b'{"a":' * _DEPTH,
    "huge_integer": b'{"type":"TYPE","frames":' + b"9" * 20_000 + b"}",
    "huge_type": b'{"type":' + b"9" * 20_000 + b"}",
    "infinite_number": b'{"type":"TYPE","seconds":1e999}',
    "not_a_number": b'{"type":"TYPE","seconds":NaN}',
    "infinity": b'{"type":"TYPE","seconds":-Infinity}',
    "lone_surrogate": b'{"type":"TYPE","camera":"\\ud800"}',
    "invalid_utf8": b'{"type":"TYPE","camera":"\xff\xfe"}',
    "overlong_utf8": b'{"type":"TYPE","camera":"\xc0\xaf"}',
    "encoded_surrogate": b'{"type":"TYPE","camera":"\xed\xa0\x80"}',
    "nul": b'{"type":"TYPE"}\x00',
    "two_values": b'{"type":"TYPE"}{"type":"TYPE"}',
    "duplicate_type": b'{"type":"TYPE","type":"other"}',
    "only_a_type": b'{"type":"TYPE"}',
    "type_in_an_array": b'{"type":["TYPE"]}',
    "null": b"null",
    "string": b'"' + b"x" * 60_000 + b'"',
    "byte_order_mark": b'\xef\xbb\xbf{"type":"TYPE"}',
    "utf16": '{"type":"TYPE"}'.encode("utf-16"),
}
"""By name; TYPE stands for the type of a message (see `hostile_json`)."""


def hostile_json(kind: str, message_type: str) -> bytes:
    return HOSTILE_JSON[kind].replace(b"TYPE", message_type.encode())
