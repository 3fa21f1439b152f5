"""README and docs: links, commands, file and test names exist; the text is plain."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from maskwatch.cli.app import cli
from maskwatch.cli.evaluate_events import events as evaluate_events
from maskwatch.cli.evaluate_real import real as evaluate_real

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_MAX_README_LINES = 120
_MAX_WORDS = 30
_ALWAYS = {"--help", "--version", "--events"}

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^(?:\$ )?(?:\S*/bin/)?maskwatch ((?:-|[a-z]).*)")
_PATH = re.compile(r"\b[\w/.-]+\.py\b")
_TEST_NAME = re.compile(r"`(test_\w+)`")

_BANNED = re.compile(
    r"\b(?:told|nobody|anew|lest|ours|wish|reckoned|mended|is not to be had)\b", re.IGNORECASE
)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def _anchors(page: Path) -> set[str]:
    prose = _FENCE.sub("", page.read_text("utf-8"))
    return {_slug(line.lstrip("#")) for line in prose.splitlines() if line.startswith("#")}


def _commands(text: str) -> Iterator[str]:
    """Yield what follows `maskwatch` in code spans, and in the lines of fenced blocks."""
    blocks = "\n".join(_FENCE.findall(text)).replace("\\\n", " ")
    spans = _CODE_SPAN.findall(_FENCE.sub("", text.replace("\n", " \n")))
    for line in (*blocks.splitlines(), *spans):
        if match := _COMMAND.match(line.strip()):
            yield re.split(r"\s#|[|>]", match[1])[0]


def _resolve(words: list[str]) -> click.Command:
    """Return the command that `words` name; raise LookupError for an unknown verb."""
    if words[:3] == ["evaluate", "--events", "--real"]:
        return evaluate_real
    if words[:2] == ["evaluate", "--events"]:
        return evaluate_events
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        found = command.get_command(click.Context(command), word)
        if found is None:
            raise LookupError(word)
        command = found
    return command


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences of paragraphs, list items and table cells."""
    text = _FENCE.sub("\n\n", text)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).replace("<br>", ". ")
    text = re.sub(r"^(#|\|[-|: ]+\|$).*", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ *(?:[-*]|\d+\.) ", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(
        r"^\|(.*)\|$", lambda row: "\n\n" + row[1].replace(" | ", "\n\n"), text, flags=re.MULTILINE
    )
    text = _CODE_SPAN.sub("code", _LINK.sub("link", text))
    for paragraph in re.split(r"\n\s*\n", text):
        yield from re.split(r"(?<=[.!?:;])\**\s", " ".join(paragraph.split()))


def test_readme_fits_in_120_lines() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= _MAX_README_LINES


@every_page
def test_relative_links_and_anchors_resolve(page: Path) -> None:
    broken = []
    for target in _LINK.findall(page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


@every_page
def test_commands_name_existing_verbs_and_options(page: Path) -> None:
    unknown = []
    for line in _commands(page.read_text("utf-8")):
        words = shlex.split(line, posix=False)
        try:
            command = _resolve(words)
        except LookupError:
            unknown.append(line)
            continue
        known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        unknown += [f"{line}: {option}" for option in used - known - _ALWAYS]
    assert unknown == []


@every_page
def test_named_python_files_exist(page: Path) -> None:
    text = re.sub(r"https?://\S+", "", page.read_text("utf-8"))
    files = {str(path.relative_to(ROOT)) for top in ("maskwatch", "tests", "bench", "tools", "deploy")
             for path in (ROOT / top).rglob("*.py")}  # fmt: skip
    named = {name.lstrip("./") for name in _PATH.findall(text)}
    assert sorted(n for n in named if not any(f == n or f.endswith(f"/{n}") for f in files)) == []


@every_page
def test_named_tests_exist(page: Path) -> None:
    named = set(_TEST_NAME.findall(page.read_text("utf-8")))
    source = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py")) if named else ""
    assert sorted(name for name in named if f"def {name}(" not in source) == []


@every_page
def test_sentences_have_at_most_30_words(page: Path) -> None:
    long = [s for s in _sentences(page.read_text("utf-8")) if len(s.split()) > _MAX_WORDS]
    assert long == []


@every_page
def test_pages_use_no_banned_words(page: Path) -> None:
    text = _CODE_SPAN.sub("", page.read_text("utf-8"))
    assert _BANNED.findall(text) == []
