"""The review vault: a subject's face, encrypted with a public key.

The machine that runs the cameras has the public key only; the private key is kept elsewhere. Each
face is sealed with a key of its own: X25519 (RFC 7748) with an ephemeral key, HKDF-SHA256 (RFC
5869), AES-256-GCM, all from the package `cryptography`. The sealed face is stored inside the
anonymized JPEG, in application segments that viewers skip, and is deleted with it.
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

_CONTEXT = b"maskwatch vault 1"
_KEY_BYTES = 32
_NONCE = bytes(12)  # each sealing has a key of its own
_MARKER = b"\xff\xef"  # APP15
_TAG = b"MASKWATCHVAULT1\0"
_SEGMENT = 60_000  # bytes of a segment's payload; a segment has at most 65,533


def new_key() -> tuple[str, str]:
    """Return (private, public) keys of a new vault, in base64. Raises DependencyError."""
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - an extra

    private = X25519PrivateKey.generate()
    return _encode(private.private_bytes_raw()), _encode(private.public_key().public_bytes_raw())


def public_key(private: str) -> str:
    """Return the public key that belongs to a private one. Raises DataError, DependencyError."""
    return _encode(_private_key(private).public_key().public_bytes_raw())


def seal(public: str, plain: bytes, context: bytes) -> bytes:
    """Return `plain` encrypted for the holder of the private key.

    Args:
        public: the vault's public key, in base64.
        plain: what to encrypt.
        context: the violation's id; authenticated, and required to open the result.

    Raises:
        DataError: `public` is not a key.
        DependencyError: the extra `vault` is not installed.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415 - an extra
        X25519PrivateKey,
        X25519PublicKey,
    )
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

    receiver = _decode(public)
    ephemeral = X25519PrivateKey.generate()
    sender = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(receiver))
    return sender + AESGCM(_derived_key(shared, sender, receiver)).encrypt(_NONCE, plain, context)


def open_sealed(private: str, sealed: bytes, context: bytes) -> bytes:
    """Return what was sealed. Raises DataError for another key or context, or for damaged data."""
    key = _private_key(private)
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

    sender, rest = sealed[:_KEY_BYTES], sealed[_KEY_BYTES:]
    receiver = key.public_key().public_bytes_raw()
    try:
        shared = key.exchange(X25519PublicKey.from_public_bytes(sender))
        return AESGCM(_derived_key(shared, sender, receiver)).decrypt(_NONCE, rest, context)
    except (InvalidTag, ValueError) as error:
        raise DataError(
            "the sealed face cannot be opened: it was sealed for another key or another violation, "
            "or it is damaged"
        ) from error


def embed(jpeg: bytes, sealed: bytes) -> bytes:
    """Return the JPEG with `sealed` in application segments right after its start marker."""
    payloads = (sealed[at : at + _SEGMENT] for at in range(0, len(sealed), _SEGMENT))
    segments = (_TAG + payload for payload in payloads)
    framed = b"".join(_MARKER + (len(body) + 2).to_bytes(2, "big") + body for body in segments)
    return jpeg[:2] + framed + jpeg[2:]


def extract(jpeg: bytes) -> bytes | None:
    """Return what was embedded; None if there is nothing. Raises DataError when it is no JPEG."""
    if jpeg[:2] != b"\xff\xd8":
        raise DataError("not a JPEG picture")
    bodies = (body for marker, body in _segments(jpeg) if marker == _MARKER and body.startswith(_TAG))
    return b"".join(body[len(_TAG) :] for body in bodies) or None


def _segments(jpeg: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (marker, body) of the segments before the image data."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield jpeg[at : at + 2], jpeg[at + 4 : end]
        at = end


def _derived_key(shared: bytes, sender: bytes, receiver: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - an extra

    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=_CONTEXT + sender + receiver).derive(shared)


def _private_key(text: str) -> X25519PrivateKey:
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - an extra

    return X25519PrivateKey.from_private_bytes(_decode(text))


def _encode(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _decode(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise DataError("not a key of the review vault: expected 32 bytes in base64, 44 characters")
    return key


def _require_cryptography() -> None:
    try:
        importlib.import_module("cryptography")
    except ImportError as error:
        raise DependencyError(
            "the review vault needs the package cryptography: install maskwatch[vault]"
        ) from error
