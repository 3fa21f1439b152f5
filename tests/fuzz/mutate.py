"""Mutations that keep the form of an input: JSON stays JSON, a frame's lengths stay valid.

Randomly flipped bytes rarely pass a JSON decoder, so that the code behind it would not be tested.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

_FRAMED = frozenset({"wire", "recorder", "supervisor"})
_HEADER = struct.Struct(">II")
_EXTREME_VALUES: tuple[object, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**53,
        -(2**63),
        2**64,
        10**30,
        10**400,
        0.5,
        -0.0,
        1e308,
        -1e308,
        5e-324,
    ),
    *("", "\x00", "../../etc/passwd", "/dev/zero", "a\n", "\U0001f637\u202e", "x" * 300, "+/#", "NaN"),
    *("0001-01-01T00:00:00", "9999-12-31T23:59:59.999999+00:00", "2026-11-25T12:00:00-23:59"),
    *("00000000-0000-0000-0000-000000000000", "rtsp://u:p@[::1]:99999/", [], {}, [[]], [1, 2, 3, 4]),
)
Place = tuple[Any, Any]  # a container, and the key or index of a value in it


def mutate(name: str, data: bytes, rng: random.Random) -> bytes | None:
    """Return another input of the same form, None where the form of `data` is not known."""
    head, text, tail = _parts(name, data)
    try:
        whole = [json.loads(text)]
    except (ValueError, RecursionError):
        return None
    try:
        for _ in range(rng.choice((1, 1, 2, 4))):
            rng.choice(_MUTATIONS)(rng, list(_places(whole)))
        made = json.dumps(whole[0] if whole else None).encode()
    except RecursionError:
        return None
    if name in _FRAMED:
        head = _HEADER.pack(len(made), len(tail))
    return head + made + tail


def _parts(name: str, data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the bytes before the JSON, the JSON, and the bytes after it."""
    if name in _FRAMED and len(data) >= _HEADER.size:
        length, _ = _HEADER.unpack_from(data)
        end = _HEADER.size + int(length)
        return data[: _HEADER.size], data[_HEADER.size : end], data[end:]
    if name == "handler":
        topic, line, text = data.partition(b"\n")
        return topic + line, text, b""
    return b"", data, b""


def _places(node: Any) -> Iterator[Place]:
    pending = [node]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                pending.append(holder[key])


def _extreme_value(rng: random.Random) -> Any:
    return _copy(rng.choice(_EXTREME_VALUES))  # a later mutation may change the value


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _set_extreme_value(rng: random.Random, places: list[Place]) -> None:
    holder, key = rng.choice(places)
    holder[key] = _extreme_value(rng)


def _set_other(rng: random.Random, places: list[Place]) -> None:
    (holder, key), (source, name) = rng.choice(places), rng.choice(places)
    holder[key] = _copy(source[name])


def _remove(rng: random.Random, places: list[Place]) -> None:
    holder, key = rng.choice(places)
    if len(holder) > 1:
        del holder[key]


def _add(rng: random.Random, places: list[Place]) -> None:
    holder, key = rng.choice(places)
    if isinstance(holder, dict):
        holder[rng.choice([f"{key}x", "type", "id", ""])] = _extreme_value(rng)
    elif holder is not places[0][0]:  # the outermost list is not part of the input
        holder.append(_copy(holder[key]))


def _nudge(rng: random.Random, places: list[Place]) -> None:
    holder, key = rng.choice(places)
    match holder[key]:
        case bool(value):
            holder[key] = not value
        case int() | float() as value:
            holder[key] = rng.choice([-value, value + 1, value * 2, value * 1_000_000])
        case str(value) if value:
            at = rng.randrange(len(value))
            holder[key] = (
                value[:at] + rng.choice(["", "\x00", "0", "-", "\u00e9", value]) + value[at + 1 :]
            )
        case _:
            holder[key] = _extreme_value(rng)


_MUTATIONS: tuple[Callable[[random.Random, list[Place]], None], ...] = (
    _set_extreme_value,
    _set_other,
    _remove,
    _add,
    _nudge,
)
