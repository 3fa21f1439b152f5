"""Links by which people acknowledge a violation: signed, for one violation and channel, for a time.

Who holds a link can acknowledge that violation and nothing else. A link may be used again: the first
acknowledgement stands. No I/O.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from maskwatch.config.schema import Config
from maskwatch.secrets import Secret

__all__ = ["AckToken", "AckTokenSigner", "TokenError"]

# What is signed begins with this, so that the key signs nothing else by accident.
_PURPOSE = "maskwatch acknowledge 1"
_FORM = re.compile(
    r"(?:/.*)?/acknowledge/([0-9a-f]{32})/([a-z0-9_-]{1,32})/([0-9]{1,12})/([A-Za-z0-9_-]{43})"
)


class TokenError(StrEnum):
    """Why a link is good for nothing."""

    FORGED = "forged"  # not signed by us, or altered, or no link at all
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class AckToken:
    """What a good link is for: a violation, and the channel whose people were sent it."""

    violation: UUID
    channel: str


class AckTokenSigner:
    """Writes and reads the links of one node."""

    def __init__(self, key: Secret, node: str, address: str, valid_for: float) -> None:
        self._key = key
        self._node = node
        self._address = address.rstrip("/")
        self._valid_for = valid_for

    @classmethod
    def of(cls, config: Config) -> AckTokenSigner | None:
        """Return the links that a configuration asks for; None if they are off."""
        links = config.links
        if not links.enabled:
            return None
        host = f"[{links.host}]" if ":" in links.host else links.host
        address = links.address or f"http://{host}:{links.port}"
        return cls(links.key, config.node, address, links.valid_for)

    def url(self, violation: UUID, channel: str, now: datetime) -> str:
        """Return a link for the people of a channel."""
        expires = int(now.timestamp() + self._valid_for)
        signature = self._signature(violation, channel, expires)
        return f"{self._address}/acknowledge/{violation.hex}/{channel}/{expires}/{signature}"

    def read(self, path: str, now: datetime) -> AckToken | TokenError:
        """Return what the link with this path is good for; anything may stand before `/acknowledge`."""
        match = _FORM.fullmatch(path)
        if match is None:
            return TokenError.FORGED
        violation, channel, expires = UUID(match[1]), match[2], int(match[3])
        if not hmac.compare_digest(self._signature(violation, channel, expires), match[4]):
            return TokenError.FORGED
        return TokenError.EXPIRED if now.timestamp() > expires else AckToken(violation, channel)

    def _signature(self, violation: UUID, channel: str, expires: int) -> str:
        signed = "\n".join((_PURPOSE, self._node, violation.hex, channel, str(expires)))
        digest = hmac.new(self._key.reveal().encode(), signed.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
