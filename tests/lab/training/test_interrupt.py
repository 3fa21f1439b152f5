"""Ctrl-C ends a training run with KeyboardInterrupt, even if a library catches it."""

from __future__ import annotations

import contextlib
import signal

import pytest

from maskwatch.lab.training.interrupt import InterruptGuard


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_raises_and_the_previous_handler_is_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), InterruptGuard():
        press()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_exception_that_replaces_ctrl_c_becomes_keyboard_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), InterruptGuard():  # noqa: PT012 - as TensorFlow does it
        try:
            press()
        except KeyboardInterrupt:
            raise TypeError("could not generate a trace") from None


def test_a_swallowed_ctrl_c_is_raised_at_the_next_check() -> None:
    with InterruptGuard() as stop:
        stop.check()
        with contextlib.suppress(KeyboardInterrupt):
            press()
        with pytest.raises(KeyboardInterrupt):
            stop.check()


def test_other_errors_are_not_changed() -> None:
    with pytest.raises(TypeError), InterruptGuard():
        raise TypeError("mine")
