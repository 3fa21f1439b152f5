"""The dashboards are what their generator writes, and complete."""

from __future__ import annotations

import runpy
from collections import Counter

import pytest

from tests.deploy.queries import DASHBOARDS, DEPLOY, dashboards


def test_the_files_are_what_the_generator_writes() -> None:
    """`python deploy/grafana/build.py` writes them."""
    written = runpy.run_path(str(DEPLOY / "grafana/build.py"))["files"]()
    assert {path.name for path in written} == {path.name for path in DASHBOARDS}
    assert [path.name for path, text in written.items() if path.read_text("utf-8") != text] == []


@pytest.mark.parametrize("name", dashboards())
def test_panels_have_titles_of_their_own_a_description_and_no_overlap(name: str) -> None:
    board = dashboards()[name]
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert [title for title, count in Counter(p["title"] for p in panels).items() if count > 1] == []
    assert all(panel["description"].endswith(".") for panel in panels)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        columns = range(at["x"], at["x"] + at["w"])
        cells = {(x, y) for x in columns for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", dashboards())
def test_every_panel_uses_the_datasource_that_the_viewer_chose(name: str) -> None:
    for panel in dashboards()[name]["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
            assert [target["refId"] for target in panel["targets"]] == sorted(
                {target["refId"] for target in panel["targets"]}
            )
