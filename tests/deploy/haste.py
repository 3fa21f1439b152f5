"""The shipped rules for a test that has minutes, not weeks: the same rules with shorter times.

Only lengths of time and the least number of people that a share is made of are changed, by this
table; metrics, labels, operators, shares and sizes stay as they are shipped.
"""

from __future__ import annotations

import re

__all__ = ["SCRAPE_WINDOW", "hastened"]

SCRAPE_WINDOW = "10s"  # processes send what they counted every 5 s
_TIMES = {
    "[1m]": f"[{SCRAPE_WINDOW}]",
    "[5m]": f"[{SCRAPE_WINDOW}]",
    "[15m]": "[30s]",
    "[6h]": "[30s]",
    "offset 1w": "offset 30s",
    # Seconds that something may take or be old.
    "> 60)": "> 8)",
    "> 300": "> 5",
    "> 7200": "> 15",
    # As many people as pass a camera in half a minute.
    ">= 20)": ">= 2)",
    ">= 50)": ">= 2)",
}
# A window or an offset of minutes and more; a comparison with hundreds or thousands of seconds.
_LONG = re.compile(r"(\[|offset )\d+[mhdw]\b|[<>] \d{3,4}\b")


def hastened(rules: str) -> str:
    """Return the text of a rules file with its times shortened; a time that the table lacks fails."""
    for shipped, short in _TIMES.items():
        assert shipped in rules, f"the rules know no {shipped} any more"
        rules = rules.replace(shipped, short)
    rules = re.sub(r"\bfor: \w+", "for: 1s", rules)
    left = [line for line in rules.splitlines() if _LONG.search(line)]
    assert not left, f"too long for a test, see {__file__}: {left}"
    return rules
