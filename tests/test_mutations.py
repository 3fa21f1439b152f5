"""The mutations themselves: `make mutations` takes minutes, and must not rot in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations import MUTATIONS, Mutation, main


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_still_finds_its_place_and_its_test(mutation: Mutation, root: Path) -> None:
    assert (root / mutation.file).read_text().count(mutation.before) == 1
    file, _, name = mutation.test.partition("::")
    assert f"def {name}(" in (root / file).read_text()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_guarantees_names_each_mutation_beside_its_test(mutation: Mutation, root: Path) -> None:
    rows = [
        row for row in (root / "docs/guarantees.md").read_text().splitlines() if mutation.name in row
    ]
    assert any(mutation.test.partition("::")[2] in row for row in rows)


def test_a_mutation_that_there_is_not_is_refused_and_not_taken_for_noticed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["marking before PUBAK"])
    assert caught.value.code == 2
    assert "marking before PUBACK" in capsys.readouterr().err
