"""Secrets that cannot be printed by accident, URLs without their password, and a log filter."""

from __future__ import annotations

import logging
import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

__all__ = ["RedactingFilter", "Secret", "SecretUrl", "redact", "register_secret"]

_MASK = "***"
_URL_CREDENTIALS = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@]*(?::[^\s/]*)?@", re.IGNORECASE)
_known: set[str] = set()


class Secret:
    """A string that shows itself only to who calls `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        register_secret(value)

    def reveal(self) -> str:
        """Return the secret; call it only where it is used."""
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)


class SecretUrl(Secret):
    """A URL that may hold credentials: `str` gives it without them."""

    __slots__ = ()

    def __init__(self, value: str) -> None:
        super().__init__(value)
        parts = urlsplit(value)
        if parts.password:
            register_secret(parts.password)
            register_secret(unquote(parts.password))

    @property
    def redacted(self) -> str:
        """The URL without user and password."""
        return _URL_CREDENTIALS.sub(rf"\g<scheme>{_MASK}@", self._value)

    def with_credentials(self, username: str, password: Secret) -> SecretUrl:
        """Return the URL with these credentials in place of its own, percent-encoded."""
        parts = urlsplit(self._value)
        host = parts.netloc.rpartition("@")[2]
        user = f"{quote(username, safe='')}:{quote(password.reveal(), safe='')}@"
        return SecretUrl(urlunsplit(parts._replace(netloc=user + host)))

    def __repr__(self) -> str:
        return f"SecretUrl({self.redacted!r})"

    def __str__(self) -> str:
        return self.redacted


def register_secret(value: str) -> None:
    """Have `redact` remove `value` wherever it stands (if it has 4 characters or more)."""
    if len(value) >= 4:
        _known.add(value)
        _known.add(quote(value, safe=""))


def redact(text: str) -> str:
    """Return `text` without any known secret and without credentials in URLs."""
    for value in sorted(_known, key=len, reverse=True):
        if value in text:
            text = text.replace(value, _MASK)
    return _URL_CREDENTIALS.sub(rf"\g<scheme>{_MASK}@", text)


class RedactingFilter(logging.Filter):
    """Takes secrets out of every record that passes, whoever wrote it (libav's log included)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; always let it pass."""
        record.msg = redact(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True
