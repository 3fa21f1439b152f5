"""How secrets pass between our own processes, and which process is given which of them.

A `Secret` has no JSON of its own, so that no encoder writes one by accident; these hooks, given to
msgspec by name, are the one way. They serve sockets between parent and child, never a file.
"""

from __future__ import annotations

import msgspec

from maskwatch.config.schema import CameraConfig, Config
from maskwatch.secrets import Secret, SecretUrl

__all__ = ["dec_hook", "enc_hook", "for_recorder", "for_worker"]

_NONE = Secret("")


def enc_hook(value: object) -> str:
    """Return the text of a secret, for `msgspec.json.Encoder(enc_hook=...)`.

    Raises:
        NotImplementedError: `value` is nothing that a message may hold; by this exception a hook
            tells msgspec of a type that it does not know, so it is an answer, not a gap.

    """
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"a message cannot hold a {type(value).__name__}")  # msgspec's protocol


def dec_hook(kind: type, value: object) -> object:
    """Return the secret of class `kind` with this text, for `msgspec.json.Decoder(dec_hook=...)`.

    Raises:
        NotImplementedError: `kind` is no secret; the hook's answer to msgspec, as above. A TypeError
            would pass for a wrong message, which a fault of our own must not.
        ValueError: `value` is no text.

    """
    if not issubclass(kind, Secret):
        raise NotImplementedError(f"a message cannot hold a {kind.__name__}")  # msgspec's protocol
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {type(value).__name__}")  # noqa: TRY004 - msgspec turns it into its ValidationError
    return kind(value)


def for_worker(config: Config, camera: str) -> Config:
    """Return what the worker of `camera` may know: that camera, and no other secret.

    Raises:
        KeyError: there is no such camera.

    """
    for candidate in config.cameras:
        if candidate.name == camera:
            mqtt = msgspec.structs.replace(config.mqtt, username="", password=_NONE)
            links = msgspec.structs.replace(config.links, enabled=False, key=_NONE)
            return msgspec.structs.replace(
                config, cameras=(candidate,), mqtt=mqtt, people=(), links=links
            )
    raise KeyError(camera)


def for_recorder(config: Config) -> Config:
    """Return what the recorder may know: everything but how to reach the cameras."""
    return msgspec.structs.replace(config, cameras=tuple(map(_unreachable, config.cameras)))


def _unreachable(camera: CameraConfig) -> CameraConfig:
    return msgspec.structs.replace(
        camera, url=SecretUrl(camera.url.redacted), substream=None, username="", password=_NONE
    )
