"""Secrets that cannot be printed by accident, URLs without their password, and a log filter."""

from __future__ import annotations

import base64
import contextlib
import errno
import functools
import json
import logging
import os
import re
import threading
from pathlib import Path
from typing import NoReturn, Self
from urllib.parse import SplitResult, quote, quote_plus, unquote, urlsplit, urlunsplit

_MASK = "***"
_TEXT = re.compile(r'"[^"\n]*"')
_WORD = re.compile(r"[A-Za-z]+")
_MIN_LENGTH = 4  # a shorter secret is not distinguishable from ordinary text
# A token in a chat service's URL: long, of letters and digits.
_TOKEN = re.compile(r"(?=[\w+~-]*\d)(?=[\w+~-]*[A-Za-z])[\w+~-]{12,}")
# A password may hold characters that should be encoded, such as / and @: hide too much, not too little.
_URL_CREDENTIALS = re.compile(
    r"""(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@:]*(?::(?:[^\s/]*|[^\s"'<>,]*))?@""", re.IGNORECASE
)
# Some cameras expect the password in the path or the query.
_PARAMETER = re.compile(
    r"(?P<name>\b(?:[a-z]+[_-])?(?:password|passwd|passwort|pwd|token|secret|apikey|api_key))=(?P<value>[^\s&#'\"]+)",
    re.IGNORECASE,
)


class _SecretRegistry:
    """Every spelling of every secret of this process."""

    def __init__(self) -> None:
        self.spellings: set[str] = set()
        self._lock = threading.Lock()
        self._pattern: re.Pattern[str] | None = None

    def add(self, spellings: set[str]) -> None:
        """Add spellings; the pattern is built on the next use."""
        with self._lock:
            self.spellings |= spellings
            self._pattern = None

    def redact(self, text: str) -> str:
        """Return `text` with stars in place of secrets."""
        with self._lock:
            if self._pattern is None:
                longest_first = sorted(self.spellings, key=len, reverse=True)
                # Without secrets, a pattern that never matches.
                self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
            pattern = self._pattern
        return pattern.sub(_MASK, text)


_registry = _SecretRegistry()


class Secret:
    """A string whose value only `reveal` returns."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        register_secret(value)
        for part in _service_tokens(value):
            register_secret(part)

    def reveal(self) -> str:
        """Return the secret; call this only where it is used."""
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

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


class SecretUrl(Secret):
    """A URL (or a file's path) that may hold credentials; `str` returns it without them."""

    __slots__ = ()

    def __init__(self, value: str) -> None:
        # Only the password is a secret: the address itself must stay readable in logs.
        self._value = value
        for part in _secret_parts(value):
            register_secret(part)

    @property
    def redacted(self) -> str:
        """The URL without user, password and secret parameters."""
        return _without_credentials(self._value)

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
    """Make `redact` remove `value` in every spelling.

    It must have 4 characters or more, and be no word of maskwatch's own messages: stars in place of
    such a word would disclose the secret.
    """
    if len(value) >= _MIN_LENGTH and not is_own_word(value):
        _registry.add(_spellings(value))


def is_own_word(value: str) -> bool:
    """Return whether `value` is a word that maskwatch's or the system's messages may contain."""
    return value.isascii() and value.isalpha() and value.lower() in _own_words()


@functools.cache
def _own_words() -> frozenset[str]:
    """Return the words, in lower case, of the texts in this package and of the system's errors."""
    texts = [os.strerror(code) for code in errno.errorcode]
    with contextlib.suppress(OSError):  # a sandbox may hide the source
        for path in Path(__file__).parent.rglob("*.py"):
            texts += _TEXT.findall(path.read_text("utf-8"))
    return frozenset(word.lower() for text in texts for word in _WORD.findall(text))


def redact(text: str) -> str:
    """Return `text` without registered secrets and without credentials in URLs."""
    return _without_credentials(_registry.redact(text))


class RedactingFilter(logging.Filter):
    """Removes secrets from every record, including those of other libraries."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; return True."""
        record.msg = redact(_message(record))
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def _message(record: logging.LogRecord) -> str:
    """Return the message; wrong arguments must not raise into the caller of the logger."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError) as error:
        return f"{record.msg} [its arguments do not fit: {error}]"


def _without_credentials(text: str) -> str:
    text = _URL_CREDENTIALS.sub(rf"\g<scheme>{_MASK}@", text)
    return _PARAMETER.sub(rf"\g<name>={_MASK}", text)


def _secret_parts(url: str) -> list[str]:
    """Return the secret parts of a URL: password, Authorization header, secret parameters."""
    parts = [found["value"] for found in _PARAMETER.finditer(url)]
    split = _split(url)
    if split is not None and split.password:
        user, password = unquote(split.username or ""), unquote(split.password)
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        parts += [split.password, password, basic]
    return parts


def _service_tokens(value: str) -> list[str]:
    """Return password and tokens in a chat service's URL; its library logs parts of the URL."""
    scheme, _, rest = value.partition("://")
    return [*_secret_parts(value), *_TOKEN.findall(rest)] if rest and scheme.isalpha() else []


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _spellings(value: str) -> set[str]:
    """Return `value` as it may appear: plain, percent-encoded, escaped in JSON or by repr."""
    return {
        value,
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
    }
