"""Check a client's credentials: Basic (RFC 7617), Digest with MD5 (RFC 2617) and others (RFC 7616)."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
from base64 import b64encode
from collections.abc import Mapping

_FIELD = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))')
_ESCAPE = re.compile(r"\\(.)")


class AuthScheme(enum.Enum):
    """The scheme of HTTP authentication that clients use."""

    BASIC = "basic"
    DIGEST = "digest"
    DIGEST_SHA256 = "digest-sha256"
    DIGEST_SHA512 = "digest-sha512-256"
    DIGEST_SESSION = "digest-session"  # MD5-sess, with the quality `auth-int` only
    DIGEST_BOTH = "digest-both"  # MD5 and SHA-256 are offered, in this order
    DIGEST_OR_BASIC = "digest-or-basic"


_ALGORITHMS = {
    AuthScheme.DIGEST: ("MD5",),
    AuthScheme.DIGEST_SHA256: ("SHA-256",),
    AuthScheme.DIGEST_SHA512: ("SHA-512-256",),
    AuthScheme.DIGEST_SESSION: ("MD5-sess",),
    AuthScheme.DIGEST_BOTH: ("MD5", "SHA-256"),
    AuthScheme.DIGEST_OR_BASIC: ("MD5",),
}
_HASHES = {"MD5": "md5", "MD5-sess": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_WITH_BASIC = (AuthScheme.BASIC, AuthScheme.DIGEST_OR_BASIC)


class Authenticator:
    """Checks the Authorization header of requests; without users every request is allowed."""

    def __init__(self, users: Mapping[str, str], scheme: AuthScheme) -> None:
        self.users = dict(users)
        self.scheme = scheme
        self.realm = "camera"
        self.received: list[str] = []
        """Every Authorization header that clients have sent."""
        self.changes_nonce = False
        """Whether a nonce is refused after its first use, without the word `stale`."""
        self._nonce = secrets.token_hex(16)

    def challenges(self) -> list[str]:
        """Return the values of WWW-Authenticate for a reply of 401."""
        basic = f'Basic realm="{self._quoted_realm}"'
        digests = [self._digest_challenge(name) for name in _ALGORITHMS.get(self.scheme, ())]
        return [*digests, basic] if self.scheme in _WITH_BASIC else digests

    def _digest_challenge(self, algorithm: str) -> str:
        qop = {"MD5": "", "MD5-sess": ', qop="auth-int"'}.get(algorithm, ', qop="auth"')
        named = f'realm="{self._quoted_realm}", nonce="{self._nonce}"'
        return f"Digest {named}, algorithm={algorithm}{qop}"

    @property
    def _quoted_realm(self) -> str:
        return self.realm.replace('"', '\\"')

    def allows(self, method: str, authorization: str) -> bool:
        """Return whether the Authorization header is right for a user and this method."""
        if not self.users:
            return True
        if authorization:
            self.received.append(authorization)
        if authorization.lower().startswith("basic "):
            allowed = self.scheme in _WITH_BASIC
            return allowed and any(_same(authorization, _basic(*user)) for user in self.users.items())
        return self._allows_digest(method, authorization)

    def _allows_digest(self, method: str, authorization: str) -> bool:
        scheme, _, rest = authorization.partition(" ")
        fields = {
            name: _ESCAPE.sub(r"\1", quoted) or plain for name, quoted, plain in _FIELD.findall(rest)
        }
        password = self.users.get(fields.get("username", ""))
        algorithm = fields.get("algorithm", "MD5")
        allowed = algorithm in _ALGORITHMS.get(self.scheme, ())
        if scheme.lower() != "digest" or password is None or not allowed:
            return False
        secret = _hash(algorithm, fields["username"], self.realm, password)
        if algorithm.endswith("-sess"):
            secret = _hash(algorithm, secret, self._nonce, fields.get("cnonce", ""))
        body = (_hash(algorithm, ""),) if fields.get("qop") == "auth-int" else ()
        action = _hash(algorithm, method, fields.get("uri", ""), *body)
        middle = [fields.get(name, "") for name in ("nc", "cnonce", "qop") if "qop" in fields]
        expected = _hash(algorithm, secret, self._nonce, *middle, action)
        is_right = _same(fields.get("response", ""), expected)
        if is_right and self.changes_nonce:
            self._nonce = secrets.token_hex(16)
        return is_right


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _same(actual: str, expected: str) -> bool:
    return hmac.compare_digest(actual.encode(), expected.encode())


def _hash(algorithm: str, *parts: str) -> str:
    name = _HASHES[algorithm]
    return hashlib.new(name, ":".join(parts).encode(), usedforsecurity=False).hexdigest()
