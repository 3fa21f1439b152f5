"""The shipped rules with shorter durations, for a test that lasts minutes.

Only durations and the minimum numbers of people are changed, by a table; metrics, labels, operators,
shares and sizes stay as shipped.
"""

from __future__ import annotations

import re

SCRAPE_WINDOW = "10s"  # processes send their metrics every 5 s
_TIMES = {
    "[1m]": f"[{SCRAPE_WINDOW}]",
    "[5m]": f"[{SCRAPE_WINDOW}]",
    "[15m]": "[30s]",
    "[6h]": "[30s]",
    "offset 1w": "offset 30s",
    # Limits in seconds of durations and ages.
    "> 60)": "> 8)",
    "> 300": "> 5",
    "> 7200": "> 15",
    # Numbers of people that pass a camera in half a minute.
    ">= 20)": ">= 2)",
    ">= 50)": ">= 2)",
}
# A window or an offset of minutes and more; a comparison with hundreds or thousands of seconds.
_LONG = re.compile(r"(\[|offset )\d+[mhdw]\b|[<>] \d{3,4}\b")


def shorten_rules(rules: str) -> str:
    """Return the text of a rules file with short durations; a duration not in the table fails."""
    for shipped, short in _TIMES.items():
        assert shipped in rules, f"the rules do not contain {shipped}"
        rules = rules.replace(shipped, short)
    rules = re.sub(r"\bfor: \w+", "for: 1s", rules)
    left = [line for line in rules.splitlines() if _LONG.search(line)]
    assert not left, f"too long for a test, see {__file__}: {left}"
    return rules
