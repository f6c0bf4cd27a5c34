"""The screen as a source: on a display of X without a monitor where there is one, and the sentences where not."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from realtime.errors import MissingExtra, SettingsError, SourceError
from realtime.sources import grab
from realtime.sources.screen import Grabber, Screen, grabber_of, target_of


@pytest.fixture
def display() -> Iterator[str]:
    """A display of 320x240 without a monitor."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    ours, theirs = os.pipe()
    command = ("Xvfb", "-displayfd", str(theirs), "-screen", "0", "320x240x24", "-nolisten", "tcp")
    with subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL) as server:
        os.close(theirs)
        try:
            number = os.read(ours, 16).decode().strip()
            assert number, "Xvfb is installed and ended instead of opening a display"
            yield f":{number}"
        finally:
            os.close(ours)
            server.kill()
            server.wait(10)


@pytest.mark.skipif(sys.platform != "linux", reason="X is the screen of Linux")
async def test_the_screen_comes_as_pictures(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", display)
    async with asyncio.timeout(30), Screen() as source:
        first, second = await source.read(), await source.read()
    assert source.live
    assert source.name == f"screen:{display}"
    assert first.image.shape == (240, 320, 3)
    assert second.index > first.index
    async with asyncio.timeout(30), Screen(display, 160, 160, 10) as source:
        assert (await source.read()).image.shape == (160, 160, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="X is the screen of Linux")
async def test_a_display_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(SourceError, match="screen::731 does not open: "):
        async with asyncio.timeout(30), Screen(":731"):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="X is the screen of Linux")
async def test_the_program_that_reads_the_screen_ends_with_who_started_it(display: str) -> None:
    command = (sys.executable, "-P", grab.__file__, "x11grab", display, "10", "")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL) as program:
        assert program.stdin is not None
        program.stdin.close()  # as the system does when who started it is gone
        assert program.wait(30) == 0


@pytest.mark.parametrize(
    ("system", "kind", "target"),
    [("linux", "x11grab", ""), ("win32", "gdigrab", "desktop"), ("darwin", "avfoundation", "1")],
)
def test_each_system_has_its_own_way_to_the_screen(system: str, kind: str, target: str) -> None:
    grabber = grabber_of(system, frozenset({"x11grab", "gdigrab", "avfoundation"}))
    assert (grabber.kind, grabber.target) == (kind, target)
    with pytest.raises(MissingExtra, match=f"this build of PyAV cannot read the screen: it lacks {kind}"):
        grabber_of(system, frozenset({"mp4"}))


def test_another_system_has_none() -> None:
    with pytest.raises(MissingExtra, match="the screen cannot be read on plan9: wanted Linux, Windows or macOS"):
        grabber_of("plan9")


def test_without_a_display_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SourceError, match="there is no X display to read: DISPLAY is not set"):
        target_of(Grabber("x11grab", ""), "")
    assert target_of(Grabber("x11grab", ""), ":5") == ":5"


def test_absurd_sizes_are_refused() -> None:
    with pytest.raises(SettingsError, match="width 0"):
        Screen(":5", 0)


def test_the_command_loads_opencv_before_pyav_because_its_windows_crash_otherwise() -> None:
    code = "import sys, realtime.__main__; names = list(sys.modules); print(names.index('cv2') < names.index('av'))"
    said = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == "True"
