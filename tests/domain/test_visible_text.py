"""Which characters are visible, and what takes the place of the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain.visible_text import character_name, hidden_character, visible


@pytest.mark.parametrize(
    "name",
    ["Tür 2", "入口 \u3000東", "вход", "مدخل", "घर", "⚠\ufe0f gate", "a\u00a0b", "\U0001f6aa", "\ue000"],
)
def test_letters_of_all_scripts_spaces_and_emoji_are_visible(name: str) -> None:
    assert hidden_character(name) == ""
    assert visible(name) == name


@pytest.mark.parametrize(
    ("character", "name", "shown"),
    [
        ("\n", "U+000A control character", "a b"),
        ("\x7f", "U+007F control character", "a b"),
        ("\x85", "U+0085 control character", "a b"),
        ("\u2028", "U+2028 LINE SEPARATOR", "a b"),
        ("\u2029", "U+2029 PARAGRAPH SEPARATOR", "a b"),
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE", "ab"),
        ("\u2066", "U+2066 LEFT-TO-RIGHT ISOLATE", "ab"),
        ("\u200b", "U+200B ZERO WIDTH SPACE", "ab"),
        ("\u00ad", "U+00AD SOFT HYPHEN", "ab"),
        ("\u3164", "U+3164 HANGUL FILLER", "ab"),
        ("\ufeff", "U+FEFF ZERO WIDTH NO-BREAK SPACE", "ab"),
        ("\ufffe", "U+FFFE noncharacter", "ab"),
    ],
)
def test_others_are_named_and_replaced(character: str, name: str, shown: str) -> None:
    text = f"a{character}b"
    assert hidden_character(text) == character
    assert hidden_character(text, allowed=character) == ""
    assert character_name(character) == name
    assert visible(text) == shown


@given(st.text())
def test_any_text_becomes_one_line_of_visible_characters(text: str) -> None:
    assert hidden_character(visible(text)) == ""
    assert len(visible(text).splitlines()) <= 1
