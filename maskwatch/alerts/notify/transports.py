"""How a notification is sent: by Apprise to many services, or as a signed request to a webhook.

A transport blocks until the peer has answered, returns the outcome, and retries nothing.
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

_TIMEOUT = 10.0
# The only answers that are about the content of a request. Every other 4xx is about the address, the
# credentials, a limit or the moment, which is the same for all alerts: parking would lose them until an
# operator corrects it.
_ABOUT_THE_CONTENT = frozenset({400, 409, 422})
_TOO_LARGE = 413


class NotificationTransport(Protocol):
    """Sends notifications to one peer."""

    def send(self, notification: Notification) -> tuple[DeliveryStatus, str]:
        """Send a notification; return its status, and details without secrets."""


def make_transport(channel: ChannelConfig) -> NotificationTransport:
    """Return the transport of a channel.

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

    def send(self, notification: Notification) -> tuple[DeliveryStatus, str]:
        """Notify the service; Apprise returns only success or failure, the reason is in its log."""
        with self._apprise.LogCapture(level=logging.WARNING) as captured:
            try:
                done = self._client.notify(
                    body=notification.body,
                    title=notification.title,
                    body_format=self._apprise.NotifyFormat.TEXT,  # else it is taken for HTML
                    attach=str(notification.picture) if notification.picture is not None else None,
                )
            except Exception as error:  # noqa: BLE001 - a plugin of Apprise may raise anything
                return DeliveryStatus.FAILED, f"Apprise failed: {type(error).__name__}"
            output = captured.getvalue() if isinstance(captured, io.StringIO) else ""
        if done:
            return DeliveryStatus.ACCEPTED, ""
        output = output.partition("Traceback")[0]  # of a plugin that failed
        reason = redact(" ".join(output.split())[:300])
        return DeliveryStatus.FAILED, reason or "the service did not accept it"


class WebhookTransport:
    """Posts JSON to a URL, with a signature that the receiver can verify."""

    def __init__(self, url: SecretUrl, key: Secret) -> None:
        self._url = url
        self._key = key
        context = urllib.request.HTTPSHandler(context=ssl.create_default_context())
        self._opener = urllib.request.build_opener(context, _NoRedirects())

    def send(self, notification: Notification) -> tuple[DeliveryStatus, str]:
        body = msgspec.json.encode(
            {
                "version": 1,
                "title": notification.title,
                "text": notification.body,
                "alerts": [msgspec.Raw(alert) for alert in notification.alerts],
                "acknowledge": notification.links,
            }
        )
        request = urllib.request.Request(  # noqa: S310 - the configuration allows http(s) only
            self._url.reveal(), data=body, headers=self._headers(body), method="POST"
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as response:
                return DeliveryStatus.ACCEPTED, f"answered {response.status}"
        except urllib.error.HTTPError as error:
            with error:
                refused = error.code in _ABOUT_THE_CONTENT
                # A part of a digest may be small enough. A limit below one alert is an operator's.
                refused |= error.code == _TOO_LARGE and len(notification.alerts) > 1
                status = DeliveryStatus.REFUSED if refused else DeliveryStatus.FAILED
                return status, f"answered {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: not a host name
            return DeliveryStatus.FAILED, redact(f"cannot be reached: {error}")

    def _headers(self, body: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": "maskwatch",
            "X-Maskwatch-Signature": signature(self._key, int(time.time()), body),
        }


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: they would send the alert to an address that is not configured."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return None: the redirect is reported as an error."""


def signature(key: Secret, at: int, body: bytes) -> str:
    """Return ``t=<Unix time>,v1=<hex HMAC-SHA256 of "<Unix time>." and the body>``."""
    digest = hmac.new(key.reveal().encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={digest.hexdigest()}"
