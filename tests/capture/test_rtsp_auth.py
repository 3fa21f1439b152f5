"""What a camera writes into WWW-Authenticate is read, or left out."""

from __future__ import annotations

import pytest

from maskwatch.capture.rtsp_auth import challenges


@pytest.mark.parametrize("header", ["", '\0 Digest realm="x"', "?", ",,,"])
def test_a_header_without_a_scheme_offers_nothing(header: str) -> None:
    assert challenges([header]) == []


def test_several_challenges_of_one_header_are_kept_in_order() -> None:
    found = challenges(['Digest realm="a, b", nonce="n", Basic realm="c"', "Digest algorithm=SHA-256"])
    assert [each.scheme for each in found] == ["digest", "basic", "digest"]
