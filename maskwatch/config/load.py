"""Reads a configuration file and reports every problem with its location."""

from __future__ import annotations

import errno
import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec.inspect as mi

from maskwatch.config.diagnostics import Diagnostics
from maskwatch.config.lint import lint
from maskwatch.config.partial import PartialConfig
from maskwatch.config.rules import apply_rules
from maskwatch.config.schema import Config
from maskwatch.config.substitute import SubstitutionContext
from maskwatch.config.validate import Validator
from maskwatch.config.yaml_nodes import SourceLocation, YamlError, parse
from maskwatch.errors import ConfigError, Problem, SecretError, TemporaryError
from maskwatch.files import read_file
from maskwatch.temporary import is_temporary

MAX_BYTES = 1024 * 1024
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class CheckedConfig:
    """The result of checking a file.

    Attributes:
        config: None if there are problems.
        problems: in the order of the file.
        warnings: what works, but is insecure or probably a mistake.
        secrets_only: whether every problem is a secret that is not available.
        partial: the configuration without what is not available, if every problem may pass.
    """

    config: Config | None
    problems: list[Problem]
    warnings: list[Problem]
    secrets_only: bool = False
    partial: PartialConfig | None = None


def load(
    path: Path,
    *,
    environ: Mapping[str, str] | None = None,
    credentials_dir: Path | None = None,
    secrets: bool = True,
) -> Config:
    """Return the configuration in the file `path`.

    `environ` holds the variables for `${NAME}` (default: this process's environment), and
    `credentials_dir` the files for `credential:name` (default: its CREDENTIALS_DIRECTORY). A caller
    that connects to nothing passes `secrets=False`: then no secret is looked up, no named file needs
    to be readable, and references to secrets read as "withheld".

    Raises:
        SecretError: secrets that the file names are not available; nothing else is wrong.
        ConfigError: anything else; it carries every problem, each with line and column.
    """
    checked = check_config(path, environ=environ, credentials_dir=credentials_dir, secrets=secrets)
    if checked.config is None:
        kind = SecretError if checked.secrets_only else ConfigError
        raise kind(checked.problems)
    return checked.config


def check_config(
    path: Path,
    *,
    environ: Mapping[str, str] | None = None,
    credentials_dir: Path | None = None,
    secrets: bool = True,
    text: str | None = None,
) -> CheckedConfig:
    """Return the problems and warnings of the file `path`; raise nothing for its content.

    `text`: what the file contained, if it is not to be read again.
    """
    environ = os.environ if environ is None else environ
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    credentials = credentials_dir or (Path(directory) if directory else None)
    diagnostics = Diagnostics(str(path))
    context = SubstitutionContext(environ, credentials, path.parent.absolute(), secrets=secrets)
    try:
        text = _text(path) if text is None else text
        config = _read(text, diagnostics, context)
    except YamlError as error:
        diagnostics.add_problem((), error.message, error.hint, error.location)
        return CheckedConfig(None, diagnostics.problems(), [])
    problems = diagnostics.problems()
    partial = None
    if diagnostics.only_unavailable:
        partial = PartialConfig(config, text, diagnostics.unavailable)
    if problems:
        return CheckedConfig(None, problems, [], diagnostics.only_secrets_missing, partial)
    lint(config, path, diagnostics)
    return CheckedConfig(config, [], diagnostics.warnings(), partial=partial)


def load_available(path: Path, text: str | None = None) -> PartialConfig:
    """Return the configuration in the file `path` with what is available of it now.

    `text`: what the file contained, if it is not to be read again.

    Raises:
        TemporaryError: the file itself cannot be read now.
        ConfigError: it has a problem that cannot pass; the error carries every problem.
    """
    if text is None:
        try:
            text = _decoded(read_file(path, MAX_BYTES))
        except OSError as error:
            if is_temporary(error):
                raise TemporaryError(f"{path} cannot be read now: {error.strerror}") from error
        except (YamlError, ValueError):
            text = None  # reported with its place
    checked = check_config(path, text=text)
    if checked.partial is None:
        raise (SecretError if checked.secrets_only else ConfigError)(checked.problems)
    return checked.partial


@functools.cache
def _schema() -> mi.Type:
    return mi.type_info(Config)


def _read(text: str, diagnostics: Diagnostics, context: SubstitutionContext) -> Config:
    node = parse(text)
    if node is None:
        raise YamlError(SourceLocation(1, 1), "the file is empty; expected at least `cameras`")
    config = Validator(diagnostics, context).value(node, _schema(), ())
    assert isinstance(config, Config)
    apply_rules(config, diagnostics, files=context.secrets)
    return config


def _text(path: Path) -> str:
    """Return the file's text.

    Raises:
        YamlError: the file cannot be read as text.
    """
    start = SourceLocation(1, 1)
    try:
        return _decoded(read_file(path, MAX_BYTES))
    except OSError as error:
        message = _UNFIT.get(error.errno or 0) or f"cannot be read: {error.strerror}"
        raise YamlError(start, message) from None
    except ValueError:
        raise YamlError(start, "is not the name of a file") from None


_UNFIT = {
    errno.EISDIR: "is a directory; expected a configuration file",
    errno.EFBIG: f"is larger than {MAX_BYTES // 1024} KiB; expected a configuration file",
}


def _decoded(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        raise YamlError(_end_of(before), "is not text in UTF-8") from None
    control = _CONTROL.search(text)
    if control:
        message = f"control character {ord(control[0]):#04x}; expected text"
        raise YamlError(_end_of(text[: control.start()]), message)
    return text


def _end_of(text: str) -> SourceLocation:
    return SourceLocation(text.count("\n") + 1, len(text) - text.rfind("\n"))
