"""Keys switch identities while frames go on, and the terminal is left as it was."""

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from realtime.keys import Controls, typed
from realtime.swap.contract import Contract
from realtime.swap.envelope import ModelFile
from realtime.swap.identity import Identity, Shelf
from realtime.swap.session import SessionSettings
from realtime.swap.swapper import Swapper
from tests.models import write_shelf
from tests.realtime.clips import write_clip
from tests.realtime.swap.helpers import PlacedFaces, face_at, frame_of, scene

ROOT = Path(__file__).resolve().parent.parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="terminals as POSIX has them")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Aster is warm, cedar and dahlia are files."""
    folder = write_shelf(tmp_path / "models", ("cedar", "aster", "dahlia"))
    return Shelf.load(folder, SessionSettings(provider="cpu", threads=1), keep=["aster"])


@pytest.fixture
def swapper(shelf: Shelf) -> Swapper:
    return Swapper(PlacedFaces([face_at(160, 120, 120)]), shelf, "aster")


async def until(done: object) -> None:
    """Until done() is true: at most 10 s."""
    assert callable(done)
    for _ in range(1000):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


async def test_a_number_chooses_the_identity_in_the_order_of_the_list(shelf: Shelf, swapper: Swapper) -> None:
    controls = Controls(swapper, shelf)
    assert controls.hint == "1 aster, 2 cedar, 3 dahlia, q ends"
    async with controls.obeyed(lambda: None):
        for key, name in (("2", "cedar"), ("3", "dahlia"), ("1", "aster")):
            controls.press(key)
            await until(lambda name=name: swapper.identity == name)
            assert swapper(frame_of(scene())).faces[0].identity == name


async def test_frames_go_on_while_an_identity_is_loading(
    shelf: Shelf, swapper: Swapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading is held up until ten frames have been swapped meanwhile; the key comes from another thread."""
    goes_on, real = threading.Event(), Shelf._loaded

    def slowly(self: Shelf, file: ModelFile, contract: Contract) -> Identity:
        assert goes_on.wait(10)
        return real(self, file, contract)

    monkeypatch.setattr(Shelf, "_loaded", slowly)
    controls = Controls(swapper, shelf)
    async with controls.obeyed(lambda: None):
        await asyncio.to_thread(controls.press, "2")
        for index in range(10):
            assert swapper(frame_of(scene(), index)).faces[0].identity == "aster"
            await asyncio.sleep(0.001)
        goes_on.set()
        await until(lambda: swapper.identity == "cedar")


async def test_of_several_keys_in_a_hurry_the_last_one_counts(shelf: Shelf, swapper: Swapper) -> None:
    controls = Controls(swapper, shelf)
    async with controls.obeyed(lambda: None):
        for key in "23232":
            controls.press(key)
        await until(lambda: swapper.identity == "cedar")
        await asyncio.sleep(0.05)
        assert swapper.identity == "cedar"


async def test_a_broken_file_is_one_sentence_and_the_old_identity_stays(
    shelf: Shelf, swapper: Swapper, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(next(card.file for card in shelf.cards() if card.name == "cedar"))
    path.write_bytes(path.read_bytes()[:1000])
    controls = Controls(swapper, shelf)
    async with controls.obeyed(lambda: None):
        controls.press("2")
        await until(lambda: caplog.records)
        assert swapper.identity == "aster"
        controls.press("3")  # and keys still work
        await until(lambda: swapper.identity == "dahlia")
    (said,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "cedar.onnx is no ONNX model" in said
    assert said.endswith("it stays with aster")
    assert "\n" not in said


async def test_a_number_without_an_identity_is_answered_and_other_keys_do_nothing(
    shelf: Shelf, swapper: Swapper, caplog: pytest.LogCaptureFixture
) -> None:
    controls = Controls(swapper, shelf)
    async with controls.obeyed(lambda: None):
        for key in "x0Q\x1b7":
            controls.press(key)
        await until(lambda: caplog.records)
    assert [record.getMessage() for record in caplog.records] == [
        "there is no identity 7: 1 aster, 2 cedar, 3 dahlia, q ends"
    ]
    controls.press("2")  # after the end nobody hears it
    assert swapper.identity == "aster"


async def test_q_ends_the_run(shelf: Shelf, swapper: Swapper) -> None:
    stopped = asyncio.Event()
    controls = Controls(swapper, shelf)
    async with controls.obeyed(stopped.set):
        controls.press("q")
        await asyncio.wait_for(stopped.wait(), 10)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the user's and the program's."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


@posix
@pytest.mark.parametrize("ending", ["well", "error", "interrupt"])
async def test_keys_come_one_by_one_and_the_terminal_is_restored(
    terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    import termios

    user, program = terminal
    before = termios.tcgetattr(program)
    pressed: list[str] = []
    fault = {"well": None, "error": RuntimeError, "interrupt": KeyboardInterrupt}[ending]
    with os.fdopen(os.dup(program)) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        try:
            with typed(pressed.append) as heard:
                assert heard
                assert not termios.tcgetattr(program)[3] & (termios.ICANON | termios.ECHO)
                assert termios.tcgetattr(program)[3] & termios.ISIG  # Ctrl-C is still a signal
                os.write(user, b"2q")
                await until(lambda: pressed == ["2", "q"])
                if fault:
                    raise fault
        except (RuntimeError, KeyboardInterrupt):
            assert fault is not None
    assert termios.tcgetattr(program) == before


async def test_without_a_terminal_nothing_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "empty").open("w+") as file:
        for stdin in (None, file):
            monkeypatch.setattr(sys, "stdin", stdin)
            with typed(lambda key: None) as heard:
                assert not heard
    with typed(lambda key: None) as heard:  # and closed
        assert not heard


@posix
@pytest.mark.parametrize("ending", ["q", "ctrl-c"])
def test_the_command_hears_keys_and_leaves_the_terminal_as_it_was(
    terminal: tuple[int, int], models: Path, tmp_path: Path, ending: str
) -> None:
    import termios

    user, program = terminal
    before = termios.tcgetattr(program)
    clip = write_clip(tmp_path / "clip.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 1800)
    log = tmp_path / "log"
    words = ["run", "--source", clip, "--live", "--sink", "null", "--models", models, "-v"]
    command = [sys.executable, "-m", "realtime", *(str(word) for word in words)]
    with log.open("w") as said, subprocess.Popen(command, cwd=ROOT, stdin=program, stdout=said, stderr=said) as process:
        wait_for(log, "q ends")
        assert not termios.tcgetattr(program)[3] & termios.ICANON
        os.write(user, b"2")
        wait_for(log, "identity switched to cedar")
        if ending == "q":
            os.write(user, b"q")
        else:
            process.send_signal(signal.SIGINT)
        code = process.wait(30)
    assert code == {"q": 0, "ctrl-c": 130}[ending]
    assert "Traceback" not in log.read_text()
    assert re.search(r"1 aster, 2 cedar", log.read_text())
    assert termios.tcgetattr(program) == before


def wait_for(log: Path, words: str) -> None:
    """Until the log says so: at most 30 s."""
    deadline = time.monotonic() + 30
    while words not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
