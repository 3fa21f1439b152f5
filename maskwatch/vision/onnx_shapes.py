"""Frees the picture size that an ONNX file fixes, by editing its bytes.

The package `onnx` does the same for 14 MB of memory in every worker; this does it with the wire
format of Protocol Buffers alone. Source of the field numbers: onnx/onnx.proto (ModelProto.graph 7;
GraphProto.input 11, output 12, value_info 13; ValueInfoProto.type 2; TypeProto.tensor_type 1;
Tensor.shape 2; TensorShapeProto.dim 1; Dimension.dim_value 1, dim_param 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["free_picture_size"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _INPUT, _OUTPUT, _VALUE_INFO = 7, 11, 12, 13
_TYPE, _TENSOR, _SHAPE, _DIMENSION, _DIM_PARAM = 2, 1, 2, 1, 2
_INITIAL_AXES = 2  # batch and channels stay as they are

Edit = Callable[[bytes], bytes | None]


def free_picture_size(model: bytes) -> bytes:
    """Return the model with input (1, 3, "H", "W") and with no shape stated for anything else.

    Raises:
        ValueError: the bytes are not Protocol Buffers of the expected form.

    """
    graph = {_INPUT: _in_tensor(_free_axes), _OUTPUT: _in_tensor(_drop_shape), _VALUE_INFO: _drop}
    return _edited(model, {_GRAPH: lambda body: _edited(body, graph)})


def _drop(_body: bytes) -> None:
    return None


def _in_tensor(edit: Edit) -> Edit:
    """Return an edit of ValueInfoProto that applies `edit` to its Tensor."""
    return lambda info: _edited(info, {_TYPE: lambda kind: _edited(kind, {_TENSOR: edit})})


def _drop_shape(tensor: bytes) -> bytes:
    return _edited(tensor, {_SHAPE: _drop})


def _free_axes(tensor: bytes) -> bytes:
    return _edited(tensor, {_SHAPE: _free_shape})


def _free_shape(shape: bytes) -> bytes:
    dimensions = [body for number, _, body in _fields(shape) if number == _DIMENSION]
    named = [_written(_DIM_PARAM, name) for name in (b"H", b"W")]
    return b"".join(_written(_DIMENSION, body) for body in dimensions[:_INITIAL_AXES] + named)


def _edited(message: bytes, edits: dict[int, Edit]) -> bytes:
    """Return `message` with every length-delimited field of a number in `edits` edited or dropped."""
    parts = []
    for number, raw, body in _fields(message):
        if number not in edits:
            parts.append(raw)
        elif (changed := edits[number](body)) is not None:
            parts.append(_written(number, changed))
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (field number, the field as it stands, its body if length-delimited else b"")."""
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        body_at, at = _end(message, at, key & 7)
        if at > len(message):
            raise ValueError(f"field {key >> 3} at byte {start} runs past the end")
        yield key >> 3, message[start:at], message[body_at:at]


def _end(message: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """Return (start of the body, end of the field) for a field whose key ends at `at`."""
    if wire_type == _VARINT:
        return at, _varint(message, at)[1]
    if wire_type == _BYTES:
        length, at = _varint(message, at)
        return at, at + length
    if wire_type in (_FIXED32, _FIXED64):
        return at, at + (4 if wire_type == _FIXED32 else 8)
    raise ValueError(f"no such wire type: {wire_type}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number is cut short at byte {at}")


def _written(number: int, body: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(body)) + body


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
