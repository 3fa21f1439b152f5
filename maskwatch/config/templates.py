"""Texts with placeholders such as ``{camera}``: validation and rendering.

`str.format` is not used, since it gives a text access to attributes of objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

WORDS = ("camera", "zone", "what", "time", "reason", "node", "id", "link")

_BRACES = re.compile(r"\{([^{}]*)\}")


def template_fault(text: str) -> str | None:
    """Return what is wrong with a template, None if nothing is."""
    for word in _BRACES.findall(text):
        if word not in WORDS:
            return f"{{{word}}} is not known; use {', '.join(f'{{{each}}}' for each in WORDS)}"
    return None


def fill(text: str, words: Mapping[str, str]) -> str:
    """Return `text` with the placeholders replaced; double spaces around empty ones are removed."""
    filled = _BRACES.sub(lambda match: words.get(match[1], match[0]), text)
    return "\n".join(re.sub(r" {2,}", " ", line).strip() for line in filled.splitlines())
