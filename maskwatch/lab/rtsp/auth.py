"""Check a client's credentials: Basic (RFC 7617) and Digest with MD5 (RFC 2617, as cameras do)."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
from base64 import b64encode
from collections.abc import Mapping

_FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^",\s]+))')
_REALM = "camera"


class AuthScheme(enum.Enum):
    """The scheme of HTTP authentication that clients use."""

    BASIC = "basic"
    DIGEST = "digest"


class Authenticator:
    """Checks the Authorization header of requests; without users every request is allowed."""

    def __init__(self, users: Mapping[str, str], scheme: AuthScheme) -> None:
        self.users = dict(users)
        self.scheme = scheme
        self._nonce = secrets.token_hex(16)

    def challenge(self) -> str:
        """Return the value of WWW-Authenticate for a reply of 401."""
        if self.scheme is AuthScheme.BASIC:
            return f'Basic realm="{_REALM}"'
        return f'Digest realm="{_REALM}", nonce="{self._nonce}", algorithm=MD5'

    def allows(self, method: str, authorization: str) -> bool:
        """Return whether the Authorization header is right for a user and this method."""
        if not self.users:
            return True
        if self.scheme is AuthScheme.BASIC:
            return any(_same(authorization, _basic(*user)) for user in self.users.items())
        return self._allows_digest(method, authorization)

    def _allows_digest(self, method: str, authorization: str) -> bool:
        scheme, _, rest = authorization.partition(" ")
        fields = {name: quoted or plain for name, quoted, plain in _FIELD.findall(rest)}
        password = self.users.get(fields.get("username", ""))
        if scheme.lower() != "digest" or password is None:
            return False
        secret = _md5(f"{fields['username']}:{_REALM}:{password}")
        action = _md5(f"{method}:{fields.get('uri', '')}")
        expected = _md5(f"{secret}:{self._nonce}:{action}")
        return _same(fields.get("response", ""), expected)


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _same(actual: str, expected: str) -> bool:
    return hmac.compare_digest(actual.encode(), expected.encode())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
