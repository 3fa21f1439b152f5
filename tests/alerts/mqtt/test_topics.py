"""Topics: any name is encoded as one level, and decoded again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.alerts.mqtt.topics import Topic, Topics, decode_level, encode_level

NAMES = st.text(st.characters(), min_size=1, max_size=64)


@given(NAMES)
def test_a_name_is_decoded_from_its_level(name: str) -> None:
    assert decode_level(encode_level(name)) == name


@given(NAMES)
def test_a_level_contains_nothing_that_mqtt_forbids(name: str) -> None:
    text = encode_level(name)
    assert not set(text) & set("/+#$ \x00")
    assert text.isprintable()
    text.encode("utf-8")


@given(NAMES, NAMES)
def test_different_names_have_different_levels(one: str, other: str) -> None:
    assert (encode_level(one) == encode_level(other)) == (one == other)


@given(NAMES, NAMES, st.sampled_from(list(Topic)))
def test_a_topic_is_parsed_into_its_names(camera: str, zone: str, topic: Topic) -> None:
    topics = Topics("a/b", "gate 1")
    names = topics.parse(topic, topics.of(topic, camera=camera, zone=zone, verb="snooze"))
    assert names is not None
    assert names == {
        key: value
        for key, value in {"camera": camera, "zone": zone, "verb": "snooze"}.items()
        if f"{{{key}}}" in topic.value.pattern
    }


def test_a_topic_matches_one_kind_only() -> None:
    topics = Topics("maskwatch", "n")
    for topic in Topic:
        text = topics.of(topic, camera="c", zone="z", verb="v")
        assert [other for other in Topic if topics.parse(other, text) is not None] == [topic]


@pytest.mark.parametrize("text", ["", "maskwatch", "other/n/status", "maskwatch/n2/status"])
def test_topics_of_other_nodes_do_not_match(text: str) -> None:
    topics = Topics("maskwatch", "n")
    assert all(topics.parse(topic, text) is None for topic in Topic)


@pytest.mark.parametrize("name", ["%AB", "a%ff%fe", "%C3"])
def test_a_level_that_is_not_utf8_does_not_match(name: str) -> None:
    """Whoever may publish a command chooses its topic: it must not end the connection."""
    assert (
        Topics("maskwatch", "n").parse(Topic.CAMERA_COMMAND, f"maskwatch/n/camera/{name}/command/enable")
        is None
    )


def test_a_prefix_of_several_levels_keeps_them() -> None:
    assert Topics("site/a/", "n").of(Topic.STATUS) == "site/a/n/status"
