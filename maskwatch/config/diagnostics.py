"""Problems and warnings about a configuration file, and the location of every value."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from maskwatch.config.yaml_nodes import SourceLocation
from maskwatch.errors import Problem
from maskwatch.secrets import redact

_MIN_HIDDEN_LENGTH = 4
KeyPath = tuple[str | int, ...]


@dataclass(slots=True)
class Diagnostics:
    """Collects problems and warnings, so that a file's problems are reported together.

    Attributes:
        file: the file's name in messages.
        problems: what makes the file unusable.
        warnings: what works, but is insecure or probably a mistake.
        locations: the location of each key's value.
        secrets_missing: the number of problems that are unavailable secrets.
        literal_secrets: the keys whose secrets are written in the file itself.
        variables: values from the environment, and the reference that messages show instead: a
            value may be a secret that was named in the wrong place.
    """

    file: str
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    locations: dict[KeyPath, SourceLocation] = field(default_factory=dict)
    secrets_missing: int = 0
    literal_secrets: list[KeyPath] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def add_problem(
        self, path: KeyPath, message: str, hint: str = "", location: SourceLocation | None = None
    ) -> None:
        """Add a problem at the key `path` (or at `location`)."""
        self.problems.append(self._problem(path, message, hint, location))

    def add_missing_secret(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Add a problem about a secret that is not available."""
        self.secrets_missing += 1
        self.add_problem(path, message, hint)

    def add_warning(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Add a warning at the key `path`."""
        self.warnings.append(self._problem(path, message, hint, None))

    def hide_value(self, value: str, name: str) -> None:
        """Show ``${name}`` for `value` in messages, unless it is too short to be distinctive."""
        if len(value) >= _MIN_HIDDEN_LENGTH:
            self.variables[value] = f"${{{name}}}"

    def has_problem(self, path: KeyPath) -> bool:
        """Return whether this key, or one under it, already has a problem."""
        key = key_text(path)
        return any(p.key == key or p.key.startswith((f"{key}.", f"{key}[")) for p in self.problems)

    def ordered(self) -> list[Problem]:
        """Return the problems in the file's order, each once."""
        return sorted(set(self.problems), key=lambda p: (p.line, p.column, p.key, p.message))

    def _problem(
        self, path: KeyPath, message: str, hint: str, location: SourceLocation | None
    ) -> Problem:
        at = location or self._nearest_location(path)
        shown = (self._without_variables(redact(text)) for text in (message, hint))
        return Problem(self.file, at.line, at.column, key_text(path), *shown)

    def _without_variables(self, text: str) -> str:
        for value in sorted(self.variables, key=len, reverse=True):
            text = text.replace(value, self.variables[value])
        return text

    def _nearest_location(self, path: KeyPath) -> SourceLocation:
        """Return the location of the key, or of the innermost section around it that was written."""
        while path and path not in self.locations:
            path = path[:-1]
        return self.locations.get(path, SourceLocation(1, 1))


def key_text(path: KeyPath) -> str:
    """Return ``cameras[0].zones[1].name`` for ("cameras", 0, "zones", 1, "name")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "did you mean `...`?" for the most similar of the known words, or ""."""
    words = list(known)
    folded = {w.casefold().replace("-", "_"): w for w in words}
    sought = word.casefold().replace("-", "_")
    similar = difflib.get_close_matches(sought, folded, n=1, cutoff=0.6)
    return f"did you mean `{folded[similar[0]]}`?" if similar else ""
