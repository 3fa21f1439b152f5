"""Links that acknowledge a violation: signed for one violation and channel, and with an expiry.

A link acknowledges that violation and does nothing else. It may be used again: the first
acknowledgement counts. No I/O.
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

# Prefix of the signed text: a signature made for another purpose is never valid here.
_PURPOSE = "maskwatch acknowledge 1"
_LINK = re.compile(
    r"(?:/.*)?/acknowledge/([0-9a-f]{32})/([a-z0-9_-]{1,32})/([0-9]{1,12})/([A-Za-z0-9_-]{43})"
)


class TokenError(StrEnum):
    """Why a link is not valid."""

    FORGED = "forged"  # not signed with this key, altered, or not a link
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class AckToken:
    """What a valid link acknowledges: a violation, in the name of the channel that sent the link."""

    violation: UUID
    channel: str


class AckTokenSigner:
    """Signs and verifies the links of one node."""

    def __init__(self, key: Secret, node: str, address: str, valid_for: float) -> None:
        self._key = key
        self._node = node
        self._address = address.rstrip("/")
        self._valid_for = valid_for

    @classmethod
    def of(cls, config: Config) -> AckTokenSigner | None:
        """Return the signer of a configuration; None if links are off."""
        links = config.links
        if not links.enabled:
            return None
        host = f"[{links.host}]" if ":" in links.host else links.host
        address = links.address or f"http://{host}:{links.port}"
        return cls(links.key, config.node, address, links.valid_for)

    def url(self, violation: UUID, channel: str, now: datetime) -> str:
        expires = int(now.timestamp() + self._valid_for)
        signature = self._signature(violation, channel, expires)
        return f"{self._address}/acknowledge/{violation.hex}/{channel}/{expires}/{signature}"

    def verify(self, path: str, now: datetime) -> AckToken | TokenError:
        """Return what the link with this path acknowledges; any prefix is allowed."""
        match = _LINK.fullmatch(path)
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
