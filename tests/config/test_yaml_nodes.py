"""From text to nodes with places, whatever the text."""

from __future__ import annotations

import pytest

from maskwatch.config.yaml_nodes import (
    MAX_DEPTH,
    Listing,
    Mapping,
    Scalar,
    SourceLocation,
    YamlError,
    parse,
)


def _error(text: str) -> YamlError:
    with pytest.raises(YamlError) as caught:
        parse(text)
    return caught.value


def test_every_value_knows_its_line_and_column() -> None:
    tree = parse("a: 1\nb:\n  - x\n  - {c: 2}\n")
    assert isinstance(tree, Mapping)
    key_place, listing = tree.entries["b"]
    assert key_place == SourceLocation(2, 1)
    assert isinstance(listing, Listing)
    inner = listing.items[1]
    assert isinstance(inner, Mapping)
    assert inner.entries["c"][1].place == SourceLocation(4, 9)


@pytest.mark.parametrize("text", ["12:30", "yes", "0o17", "1_000", "2026-12-25", "5"])
def test_a_scalar_stays_what_was_written(text: str) -> None:
    tree = parse(f"a: {text}")
    assert isinstance(tree, Mapping)
    value = tree.entries["a"][1]
    assert isinstance(value, Scalar)
    assert value.text == text
    assert value.plain


@pytest.mark.parametrize("text", ["", "~", "null"])
def test_nothing_written_is_empty_but_quotes_are_a_text(text: str) -> None:
    plain, quoted = parse(f"a: {text}"), parse(f"a: '{text}'")
    assert isinstance(plain, Mapping)
    assert isinstance(quoted, Mapping)
    value, other = plain.entries["a"][1], quoted.entries["a"][1]
    assert isinstance(value, Scalar)
    assert isinstance(other, Scalar)
    assert value.empty
    assert not other.empty


def test_no_document_is_none() -> None:
    assert parse("") is None
    assert parse("# only a comment\n") is None


def test_a_key_given_again_is_noted_with_its_place_and_the_first_one_counts() -> None:
    tree = parse("a: 1\nb: 2\na: 3\n")
    assert isinstance(tree, Mapping)
    assert tree.repeated == [("a", SourceLocation(3, 1))]
    assert tree.entries["a"][1] == Scalar(SourceLocation(1, 4), "1", plain=True)


def test_a_merge_takes_over_keys_that_are_not_given_here_in_either_order() -> None:
    for order in ("<<: *base, b: own", "b: own, <<: *base"):
        tree = parse(f"x: &base {{a: 1, b: 2}}\ny: {{{order}}}\n")
        assert isinstance(tree, Mapping)
        merged = tree.entries["y"][1]
        assert isinstance(merged, Mapping)
        values = {k: v.text for k, (_, v) in merged.entries.items() if isinstance(v, Scalar)}
        assert values == {"a": "1", "b": "own"}
        assert merged.repeated == []


def test_a_merge_of_something_else_than_a_section_is_refused() -> None:
    assert "section" in _error("a: &a [1]\nb: {<<: [*a]}").message


def test_a_billion_laughs_end_in_a_message() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "aliases counted" in _error("\n".join(lines)).message


def test_aliases_cannot_nest_without_end() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, MAX_DEPTH + 5)]
    assert "nested deeper" in _error("\n".join(lines)).message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_hostile_depth_ends_in_a_message_and_not_at_the_end_of_the_stack(opening: str) -> None:
    assert _error(opening * 5000).message


def test_an_alias_that_contains_itself_is_refused() -> None:
    assert "contain itself" in _error("a: &a [*a]").message


@pytest.mark.parametrize(
    ("text", "place", "message"),
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
def test_what_cannot_be_read_is_said_in_our_words_at_its_place(
    text: str, place: SourceLocation, message: str
) -> None:
    error = _error(text)
    # The two parsers that PyYAML has differ by a column or two within quotes.
    assert error.place.line == place.line
    assert abs(error.place.column - place.column) <= 2
    assert error.message == message


def test_a_password_that_yaml_takes_for_an_alias_or_a_tag_is_not_repeated() -> None:
    for text in ("password: *canary-secret", "password: !canary-secret x"):
        error = _error(text)
        assert "canary" not in f"{error.message} {error.hint}"
        assert "quotes" in error.hint
