"""The words of the project: plain technical English in code, messages and documents."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

# Words that hide what the code does, with what to write instead.
BANNED = {
    "told": "is notified, is reported to, is sent",
    "nobody": "no process, no one, none",
    "anew": "again",
    "lest": "so that ... not",
    "ours": "of this process, of maskwatch",
    "wish": "command, request",
    "wishes": "commands, requests",
    "reckoned": "computed, counted",
    "mended": "fixed, repaired",
    "is not to be had": "is not available",
}
# What is written so elsewhere: the system user, and sentences that are quoted.
ALLOWED = {"nobody": re.compile(r"user nobody|nobody:nogroup|`nobody`|'nobody'|\"nobody\"|User=nobody")}
_BANNED = re.compile(rf"(?<![A-Za-z])({'|'.join(map(re.escape, BANNED))})(?![A-Za-z])", re.IGNORECASE)
_FOLDERS = ("maskwatch", "bench", "tools", "docs", "deploy", "systemd", "models", ".ci")
_FILES = ("README.md", "CONTRIBUTING.md", "config.example.yaml", "Makefile")
_SUFFIXES = ("", ".py", ".md", ".yaml", ".yml", ".json", ".service", ".conf", ".sh", ".toml")
_LONGEST_TEST_NAME = 75
_TEST_IMPORT = re.compile(r"^from tests\.[\w.]*\btest_\w+ import .*", re.MULTILINE)


def tracked(root: Path, *places: str) -> list[Path]:
    """Return the files below `places` that git tracks, or all of them where there is no git."""
    command = ["git", "-C", str(root), "ls-files", "-z", *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [root / name for name in done.stdout.split("\0") if name]
    return [path for place in places for path in (root / place).rglob("*") if path.is_file()]


def banned_in(text: str) -> list[str]:
    """Return each line of `text` that has a banned word, with its number and what to write instead."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for match in _BANNED.finditer(line):
            word = match[1].lower()
            if word not in ALLOWED or not ALLOWED[word].search(line):
                found.append(f"{number}: {match[1]!r}, write {BANNED[word]}: {line.strip()[:90]}")
    return found


def test_no_file_uses_a_word_that_hides_what_the_code_does(root: Path) -> None:
    found = []
    for path in tracked(root, *_FOLDERS, *_FILES):
        if path.suffix in _SUFFIXES and path.is_file():
            found += [f"{path.relative_to(root)}:{line}" for line in banned_in(path.read_text("utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("word", BANNED)
def test_a_banned_word_is_found_wherever_it_stands(word: str) -> None:
    assert banned_in(f"The operator {word} it.")
    assert banned_in(f"def _is_{word.replace(' ', '_')}_again" if " " not in word else word)
    assert not banned_in(f"x{word}y")


def test_the_name_of_a_test_is_a_sentence_of_at_most_75_characters(root: Path) -> None:
    too_long = [
        f"{path.relative_to(root)}: {name} ({len(name)})"
        for path in tracked(root, "tests")
        if path.suffix == ".py"
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
        if len(name) > _LONGEST_TEST_NAME
    ]
    assert not too_long, "\n".join(too_long)


def test_no_test_module_imports_another(root: Path) -> None:
    """What several tests need is in tests/fakes, under the name of what it is."""
    wrong = [
        f"{path.relative_to(root)}: {line}"
        for path in tracked(root, "tests")
        if path.name.startswith("test_")
        for line in _TEST_IMPORT.findall(path.read_text("utf-8"))
    ]
    assert not wrong, "\n".join(wrong)
