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
# These patterns are applied to long texts: each quantifier is bounded, or begins at one place only.
# A token in a chat service's URL: long, of letters and digits.
_TOKEN = re.compile(r"(?<![\w+~-])(?=[\w+~-]*\d)(?=[\w+~-]*[A-Za-z])[\w+~-]{12,}")
# A password may hold characters that should be encoded, such as / and @: hide too much, not too little.
_URL_CREDENTIALS = re.compile(
    r"""(?P<scheme>\b[a-z][a-z0-9+.-]{0,30}://)[^\s/@:]*+(?::(?:[^\s/]{0,1024}|[^\s"'<>,]{0,1024}))?@""",
    re.IGNORECASE,
)
# Some cameras expect the password in the path or the query.
_PARAMETER = re.compile(
    r"(?P<name>\b(?:[a-z]+[_-])?(?:password|passwd|passwort|pwd|token|secret|apikey|api_key))=(?P<value>[^\s&#'\"]+)",
    re.IGNORECASE,
)


class Replacements:
    """Texts of 4 characters or more, and what takes their place; applied in linear time.

    May be used from several threads.
    """

    def __init__(self) -> None:
        self._replacements: dict[str, str] = {}
        # By the first 4 characters: the lengths of the texts that begin so, longest first.
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def add(self, text: str, replacement: str) -> None:
        """Replace `text` from now on, if it has 4 characters or more."""
        if len(text) < _MIN_LENGTH:
            return
        with self._lock:
            self._replacements[text] = replacement
            beginning = text[:_MIN_LENGTH]
            lengths = {*self._lengths.get(beginning, ()), len(text)}
            self._lengths[beginning] = tuple(sorted(lengths, reverse=True))

    def apply(self, text: str) -> str:
        """Return `text` with the replacements; of those that begin at one place the longest."""
        parts: list[str] = []
        copied = position = 0
        while position <= len(text) - _MIN_LENGTH:
            length = self._length_at(text, position)
            if length:
                replacement = self._replacements[text[position : position + length]]
                parts += [text[copied:position], replacement]
                copied = position + length
            position += length or 1
        return "".join([*parts, text[copied:]])

    def _length_at(self, text: str, position: int) -> int:
        """Return the length of the longest text to replace that begins at `position`, 0 if none."""
        for length in self._lengths.get(text[position : position + _MIN_LENGTH], ()):
            if text[position : position + length] in self._replacements:
                return length
        return 0


_registry = Replacements()  # of every spelling of every secret of this process


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
        for spelling in _spellings(value):
            _registry.add(spelling, _MASK)


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
    return _without_credentials(_registry.apply(text))


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
