"""The review vault: a subject's face, readable only with a key that the operator holds elsewhere.

Who runs the cameras has the public key only. Each face is sealed with a key of its own: X25519
(RFC 7748) with an ephemeral key, HKDF-SHA256 (RFC 5869), AES-256-GCM, all from the package
`cryptography`. The sealed face travels inside the anonymized JPEG, as application segments that
viewers skip, and so shares its days of life.
"""

from __future__ import annotations

import base64
import binascii
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from maskwatch.errors import DataError, DependencyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

__all__ = ["embed", "extract", "new_key", "open_sealed", "public_of", "seal"]

_NAME = b"maskwatch vault 1"
_KEY_BYTES = 32
_NONCE = bytes(12)  # each sealing has a key of its own
_MARKER = b"\xff\xef"  # APP15
_TAG = b"MASKWATCHVAULT1\0"
_PIECE = 60_000


def new_key() -> tuple[str, str]:
    """Return (private, public) keys of a new vault, in base64. Raises DependencyError."""
    _require()
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - an extra

    private = X25519PrivateKey.generate()
    return _text(private.private_bytes_raw()), _text(private.public_key().public_bytes_raw())


def public_of(private: str) -> str:
    """Return the public key that belongs to a private one. Raises DataError, DependencyError."""
    return _text(_private(private).public_key().public_bytes_raw())


def seal(public: str, plain: bytes, context: bytes) -> bytes:
    """Return `plain` so that only the holder of the private key can read it.

    `context` (which violation it is of) is not hidden, but must be given again to open it.
    Raises DataError when the key is none, DependencyError without the extra `vault`.
    """
    _require()
    from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415 - an extra
        X25519PrivateKey,
        X25519PublicKey,
    )
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

    receiver = _bytes(public)
    once = X25519PrivateKey.generate()
    sender = once.public_key().public_bytes_raw()
    shared = once.exchange(X25519PublicKey.from_public_bytes(receiver))
    return sender + AESGCM(_derived(shared, sender, receiver)).encrypt(_NONCE, plain, context)


def open_sealed(private: str, sealed: bytes, context: bytes) -> bytes:
    """Return what was sealed. Raises DataError for another key, another context or damage."""
    key = _private(private)
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

    sender, rest = sealed[:_KEY_BYTES], sealed[_KEY_BYTES:]
    receiver = key.public_key().public_bytes_raw()
    try:
        shared = key.exchange(X25519PublicKey.from_public_bytes(sender))
        return AESGCM(_derived(shared, sender, receiver)).decrypt(_NONCE, rest, context)
    except (InvalidTag, ValueError) as error:
        raise DataError(
            "the sealed face cannot be opened: it was sealed for another key or another violation, "
            "or it is damaged"
        ) from error


def embed(jpeg: bytes, sealed: bytes) -> bytes:
    """Return the JPEG with `sealed` in application segments right after its beginning."""
    pieces = (sealed[at : at + _PIECE] for at in range(0, len(sealed), _PIECE))
    segments = (_TAG + piece for piece in pieces)
    framed = b"".join(_MARKER + (len(body) + 2).to_bytes(2, "big") + body for body in segments)
    return jpeg[:2] + framed + jpeg[2:]


def extract(jpeg: bytes) -> bytes | None:
    """Return what was embedded, None if there is nothing. Raises DataError for what is no JPEG."""
    if jpeg[:2] != b"\xff\xd8":
        raise DataError("not a JPEG picture")
    pieces = [body[len(_TAG) :] for marker, body in _segments(jpeg) if _ours(marker, body)]
    return b"".join(pieces) or None


def _ours(marker: bytes, body: bytes) -> bool:
    return marker == _MARKER and body.startswith(_TAG)


def _segments(jpeg: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (marker, body) of the segments before the picture's data."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield jpeg[at : at + 2], jpeg[at + 4 : end]
        at = end


def _derived(shared: bytes, sender: bytes, receiver: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - an extra

    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=_NAME + sender + receiver).derive(shared)


def _private(text: str) -> X25519PrivateKey:
    _require()
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - an extra

    return X25519PrivateKey.from_private_bytes(_bytes(text))


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _bytes(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise DataError("not a key of the review vault: expected 32 bytes in base64, 44 characters")
    return key


def _require() -> None:
    try:
        importlib.import_module("cryptography")
    except ImportError as error:
        raise DependencyError(
            "the review vault needs the package cryptography: install maskwatch[vault]"
        ) from error
