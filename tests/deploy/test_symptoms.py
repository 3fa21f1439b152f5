"""Every panel query and every rule has a fault that it shows, by a visible change."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.deploy.prometheus import SHIPPED
from tests.deploy.queries import alert_queries, panel_queries, record_queries
from tests.deploy.short_rules import shorten_rules
from tests.deploy.symptoms import ALERTS, PANELS, RECORDS, Effect, Fault, Reading, Symptom

A, B = {"camera": "a"}, {"camera": "b"}


def test_every_panel_query_has_a_symptom_and_there_are_no_others() -> None:
    asked = Counter(query.where for query in panel_queries())
    assert {panel: len(symptoms) for panel, symptoms in PANELS.items()} == dict(asked)


def test_every_rule_has_a_symptom_and_there_are_no_others() -> None:
    assert set(RECORDS) == {query.where for query in record_queries()}
    assert set(ALERTS) == {query.where for query in alert_queries()}
    assert {symptom.effect for symptom in ALERTS.values()} == {Effect.APPEARS}


def test_a_rule_with_a_duration_too_long_for_a_test_is_refused() -> None:
    with pytest.raises(AssertionError, match="too long"):
        shorten_rules(SHIPPED + "        expr: increase(maskwatch_people_total[2h]) > 1\n")
    with pytest.raises(AssertionError, match="too long"):
        shorten_rules(SHIPPED + "        expr: maskwatch_outbox_oldest_seconds > 900\n")


@pytest.mark.parametrize(
    ("symptom", "before", "after", "shown"),
    [
        (Symptom(Fault.GONE, Effect.RISES), 1, 2, True),
        (Symptom(Fault.GONE, Effect.RISES), 1, 1, False),
        (Symptom(Fault.GONE, Effect.RISES), None, 2, False),
        (Symptom(Fault.GONE, Effect.RISES, times=2), 2, 3, False),
        (Symptom(Fault.GONE, Effect.RISES, times=2), 2, 5, True),
        (Symptom(Fault.GONE, Effect.RISES, above=6), 1, 5, False),
        (Symptom(Fault.GONE, Effect.RISES, above=6), 7, 9, False),
        (Symptom(Fault.GONE, Effect.RISES, above=6), 1, 7, True),
        (Symptom(Fault.GONE, Effect.FALLS), 2, 1, True),
        (Symptom(Fault.GONE, Effect.FALLS), 2, 1.99, False),
        (Symptom(Fault.GONE, Effect.FALLS), 2, None, False),
        (Symptom(Fault.GONE, Effect.APPEARS), None, 1, True),
        (Symptom(Fault.GONE, Effect.APPEARS), math.nan, 1, True),
        (Symptom(Fault.GONE, Effect.APPEARS), 1, 1, False),
        (Symptom(Fault.GONE, Effect.DISAPPEARS), 1, None, True),
        (Symptom(Fault.GONE, Effect.DISAPPEARS), 1, 0, False),
        (Symptom(Fault.GONE, Effect.DISAPPEARS), None, None, False),
        (Symptom(Fault.GONE, Effect.STOPS), 1, 0, True),
        (Symptom(Fault.GONE, Effect.STOPS), 0, 0, False),
        (Symptom(Fault.GONE, Effect.STOPS), 1, 0.5, False),
        (Symptom(Fault.GONE, Effect.RISES, B), 1, 2, False),
    ],
)
def test_a_symptom_is_detected_only_where_it_occurs(
    symptom: Symptom, before: float | None, after: float | None, shown: bool
) -> None:
    old = [(A, before)] if before is not None else []
    new = [(A, after)] if after is not None else []
    assert symptom.shows(Reading(old, new)) is shown


@pytest.mark.parametrize(
    ("effect", "value", "begins"),
    [
        (Effect.RISES, 1, True),
        (Effect.RISES, 0, True),
        (Effect.RISES, None, False),
        (Effect.RISES, math.nan, False),
        (Effect.APPEARS, None, True),
        (Effect.APPEARS, 0, True),
        (Effect.APPEARS, 1, False),
    ],
)
def test_a_fault_begins_once_its_series_exist_and_its_symptoms_do_not(
    effect: Effect, value: float | None, begins: bool
) -> None:
    series = [(A, value)] if value is not None else []
    assert Symptom(Fault.GONE, effect, A).begins([*series, (B, 1.0)]) is begins


def test_a_rise_is_measured_from_the_lowest_value_since_the_fault_began() -> None:
    reading = Reading([(A, 8.0)], [(A, 2.0), (B, math.nan)])
    assert Symptom(Fault.GONE, Effect.RISES, times=2).base(reading) == [(A, 2.0)]
    assert Symptom(Fault.GONE, Effect.FALLS).base(reading) == [(A, 8.0)]
