"""What the sections of the configuration are made from."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from maskwatch.secrets import Secret, SecretUrl

Fraction = Annotated[float, Meta(ge=0, le=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[float, Meta(gt=0)]
# Relative paths start at the directory of the configuration file.
FilePath = Annotated[str, Meta(extra={"path": True})]
# `words` describe a pattern in a message.
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[^/+#\x00-\x1f]+$",
        extra={"words": "a name of 1 to 64 characters without / + #"},
    ),
]


# A factory, since msgspec writes other defaults into the JSON Schema, where a Secret cannot be written.
def no_secret() -> Secret:
    return Secret("")


def no_address() -> SecretUrl:
    return SecretUrl("")


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping in the file."""
