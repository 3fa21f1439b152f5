"""Texts with words in braces, such as ``{camera}``: what they may hold, and how they are filled.

Not `str.format`: that would let a text reach into objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["WORDS", "fill", "template_fault"]

WORDS = ("camera", "zone", "what", "time", "reason", "node", "id", "link")

_BRACES = re.compile(r"\{([^{}]*)\}")


def template_fault(text: str) -> str | None:
    """Return what is wrong with a template, None if nothing is."""
    for word in _BRACES.findall(text):
        if word not in WORDS:
            return f"{{{word}}} is not known; use {', '.join(f'{{{each}}}' for each in WORDS)}"
    return None


def fill(text: str, words: Mapping[str, str]) -> str:
    """Return `text` with the words put in; spaces that an empty word leaves behind are closed."""
    filled = _BRACES.sub(lambda match: words.get(match[1], match[0]), text)
    return "\n".join(re.sub(r" {2,}", " ", line).strip() for line in filled.splitlines())
