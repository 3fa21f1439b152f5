"""A camera of which too few due frames are analysed over a minute is overloaded."""

from __future__ import annotations

from maskwatch.worker.overload import OverloadMonitor


class Harness:
    """A camera's cumulative counts, and what the monitor says of them."""

    def __init__(self) -> None:
        self.monitor = OverloadMonitor()
        self.now = 0.0
        self.analysed = self.lost = 0
        self.texts: list[str] = []

    def run(self, seconds: int, *, analysed: int, lost: int = 0) -> str:
        """Analyse and lose this many frames in each second; return the text at the end."""
        for _ in range(seconds):
            self.now += 1
            self.analysed += analysed
            self.lost += lost
            self.monitor.update(self.now, self.analysed, self.lost)
            if self.monitor.text not in self.texts:
                self.texts.append(self.monitor.text)
        return self.monitor.text


def test_three_quarters_over_a_minute_are_enough_and_fewer_are_not() -> None:
    assert Harness().run(120, analysed=3, lost=1) == ""
    enough = Harness()
    enough.run(120, analysed=74, lost=26)
    assert enough.texts[-1].endswith(" frames were analysed in the last minute")
    assert enough.monitor.share == 0.74


def test_the_text_gives_the_figures_of_the_last_minute() -> None:
    assert Harness().run(61, analysed=1, lost=4) == "60 of 300 frames were analysed in the last minute"


def test_no_camera_is_overloaded_before_a_minute_was_measured() -> None:
    harness = Harness()
    harness.lost = 500  # while the models were loaded
    harness.run(59, analysed=1, lost=9)
    assert (harness.texts, harness.monitor.share) == ([""], None)


def test_an_overload_ends_when_nearly_all_frames_are_analysed_again() -> None:
    harness = Harness()
    harness.run(61, analysed=1, lost=1)
    assert harness.run(120, analysed=8, lost=2) != ""
    assert harness.run(120, analysed=9, lost=1) == ""


def test_a_camera_that_sends_little_or_nothing_is_not_overloaded() -> None:
    slow = Harness()
    for _ in range(40):
        slow.run(1, analysed=1)
        slow.run(2, analysed=0)
    assert slow.texts == [""]
    silent = Harness()
    silent.run(61, analysed=1, lost=4)
    assert silent.run(61, analysed=0) == ""
    assert silent.monitor.share is None


def test_the_text_changes_once_a_minute_at_most() -> None:
    harness = Harness()
    for number in range(600):
        harness.run(1, analysed=number % 7, lost=20)
    assert 8 <= len(harness.texts) <= 11
