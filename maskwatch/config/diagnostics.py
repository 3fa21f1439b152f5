"""What is found while a file is read: problems, warnings, and where every value stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from maskwatch.config.yaml_nodes import SourceLocation
from maskwatch.errors import Problem
from maskwatch.secrets import redact

__all__ = ["Diagnostics", "KeyPath", "spelled", "suggestion"]

_SHORTEST_HIDDEN = 4
KeyPath = tuple[str | int, ...]


@dataclass(slots=True)
class Diagnostics:
    """Collects, so that every problem of a file is told at once.

    Attributes:
        file: how the file is named in messages.
        problems: what must be mended before the file can be used.
        warnings: what works, but not as a careful operator would have it.
        locations: where each key's value stands.
        secrets_missing: how many of the problems are secrets that cannot be had.
        literal_secrets: where a secret stands in the file itself.
        variables: values that came from the environment, and how each is called instead: one may be
            a secret that was named in the wrong place.

    """

    file: str
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    locations: dict[KeyPath, SourceLocation] = field(default_factory=dict)
    secrets_missing: int = 0
    literal_secrets: list[KeyPath] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def wrong(
        self, path: KeyPath, message: str, hint: str = "", location: SourceLocation | None = None
    ) -> None:
        """Note a problem at the key `path` (or at `location`)."""
        self.problems.append(self._problem(path, message, hint, location))

    def missing_secret(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Note a secret that cannot be had."""
        self.secrets_missing += 1
        self.wrong(path, message, hint)

    def doubtful(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Note a warning at the key `path`."""
        self.warnings.append(self._problem(path, message, hint, None))

    def hide(self, value: str, name: str) -> None:
        """Have messages say ``${name}`` for `value`, unless it is too short to be told apart."""
        if len(value) >= _SHORTEST_HIDDEN:
            self.variables[value] = f"${{{name}}}"

    def is_wrong(self, path: KeyPath) -> bool:
        """Return whether a problem at this key, or under it, is known already."""
        key = spelled(path)
        return any(p.key == key or p.key.startswith((f"{key}.", f"{key}[")) for p in self.problems)

    def ordered(self) -> list[Problem]:
        """Return the problems in the file's order, each once."""
        return sorted(set(self.problems), key=lambda p: (p.line, p.column, p.key, p.message))

    def _problem(
        self, path: KeyPath, message: str, hint: str, location: SourceLocation | None
    ) -> Problem:
        at = location or self._nearest(path)
        shown = (self._without_variables(redact(text)) for text in (message, hint))
        return Problem(self.file, at.line, at.column, spelled(path), *shown)

    def _without_variables(self, text: str) -> str:
        for value in sorted(self.variables, key=len, reverse=True):
            text = text.replace(value, self.variables[value])
        return text

    def _nearest(self, path: KeyPath) -> SourceLocation:
        """Return the location of the key, or of the section around it that was written."""
        while path and path not in self.locations:
            path = path[:-1]
        return self.locations.get(path, SourceLocation(1, 1))


def spelled(path: KeyPath) -> str:
    """Return ``cameras[0].zones[1].name`` for ("cameras", 0, "zones", 1, "name")."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "did you mean `...`?" for the likeliest of the known words, or ""."""
    words = list(known)
    folded = {w.casefold().replace("-", "_"): w for w in words}
    sought = word.casefold().replace("-", "_")
    near = difflib.get_close_matches(sought, folded, n=1, cutoff=0.6)
    return f"did you mean `{folded[near[0]]}`?" if near else ""
