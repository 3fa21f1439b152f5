"""YAML text as nodes with locations, for valid and for hostile texts."""

from __future__ import annotations

import pytest
import yaml

from maskwatch.config.yaml_nodes import (
    MAX_DEPTH,
    Section,
    SourceLocation,
    YamlError,
    is_null,
    location,
    parse,
)


def _error(text: str) -> YamlError:
    with pytest.raises(YamlError) as caught:
        parse(text)
    return caught.value


def _section(text: str) -> Section:
    root = parse(text)
    assert isinstance(root, Section)
    return root


def test_every_value_has_its_line_and_column() -> None:
    key, items = _section("a: 1\nb:\n  - x\n  - {c: 2}\n").entries["b"]
    assert location(key) == SourceLocation(2, 1)
    inner = items.value[1]
    assert isinstance(inner, Section)
    assert location(inner.entries["c"][1]) == SourceLocation(4, 9)


@pytest.mark.parametrize("text", ["12:30", "yes", "0o17", "1_000", "2026-12-25", "5"])
def test_a_scalar_stays_what_was_written(text: str) -> None:
    value = _section(f"a: {text}").entries["a"][1]
    assert isinstance(value, yaml.ScalarNode)
    assert value.value == text
    assert not value.style


@pytest.mark.parametrize("text", ["", "~", "null"])
def test_an_absent_value_is_null_but_quotes_are_a_text(text: str) -> None:
    assert is_null(_section(f"a: {text}").entries["a"][1])
    assert not is_null(_section(f"a: '{text}'").entries["a"][1])


def test_an_empty_text_has_no_document() -> None:
    assert parse("") is None
    assert parse("# only a comment\n") is None


def test_a_repeated_key_is_noted_and_the_first_one_counts() -> None:
    section = _section("a: 1\nb: 2\na: 3\n")
    assert [(key.value, location(key)) for key in section.repeated] == [("a", SourceLocation(3, 1))]
    assert section.entries["a"][1].value == "1"


def test_a_merge_brings_in_keys_that_are_not_given_in_either_order() -> None:
    for order in ("<<: *base, b: own", "b: own, <<: *base"):
        merged = _section(f"x: &base {{a: 1, b: 2}}\ny: {{{order}}}\n").entries["y"][1]
        assert isinstance(merged, Section)
        values = {key: value.value for key, (_, value) in merged.entries.items()}
        assert values == {"a": "1", "b": "own"}
        assert merged.inherited == {"a"}
        assert merged.repeated == []


def test_an_anchor_may_be_defined_again_and_the_later_one_counts() -> None:
    assert _section("a: &x 1\nb: &x 2\nc: *x\n").entries["c"][1].value == "2"


def test_a_merge_of_something_else_than_a_section_is_rejected() -> None:
    assert "section" in _error("a: &a [1]\nb: {<<: [*a]}").message


def test_a_billion_laughs_end_in_a_message() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "aliases counted" in _error("\n".join(lines)).message


def test_the_depth_of_nested_aliases_is_limited() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, MAX_DEPTH + 5)]
    assert "nested deeper" in _error("\n".join(lines)).message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_hostile_depth_ends_in_a_message_not_in_a_stack_overflow(opening: str) -> None:
    assert _error(opening * 5000).message


def test_an_alias_that_contains_itself_is_rejected() -> None:
    assert "contain itself" in _error("a: &a [*a]").message


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("a:\n\tb: 1", SourceLocation(2, 1), "a tab stands where spaces must"),
        ("a: @b", SourceLocation(1, 4), "a value cannot begin with '@'"),
        ("a: b: c", SourceLocation(1, 5), "`: ` is not expected here"),
        (
            "a: [1, 2",
            SourceLocation(1, 4),
            "the list that begins with '[' here is not closed or lacks a comma",
        ),
        (
            "a: {b: 2",
            SourceLocation(1, 4),
            "the section that begins with '{' here is not closed or lacks a comma",
        ),
        ("a: 'b", SourceLocation(1, 4), "the quotes that begin here are not closed"),
        ('a: "\\q"', SourceLocation(1, 4), "an unknown escape stands in these double quotes"),
        ("a: !tag b", SourceLocation(1, 4), "tags are not taken here"),
        ("a: !!python/object/apply:os.system [x]", SourceLocation(1, 4), "tags are not taken here"),
        ("a: *b", SourceLocation(1, 4), "this alias has no anchor above it"),
        ("a: 1\n---\nb: 2", SourceLocation(2, 1), "a second document begins here; one was expected"),
        ("? [a]\n: b", SourceLocation(1, 3), "a key must be a plain text"),
    ],
)
def test_a_syntax_error_has_its_location_and_a_plain_message(
    text: str, where: SourceLocation, message: str
) -> None:
    error = _error(text)
    # The two parsers that PyYAML has differ by a column or two within quotes.
    assert error.location.line == where.line
    assert abs(error.location.column - where.column) <= 2
    assert error.message == message


def test_a_password_that_yaml_takes_for_an_alias_or_a_tag_is_not_repeated() -> None:
    for text in ("password: *canary-secret", "password: !canary-secret x"):
        error = _error(text)
        assert "canary" not in f"{error.message} {error.hint}"
        assert "quotes" in error.hint
