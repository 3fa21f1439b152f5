"""Problems and warnings about a configuration file, and the location of every value."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from maskwatch.config.yaml_nodes import SourceLocation
from maskwatch.errors import Problem
from maskwatch.secrets import Replacements, redact

# Of words, for all hints of one file: each takes some 0.1 ms.
_MAX_COMPARISONS = 20_000
KeyPath = tuple[str | int, ...]


@dataclass(slots=True)
class Diagnostics:
    """Collects problems and warnings, so that a file's problems are reported together.

    Attributes:
        file: the file's name in messages.
        locations: the location of each key's value.
        secrets_missing: the number of problems that are unavailable secrets.
        literal_secrets: the keys whose secrets are written in the file itself.
        unavailable: by key, why a file that it names is not available now, and may be later.
    """

    file: str
    locations: dict[KeyPath, SourceLocation] = field(default_factory=dict)
    secrets_missing: int = 0
    literal_secrets: list[KeyPath] = field(default_factory=list)
    unavailable: dict[KeyPath, str] = field(default_factory=dict)
    # Texts are stored as they are, and lose secrets and variables when they are shown.
    _problems: list[Problem] = field(default_factory=list)
    _warnings: list[Problem] = field(default_factory=list)
    _faulty: set[KeyPath] = field(default_factory=set)
    # Values from the environment, and the reference that messages show instead: a value may be a
    # secret that was named in the wrong place.
    _variables: Replacements = field(default_factory=Replacements)
    _comparisons_left: int = _MAX_COMPARISONS

    def add_problem(
        self, path: KeyPath, message: str, hint: str = "", location: SourceLocation | None = None
    ) -> None:
        """Add a problem at the key `path` (or at `location`)."""
        self._problems.append(self._problem(path, message, hint, location))
        self._faulty.update(path[:length] for length in range(1, len(path) + 1))

    def add_missing_secret(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Add a problem about a secret that is not available."""
        self.secrets_missing += 1
        self.add_problem(path, message, hint)

    def add_unavailable(self, path: KeyPath, message: str) -> None:
        """Note that the problem at `path` may pass: the file that it names is not available now."""
        self.unavailable[path] = message

    def add_warning(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Add a warning at the key `path`."""
        self._warnings.append(self._problem(path, message, hint, None))

    def hide_value(self, value: str, name: str) -> None:
        """Show ``${name}`` for `value` in messages, unless it is too short to be distinctive."""
        self._variables.add(value, f"${{{name}}}")

    def has_problem(self, path: KeyPath) -> bool:
        """Return whether this key, or one under it, already has a problem."""
        return path in self._faulty

    def suggestion(self, word: str, known: Collection[str]) -> str:
        """Return a hint as `suggestion` does; "" once a file has cost many comparisons."""
        self._comparisons_left -= len(known)
        return suggestion(word, known) if self._comparisons_left >= 0 else ""

    @property
    def only_secrets_missing(self) -> bool:
        """Whether every problem is a secret that is not available."""
        return self.secrets_missing == len(self._problems)

    @property
    def only_unavailable(self) -> bool:
        """Whether every problem may pass."""
        return len(self.unavailable) == len(self._problems)

    def problems(self) -> list[Problem]:
        """Return what makes the file unusable, in the file's order, each once."""
        shown = set(map(self._shown, self._problems))
        return sorted(shown, key=lambda p: (p.line, p.column, p.key, p.message))

    def warnings(self) -> list[Problem]:
        """Return what works, but is insecure or probably a mistake."""
        return list(map(self._shown, self._warnings))

    def _problem(
        self, path: KeyPath, message: str, hint: str, location: SourceLocation | None
    ) -> Problem:
        at = location or self._nearest_location(path)
        return Problem(self.file, at.line, at.column, key_text(path), message, hint)

    def _shown(self, problem: Problem) -> Problem:
        message, hint = (self._variables.apply(redact(t)) for t in (problem.message, problem.hint))
        return replace(problem, message=message, hint=hint)

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
