"""Characters that do not belong into names and texts for people: they show nothing, or reorder the rest.

Control, line and paragraph separator, bidirectional and other invisible characters break the headers
of mails and the lines of logs, and make two different names look alike.
"""

from __future__ import annotations

import unicodedata

_SEPARATORS = frozenset({"Cc", "Zl", "Zp"})
_INVISIBLE = frozenset({"Cf", "Cs"})
# Not of these categories, but invisible too (Default_Ignorable_Code_Point). Variation selectors
# are allowed, since emoji contain them.
_IGNORABLE = frozenset(map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0)))


def hidden_character(text: str, allowed: str = "") -> str:
    """Return the first character of `text` that is not visible, "" if all are or are `allowed`."""
    return next((each for each in text if each not in allowed and _is_hidden(each)), "")


def character_name(character: str) -> str:
    """Return a character as ``U+2028 LINE SEPARATOR``."""
    control = unicodedata.category(character) == "Cc"
    name = unicodedata.name(character, "control character" if control else "noncharacter")
    return f"U+{ord(character):04X} {name}"


def visible(text: str) -> str:
    """Return `text` in one line: separators become spaces, other invisible characters are left out."""
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if unicodedata.category(character) in _SEPARATORS:
        return " "
    return "" if _is_hidden(character) else character


def _is_hidden(character: str) -> bool:
    if character.isascii() and character.isprintable():
        return False
    category = unicodedata.category(character)
    return (
        category in _SEPARATORS
        or category in _INVISIBLE
        or character in _IGNORABLE
        or _is_no_character(ord(character))
    )


def _is_no_character(code: int) -> bool:
    """Return whether Unicode reserves `code` for internal use; MQTT brokers refuse it."""
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
