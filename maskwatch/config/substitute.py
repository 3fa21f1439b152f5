"""`${ENV}`, `${ENV:-default}`, `file:/path` and `credential:name` in the values of a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from maskwatch.files import KIB, read_file
from maskwatch.temporary import is_temporary

# The value of an address with a secret where secrets are not requested.
WITHHELD = "rtsp://withheld.invalid/"
WITHHELD_SECRET = "withheld"  # noqa: S105 - a placeholder
_MAX_SECRET_BYTES = 64 * KIB
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UTF_16_SHARE = 4  # of Latin letters in UTF-16, every second byte is 0
# `$${` stands for a literal `${`.
_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{")
_USER_PART = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>(?:\$\{[^}]*\}|[^/@])*+)@")


class SubstitutionError(Exception):
    """A reference that cannot be resolved; the message names it and the reason, never the value."""

    def __init__(self, message: str, hint: str = "", *, temporary: bool = False) -> None:
        """`temporary`: whether the same reference may be resolved later."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.temporary = temporary


def variables(text: str) -> list[str]:
    """Return the names of the environment variables that `text` refers to."""
    return [found["name"] for found in _VARIABLE.finditer(text) if found["name"]]


def is_reference(text: str) -> bool:
    """Return whether a value is, or contains, a reference to a file, credential or variable."""
    return text.startswith(("file:", "credential:")) or bool(variables(text))


def _as_is(value: str) -> str:
    return value


@dataclass(frozen=True, slots=True)
class SubstitutionContext:
    """Where references are looked up.

    Attributes:
        environ: the environment variables.
        credentials: systemd's credentials directory, if there is one.
        base: the directory of the configuration file; relative paths start there.
        secrets: whether secrets are looked up; if not, references to them read as "withheld".
    """

    environ: Mapping[str, str]
    credentials: Path | None
    base: Path
    secrets: bool = True

    def substituted(self, text: str, *, secret: bool = False) -> str:
        """Return `text` with its variables replaced.

        Raises:
            SubstitutionError: a variable is not set and has no default, or the default of a secret
                is itself a secret in the file.
        """
        return self._replaced(text, secret=secret, encode=_as_is)

    def address(self, text: str) -> str:
        """Return a URL with its variables replaced, percent-encoded within its credentials.

        Raises:
            SubstitutionError: as `substituted`, or as `read` for a reference.
        """
        if not self.secrets and is_reference(text):
            return WITHHELD
        if text.startswith(("file:", "credential:")):
            return self.read(text)
        user = _USER_PART.match(text)
        if user is None:
            return self.substituted(text, secret=False)
        head = self._replaced(user["user"], secret=True, encode=_percent_encoded)
        return f"{user['scheme']}{head}@{self.substituted(text[user.end() :])}"

    def secret(self, text: str) -> str:
        """Return the secret that `text` is or refers to.

        Raises:
            SubstitutionError: it is not available.
        """
        if not self.secrets and is_reference(text):
            return WITHHELD_SECRET
        if text.startswith(("file:", "credential:")):
            return self.read(text)
        return self.substituted(text, secret=True)

    def read(self, reference: str) -> str:
        """Return the content of a `file:` or `credential:` reference, without its last newline.

        Raises:
            SubstitutionError: there is no such file, or it is not one short line of text.
        """
        kind, _, name = reference.partition(":")
        path = self.path(name) if kind == "file" else self._credential(name)
        return _content(path)

    def path(self, name: str) -> Path:
        """Return a path of the file, relative ones from the file's own directory."""
        return self.base / _home(name)

    def _credential(self, name: str) -> Path:
        if not name or "/" in name or name in (".", ".."):
            raise SubstitutionError("`credential:` takes the name of a credential, without a slash")
        if self.credentials is None:
            hint = f"systemd sets it for LoadCredential={name}; for a check, set it to their directory"
            raise SubstitutionError(
                "CREDENTIALS_DIRECTORY is not set, so there are no credentials", hint
            )
        return self.credentials / name

    def _replaced(self, text: str, *, secret: bool, encode: Callable[[str], str]) -> str:
        def value(found: re.Match[str]) -> str:
            if found[0] == "$${":
                return "${"
            if found["name"] is None:
                raise SubstitutionError(
                    "`${` begins no variable",
                    "write ${NAME} or ${NAME:-default}, or $${ for the text itself",
                )
            return encode(self._variable(found["name"], found["default"], secret=secret))

        return _VARIABLE.sub(value, text)

    def _variable(self, name: str, default: str | None, *, secret: bool) -> str:
        """Return a variable's value; an empty one counts as not set, as `:-` does in a shell."""
        if secret and default:
            raise SubstitutionError(
                f"the default of ${{{name}}} would be a secret in the file", "leave the default out"
            )
        value = _without_invisible_ends(self.environ.get(name, "")) or default
        if value is None:
            raise SubstitutionError(f"the environment variable {name} is not set, or empty")
        return value


def _without_invisible_ends(text: str) -> str:
    """Return `text` without the byte order mark and the line end that editors of Windows add."""
    return text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")


def _percent_encoded(value: str) -> str:
    return quote(value, safe="")


def _home(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def _content(path: Path) -> str:
    try:
        return _text(path, read_file(path, _MAX_SECRET_BYTES))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        message = f"{path} cannot be read: {reason}"
        raise SubstitutionError(message, temporary=is_temporary(error)) from None


def _text(path: Path, raw: bytes) -> str:
    if raw.startswith(_UTF_16) or raw.count(b"\0") * _UTF_16_SHARE > len(raw):
        raise SubstitutionError(f"{path} is in UTF-16; expected UTF-8")
    try:
        text = _without_invisible_ends(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise SubstitutionError(f"{path} is not in UTF-8") from None
    if "\n" in text or "\0" in text:
        what = "more than one line of text" if "\n" in text else "a NUL character"
        raise SubstitutionError(f"{path} holds {what}")
    if not text:
        raise SubstitutionError(f"{path} is empty", temporary=True)
    return text
