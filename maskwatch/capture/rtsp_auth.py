"""Log in to a camera: Digest with MD5 and SHA-256 (RFC 2617, RFC 7616), and Basic (RFC 7617).

FFmpeg knows neither SHA-256 nor how to refuse Basic, and cuts long credentials.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from maskwatch.secrets import Secret, SecretUrl

_SCHEME = re.compile(r"(?:^|,)\s*(basic|digest)\s+", re.IGNORECASE)
_FIELD = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_HASHES = {"MD5": "md5", "MD5-SESS": "md5", "SHA-256": "sha256", "SHA-256-SESS": "sha256"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password."""

    user: str
    password: Secret

    @classmethod
    def of(cls, url: SecretUrl) -> Credentials | None:
        """Return the credentials in an address; None without any."""
        parts = urlsplit(url.reveal())
        if parts.username is None:
            return None
        return cls(unquote(parts.username), Secret(unquote(parts.password or "")))


@dataclass(frozen=True, slots=True)
class Challenge:
    """A method of authentication that a camera offers: `basic` or `digest`, and its parameters."""

    scheme: str
    fields: Mapping[str, str]

    @property
    def name(self) -> str:
        """The method, and the algorithm of Digest, as an operator knows them."""
        return "Basic" if self.scheme == "basic" else f"Digest {self.algorithm}"

    @property
    def algorithm(self) -> str:
        return self.fields.get("algorithm", "MD5")

    @property
    def is_supported(self) -> bool:
        return self.scheme == "basic" or self.algorithm.upper() in _HASHES


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return what the values of WWW-Authenticate offer, in the camera's order."""
    found = []
    for header in headers:
        starts = list(_SCHEME.finditer(header))
        ends = [*(start.start() for start in starts[1:]), len(header)]
        for start, end in zip(starts, ends, strict=False):  # a header without a scheme has no start
            fields = _FIELD.findall(header[start.end() : end])
            named = {name.lower(): quoted or plain for name, quoted, plain in fields}
            found.append(Challenge(start[1].lower(), named))
    return found


def choose(offered: Iterable[Challenge], *, basic: bool) -> Challenge | None:
    """Return the first Digest that is supported, else Basic if it is allowed, else None."""
    usable = [challenge for challenge in offered if challenge.is_supported]
    digest = [challenge for challenge in usable if challenge.scheme == "digest"]
    return next(iter(digest or (usable if basic else ())), None)


class Login:
    """Writes the Authorization header of each request for one challenge."""

    def __init__(self, challenge: Challenge, credentials: Credentials) -> None:
        self._challenge = challenge
        self._credentials = credentials
        self._count = 0

    def header(self, method: str, uri: str) -> str:
        """Return the value of Authorization for a request. It is a secret."""
        if self._challenge.scheme == "basic":
            pair = f"{self._credentials.user}:{self._credentials.password.reveal()}"
            return f"Basic {b64encode(pair.encode()).decode()}"
        self._count += 1
        answer = self._digest(method, uri, secrets.token_hex(8), f"{self._count:08x}")
        return "Digest " + ", ".join(answer)

    def _digest(self, method: str, uri: str, cnonce: str, count: str) -> list[str]:
        fields = self._challenge.fields
        realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
        secret = self._hash(self._credentials.user, realm, self._credentials.password.reveal())
        if self._challenge.algorithm.upper().endswith("-SESS"):
            secret = self._hash(secret, nonce, cnonce)
        action = self._hash(method, uri)
        has_qop = "auth" in re.split(r"[\s,]+", fields.get("qop", ""))
        middle = (nonce, count, cnonce, "auth") if has_qop else (nonce,)
        named = {"username": _quotable(self._credentials.user), "realm": realm, "nonce": nonce}
        named |= {"uri": uri, "response": self._hash(secret, *middle, action)}
        named |= {"opaque": fields["opaque"]} if "opaque" in fields else {}
        answer = [f'{name}="{value}"' for name, value in named.items()]
        if "algorithm" in fields:
            answer.append(f"algorithm={self._challenge.algorithm}")
        if has_qop or self._challenge.algorithm.upper().endswith("-SESS"):
            answer.append(f'cnonce="{cnonce}"')
        return [*answer, "qop=auth", f"nc={count}"] if has_qop else answer

    def _hash(self, *parts: str) -> str:
        name = _HASHES[self._challenge.algorithm.upper()]
        return hashlib.new(name, ":".join(parts).encode(), usedforsecurity=False).hexdigest()


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
