"""TLS contexts for the broker and for cameras: `check` tries those that the processes use."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from maskwatch.config.schema import MqttConfig
from maskwatch.files import open_regular

_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_HEAD_BYTES = 1024 * 1024
# A DER file begins with the tag of a sequence; PKCS#12 with its version, 3, in it.
_DER = b"\x30"
_PKCS12 = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x80)\x02\x01\x03", re.DOTALL)
# OpenSSL's reasons for a key that belongs to another certificate, also of another kind.
_MISFITS = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})


class TlsFileError(Exception):
    """A file that cannot be used for TLS.

    Attributes:
        key: of the section `mqtt` or of a camera.
        message: what is wrong.
        hint: what to do.
    """

    def __init__(self, key: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.key, self.message, self.hint = key, message, hint


def client_context(mqtt: MqttConfig) -> ssl.SSLContext:
    """Return the context for the broker; nothing asks for a passphrase on the terminal.

    Raises:
        TlsFileError: a file cannot be used.
    """
    context = trusting(mqtt.ca_file)
    if mqtt.client_cert:
        try:
            _require_regular(mqtt.client_cert, mqtt.client_key)
            context.load_cert_chain(
                mqtt.client_cert, mqtt.client_key or None, mqtt.client_key_password.reveal
            )
        except (OSError, ssl.SSLError) as error:
            raise _client_fault(mqtt, error) from error
    return context


def trusting(ca_file: str) -> ssl.SSLContext:
    """Return a client's context that trusts the authorities in a file; without one, the system's.

    Raises:
        TlsFileError: the file cannot be used.
    """
    try:
        _require_regular(ca_file)
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise _fault("ca_file", ca_file, "CERTIFICATE", error) from error


def _require_regular(*names: str) -> None:
    """Raise OSError for what OpenSSL would read without end, or wait for: a device, a named pipe."""
    for name in filter(None, names):
        open_regular(Path(name)).close()


def _client_fault(mqtt: MqttConfig, error: OSError) -> TlsFileError:
    """Return which of the two files is at fault."""
    if "CERTIFICATE" not in _labels(mqtt.client_cert):
        return _fault("client_cert", mqtt.client_cert, "CERTIFICATE", error)
    labels = _labels(mqtt.client_key)
    if not any(label.endswith("PRIVATE KEY") for label in labels):
        return _fault("client_key", mqtt.client_key, "PRIVATE KEY", error)
    if _is_encrypted(mqtt.client_key) and not mqtt.client_key_password:
        return TlsFileError("client_key", f"{mqtt.client_key} is encrypted", "set `client_key_password`")
    if isinstance(error, ssl.SSLError) and error.reason in _MISFITS:
        return TlsFileError("client_key", f"{mqtt.client_key} does not fit {mqtt.client_cert}")
    if _is_encrypted(mqtt.client_key):
        return TlsFileError("client_key_password", f"does not decrypt {mqtt.client_key}")
    return _fault("client_key", mqtt.client_key, "", error)


def _fault(key: str, name: str, expected: str, error: OSError) -> TlsFileError:
    """Return what is wrong with a file that should hold a PEM block `expected`."""
    labels = _labels(name)
    if expected and labels and expected not in labels:
        found = " and ".join(sorted(set(labels)))
        return TlsFileError(key, f"{name} holds a {found}; expected a {expected}")
    form, command = _other_form(name, expected)
    if form:
        return TlsFileError(key, f"{name} is in {form} form; expected PEM", command)
    head = _head(name)
    if expected and not labels and head:
        return TlsFileError(key, f"{name} holds no {expected} in PEM form")
    return TlsFileError(
        key, f"{name or 'the list of trusted authorities'} cannot be used: {_reason(error, head)}"
    )


def _other_form(name: str, expected: str) -> tuple[str, str]:
    """Return the form of a file if it is known and not PEM, and the command that converts it."""
    head, labels = _head(name), _labels(name)
    certificate = expected == "CERTIFICATE"
    if "OPENSSH PRIVATE KEY" in labels:
        return "OpenSSH's", f"ssh-keygen -p -m PEM -f {name}"
    if labels:
        return "", ""
    if _PKCS12.match(head):
        only = "-nokeys" if certificate else "-nocerts"
        return "PKCS#12", f"openssl pkcs12 -in {name} {only} -out {name}.pem"
    if head[:1] == _DER:
        kind = "x509" if certificate else "pkey"
        return "DER", f"openssl {kind} -inform der -in {name} -out {name}.pem"
    return "", ""


def _reason(error: OSError, head: bytes) -> str:
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    if error.reason:
        return error.reason.lower().replace("_", " ")
    return "its PEM form is damaged" if head else "it is empty"


def _labels(name: str) -> list[str]:
    return [label.decode() for label in _LABEL.findall(_head(name))]


def _is_encrypted(name: str) -> bool:
    head = _head(name)
    return b"BEGIN ENCRYPTED PRIVATE KEY" in head or b"Proc-Type: 4,ENCRYPTED" in head


def _head(name: str) -> bytes:
    try:
        with open_regular(Path(name)) as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""
