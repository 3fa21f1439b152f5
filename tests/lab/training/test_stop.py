"""Ctrl-C ends a training run as Ctrl-C, whatever a library makes of it."""

from __future__ import annotations

import contextlib
import signal

import pytest

from maskwatch.lab.training.stop import Stop


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_is_a_keyboard_interrupt_and_the_handler_before_it_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Stop():
        press()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_that_a_library_made_of_it_is_a_keyboard_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), Stop():  # noqa: PT012 - as TensorFlow does it
        try:
            press()
        except KeyboardInterrupt:
            raise TypeError("could not generate a trace") from None


def test_one_that_was_swallowed_is_noticed_at_the_next_look() -> None:
    with Stop() as stop:
        stop.check()
        with contextlib.suppress(KeyboardInterrupt):
            press()
        with pytest.raises(KeyboardInterrupt):
            stop.check()


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(TypeError), Stop():
        raise TypeError("mine")
