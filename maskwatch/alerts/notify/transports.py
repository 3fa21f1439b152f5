"""How a letter travels: by Apprise to a hundred services, or as a signed request to a webhook.

A carrier blocks until the peer has answered, and says how it ended; it tries nothing twice.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import importlib
import io
import logging
import ssl
import time
import urllib.error
import urllib.request
from typing import Any, Protocol

import msgspec

from maskwatch.alerts.notify.messages import Notification
from maskwatch.alerts.sink import DeliveryStatus
from maskwatch.config.schema import ChannelConfig
from maskwatch.errors import ConfigError, DependencyError
from maskwatch.secrets import Secret, SecretUrl, redact

__all__ = [
    "AppriseTransport",
    "NotificationTransport",
    "WebhookTransport",
    "make_transport",
    "signature",
]

_TIMEOUT = 10.0
# Answers of the 4xx kind that say nothing against the alert. Not now: too slow, too early, too many.
# Or the address or its credentials are wrong (a service that is being installed anew answers 404): all
# alerts would be given up, one after the other, for what somebody will put right.
_PASSING = frozenset({401, 403, 404, 407, 408, 425, 429})


class NotificationTransport(Protocol):
    """One way to one peer."""

    def carry(self, letter: Notification) -> tuple[DeliveryStatus, str]:
        """Deliver a letter; return how that ended, and details without secrets."""
        ...


def make_transport(channel: ChannelConfig) -> NotificationTransport:
    """Return the carrier that a channel asks for.

    Raises:
        DependencyError: Apprise is not installed.
        ConfigError: Apprise does not know the URL's scheme.

    """
    if channel.webhook:
        return WebhookTransport(channel.webhook, channel.key)
    return AppriseTransport(channel.name, channel.url)


class AppriseTransport:
    """Sends by Apprise."""

    def __init__(self, name: str, url: Secret) -> None:
        try:
            self._apprise: Any = importlib.import_module("apprise")
        except ImportError as error:
            raise DependencyError(
                f"people: {name} needs Apprise; install it with: pip install 'maskwatch[people]'"
            ) from error
        self._client = self._apprise.Apprise(asset=self._apprise.AppriseAsset(app_id="maskwatch"))
        if not self._client.add(url.reveal()):
            raise ConfigError(f"people: {name}: Apprise does not understand `url`")

    def carry(self, letter: Notification) -> tuple[DeliveryStatus, str]:
        """Notify the service; Apprise tells only success or failure, its log tells why."""
        with self._apprise.LogCapture(level=logging.WARNING) as captured:
            done = self._client.notify(
                body=letter.body,
                title=letter.title,
                attach=str(letter.picture) if letter.picture is not None else None,
            )
            said = captured.getvalue() if isinstance(captured, io.StringIO) else ""
        if done:
            return DeliveryStatus.ACCEPTED, ""
        return DeliveryStatus.FAILED, redact(
            " ".join(said.split())[:300]
        ) or "the service did not take it"


class WebhookTransport:
    """Posts JSON to an address, with a signature that the receiver can check."""

    def __init__(self, url: SecretUrl, key: Secret) -> None:
        self._url = url
        self._key = key
        context = urllib.request.HTTPSHandler(context=ssl.create_default_context())
        self._opener = urllib.request.build_opener(context, _NoRedirects())

    def carry(self, letter: Notification) -> tuple[DeliveryStatus, str]:
        """Post the letter."""
        body = msgspec.json.encode(
            {
                "version": 1,
                "title": letter.title,
                "text": letter.body,
                "alerts": [msgspec.Raw(alert) for alert in letter.alerts],
                "acknowledge": letter.links,
            }
        )
        request = urllib.request.Request(  # noqa: S310 - the configuration allows http(s) only
            self._url.reveal(), data=body, headers=self._headers(body), method="POST"
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as answer:
                return DeliveryStatus.ACCEPTED, f"answered {answer.status}"
        except urllib.error.HTTPError as error:
            with error:
                return _fate(error.code), f"answered {error.code}"
        except (OSError, http.client.HTTPException) as error:
            return DeliveryStatus.FAILED, redact(f"cannot be reached: {error}")

    def _headers(self, body: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": "maskwatch",
            "X-Maskwatch-Signature": signature(self._key, int(time.time()), body),
        }


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would send the alert to an address that nobody configured."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""


def signature(key: Secret, at: int, body: bytes) -> str:
    """Return ``t=<Unix time>,v1=<hex HMAC-SHA256 of "<Unix time>." and the body>``."""
    digest = hmac.new(key.reveal().encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={digest.hexdigest()}"


def _fate(status: int) -> DeliveryStatus:
    return (
        DeliveryStatus.REFUSED
        if 400 <= status < 500 and status not in _PASSING
        else DeliveryStatus.FAILED
    )
