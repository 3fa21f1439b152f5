"""Secrets on the wire between maskwatch's processes, and which process receives which of them.

msgspec cannot encode a `Secret`, so that no encoder writes one by accident. These hooks are the only
way; they serve sockets between parent and child, never a file.
"""

from __future__ import annotations

import msgspec

from maskwatch.config.schema import CameraConfig, Config
from maskwatch.secrets import Secret, SecretUrl

_NONE = Secret("")


def enc_hook(value: object) -> str:
    """Return the text of a secret, for `msgspec.json.Encoder(enc_hook=...)`.

    Raises:
        TypeError: a message cannot hold `value`.
    """
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"a message cannot hold a {type(value).__name__}")


def dec_hook(kind: type, value: object) -> object:
    """Return the secret of class `kind` with this text, for `msgspec.json.Decoder(dec_hook=...)`.

    Raises:
        NotImplementedError: `kind` is not a secret: msgspec's protocol for a class without a hook. It
            would report a TypeError as a wrong message, which hides a programming error.
        ValueError: `value` is not a text.
    """
    if not issubclass(kind, Secret):
        raise NotImplementedError(f"a message cannot hold a {kind.__name__}")  # msgspec's protocol
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {type(value).__name__}")  # noqa: TRY004 - msgspec turns it into its ValidationError
    return kind(value)


def for_worker(config: Config, camera: str) -> Config:
    """Return the configuration for the worker of `camera`: that camera, and no other secret.

    Raises:
        KeyError: there is no such camera.
    """
    for candidate in config.cameras:
        if candidate.name == camera:
            mqtt = msgspec.structs.replace(
                config.mqtt, username="", password=_NONE, client_key_password=_NONE
            )
            links = msgspec.structs.replace(config.links, enabled=False, key=_NONE)
            return msgspec.structs.replace(
                config, cameras=(candidate,), mqtt=mqtt, people=(), links=links
            )
    raise KeyError(camera)


def for_recorder(config: Config) -> Config:
    """Return the configuration for the recorder: everything except cameras' addresses and passwords."""
    return msgspec.structs.replace(config, cameras=tuple(map(_without_access, config.cameras)))


def _without_access(camera: CameraConfig) -> CameraConfig:
    return msgspec.structs.replace(
        camera, url=SecretUrl(camera.url.redacted), substream=None, username="", password=_NONE
    )
