"""The preview window, with stand-ins for OpenCV's: a test machine has no display."""

import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from realtime.errors import EndOfStream, SinkError
from realtime.sinks.preview import Preview
from tests.realtime.flow.things import frame


class Desktop:
    """What OpenCV would show."""

    def __init__(self) -> None:
        self.shown: list[NDArray[np.uint8]] = []
        self.visible = 1.0
        self.key = -1
        self.closed = False


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Desktop:
    desk = Desktop()
    stand_ins: dict[str, Callable[..., object]] = {
        "imshow": lambda title, image: desk.shown.append(image),
        "pollKey": lambda: desk.key,
        "getWindowProperty": lambda title, what: desk.visible,
        "destroyAllWindows": lambda: setattr(desk, "closed", True),
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(cv2, name, stand_in)
    monkeypatch.setenv("DISPLAY", ":99")
    return desk


async def test_frames_are_shown_and_the_window_is_closed_at_the_end(desktop: Desktop) -> None:
    async with Preview() as sink:
        for index in range(3):
            await sink.write(frame(index))
    assert [int(image[0, 0, 0]) for image in desktop.shown] == [0, 1, 2]
    assert desktop.closed


@pytest.mark.parametrize("key", [27, ord("q")])
async def test_a_key_ends_the_run(desktop: Desktop, key: int) -> None:
    async with Preview() as sink:
        await sink.write(frame(0))
        desktop.key = key
        with pytest.raises(EndOfStream):
            await sink.write(frame(1))


async def test_digits_are_handed_on_and_other_keys_are_not(desktop: Desktop) -> None:
    pressed: list[str] = []
    async with Preview(press=pressed.append) as sink:
        for key in (ord("2"), -1, ord("x"), ord("0"), ord("9")):
            desktop.key = key
            await sink.write(frame(0))
    assert pressed == ["2", "9"]


async def test_closing_the_window_ends_the_run(desktop: Desktop) -> None:
    async with Preview() as sink:
        await sink.write(frame(0))
        desktop.visible = 0.0
        with pytest.raises(EndOfStream):
            await sink.write(frame(1))
    assert len(desktop.shown) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="desktops elsewhere need no variable")
async def test_without_a_display_the_user_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError, match="no preview: there is no display"):
        async with Preview():
            pytest.fail("opened")


async def test_an_opencv_without_windows_is_one_sentence(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(title: str, image: NDArray[np.uint8]) -> None:
        fault = cv2.error("OpenCV(5.0.0) window.cpp:1: error: The function is not implemented.")
        fault.err = "The function is not implemented."
        raise fault

    monkeypatch.setattr(cv2, "imshow", refuse)
    with pytest.raises(SinkError, match=r"this OpenCV opens no windows \(The function is not implemented"):
        async with Preview() as sink:
            await sink.write(frame(0))
