"""Decodes JSON of other processes, of the network and of files: every invalid input is one error.

msgspec checks types, and limits nesting by the interpreter's recursion limit. It raises errors of
several classes; whoever forgets one of them ends with the first input that causes it.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")

MAX_INTEGER = 2**53
"""Largest integer of a message: a float, SQLite and every JSON reader hold it exactly."""


def decode_json(decoder: msgspec.json.Decoder[T], data: bytes | memoryview | str) -> T:
    """Return the value in `data`.

    Raises:
        msgspec.DecodeError: it is not JSON, or (ValidationError) not of the decoder's type.
    """
    try:
        return decoder.decode(data)
    except msgspec.DecodeError:
        raise
    except RecursionError:
        raise msgspec.DecodeError("the JSON is nested too deeply") from None
    except (ValueError, OverflowError, NotImplementedError) as error:
        raise msgspec.DecodeError(str(error)) from None
