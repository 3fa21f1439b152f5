"""Log in to a camera: Digest with MD5, SHA-256 or SHA-512/256 (RFC 2617, RFC 7616); Basic (RFC 7617).

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

# A quoted text is skipped, so that what it holds is not taken for a scheme or a field.
_TOKEN = re.compile(
    r'(?:(?P<field>[\w-]+)\s*=\s*)?"(?P<quoted>(?:[^"\\]|\\.)*)"'
    r"|(?P<name>[\w-]+)\s*=\s*(?P<plain>[^\s,\"]+)"
    r"|(?P<scheme>(?:basic|digest)\b|[\w-]+(?=\s+[\w-]+\s*=))",
    re.IGNORECASE,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SCHEMES = ("basic", "digest")
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_SESSION = "-SESS"


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
        return self.scheme == "basic" or self.hash_name is not None

    @property
    def is_session(self) -> bool:
        """Whether the password's hash is computed once, from the first numbers of the session."""
        return self.algorithm.upper().endswith(_SESSION)

    @property
    def hash_name(self) -> str | None:
        """The name of the hash in `hashlib`; None if it is unknown."""
        return _HASHES.get(self.algorithm.upper().removesuffix(_SESSION))


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return what the values of WWW-Authenticate offer, in the camera's order."""
    found: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        fields: dict[str, str] = {}
        for token in _TOKEN.finditer(header):
            if token["scheme"]:
                fields = {}
                found.append((token["scheme"].lower(), fields))
            elif token["field"]:
                fields[token["field"].lower()] = _ESCAPE.sub(r"\1", token["quoted"])
            elif token["name"]:
                fields[token["name"].lower()] = token["plain"]
    return [Challenge(scheme, fields) for scheme, fields in found if scheme in _SCHEMES]


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
        self._cnonce = secrets.token_hex(8)  # kept: a session's hash is computed with the first one
        self._count = 0

    def header(self, method: str, uri: str) -> str:
        """Return the value of Authorization for a request. It is a secret."""
        if self._challenge.scheme == "basic":
            pair = f"{self._credentials.user}:{self._credentials.password.reveal()}"
            return f"Basic {b64encode(_bytes(pair)).decode()}"
        self._count += 1
        return "Digest " + ", ".join(self._digest(method, uri, f"{self._count:08x}"))

    @property
    def nonce(self) -> str:
        """The number of the challenge that this login answers."""
        return self._challenge.fields.get("nonce", "")

    def _digest(self, method: str, uri: str, count: str) -> list[str]:
        challenge, fields, cnonce = self._challenge, self._challenge.fields, self._cnonce
        realm = fields.get("realm", "")
        secret = self._hash(self._credentials.user, realm, self._credentials.password.reveal())
        if challenge.is_session:
            secret = self._hash(secret, self.nonce, cnonce)
        qop = _quality(fields.get("qop", ""))
        body = (self._hash(""),) if qop == "auth-int" else ()  # of an empty body
        middle = (self.nonce, count, cnonce, qop) if qop else (self.nonce,)
        named = {"username": self._credentials.user, "realm": realm, "nonce": self.nonce}
        named |= {"uri": uri, "response": self._hash(secret, *middle, self._hash(method, uri, *body))}
        named |= {"opaque": fields["opaque"]} if "opaque" in fields else {}
        answer = [f'{name}="{_quotable(value)}"' for name, value in named.items()]
        if "algorithm" in fields:
            answer.append(f"algorithm={challenge.algorithm}")
        if qop or challenge.is_session:
            answer.append(f'cnonce="{cnonce}"')
        return [*answer, f"qop={qop}", f"nc={count}"] if qop else answer

    def _hash(self, *parts: str) -> str:
        name = self._challenge.hash_name
        assert name is not None  # `choose` returns no other challenge
        return hashlib.new(name, _bytes(":".join(parts)), usedforsecurity=False).hexdigest()


def _quality(offered: str) -> str:
    """Return the quality of protection to use; "" if none is offered (RFC 2069)."""
    names = re.split(r"[\s,]+", offered.lower())
    return next((name for name in ("auth", "auth-int") if name in names), "")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # a realm in another character set arrives so


def _quotable(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
