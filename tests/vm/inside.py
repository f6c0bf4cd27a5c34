"""The scenario inside the virtual machine: cameras, runs, readers and cables pulled; what was seen goes onto a disk.

It runs as the machine's only program, with the standard library alone. Every step reports facts; the host judges them.
A step that fails says so, and the next one goes on.
"""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.vm import browser
from tests.vm.devices import (
    CAPTURE,
    CLIP,
    HARDWARE,
    SOURCE,
    VIRTUAL,
    Webcam,
    abilities,
    read,
    streamed,
)
from tests.vm.kit import OUT, Process, Steps, asked, ended, killed, until, words

Facts = dict[str, Any]

LIVESWAP: Final = ("python3", "-m", "realtime")
RUN: Final = (*LIVESWAP, "run", "--size", "small", "--fps", "5", "-v", "--sink", "virtualcam")
FROM_CLIP: Final = (*LIVESWAP, "run", "--source", str(CLIP), "--live", "--size", "small", "--duration", "5")
LOST: Final = re.compile(r"^\S+ stopped after", re.MULTILINE)
BACK: Final = re.compile(r"is back after")
FRESH: Final = re.compile(r"· \d{1,3} ms old ·")  # no frame is that young under emulation; a stand-in is
SETTLES_S: Final = 6.0  # until what was under way when a camera was lost, or came back, has left


class Scenario:
    """The steps, which share cameras and runs."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._webcam = Webcam(steps)
        self._first: Process | None = None
        self._second: Process | None = None

    def everything(self, without: tuple[str, ...]) -> None:
        """All steps in their order, but those that are named."""
        steps: tuple[tuple[str, float, Callable[[], Facts]], ...] = (
            ("loopbacks", 90, self.loopbacks),
            ("camera plays", 90, self.plays),
            ("devices", 120, self.devices),
            ("doctor", 300, lambda: asked([*LIVESWAP, "doctor", "--json"], 290)),
            ("first run", 240, self.first_run),
            ("first reader", 120, lambda: read("first", 5)),
            ("two readers", 240, self.two_readers),
            ("late reader", 90, lambda: read("late", 1)),
            ("camera lost", 240, self.lost),
            ("camera back", 300, self.back),
            ("first run ends", 120, self.first_ends),
            ("second run", 300, self.second_run),
            ("camera held", 200, self.held),
            ("chromium", 300, lambda: browser.look(self._steps)),  # while little else asks for the processors
            ("camera returns", 90, self.returns),
            ("second run ends", 90, self.second_ends),
            ("stop", 360, self.stop),
            ("busy", 300, self.busy),
            ("no driver", 300, self.no_driver),
        )
        for name, limit_s, does in steps:
            if name not in without:
                self._steps.step(name, limit_s, does)

    def loopbacks(self) -> Facts:
        """Two loopback devices and the kernel's test camera."""
        labels = "card_label=webcam,liveswap"
        facts = asked(["modprobe", "v4l2loopback", "devices=2", "video_nr=0,1", "exclusive_caps=1,1", labels], 60)
        asked(["modprobe", "vivid", "n_devs=1", "node_types=0x1", "vid_cap_nr=2"], 60)
        until(lambda: VIRTUAL.exists() and HARDWARE.exists(), 20, "three devices")
        names = {path.parent.name: path.read_text().strip() for path in Path("/sys/class/video4linux").glob("*/name")}
        net = [path.name for path in Path("/sys/class/net").iterdir()]
        return {**facts, "names": names, "net": net, "python": sys.version.split()[0], "kernel": os.uname().release}

    def plays(self) -> Facts:
        """The clip into the first device."""
        self._webcam.play()
        return {"capabilities": abilities(SOURCE)}

    def devices(self) -> Facts:
        """What is listed; of each camera's formats, which are hundreds for the test driver's, the sizes."""
        facts = asked([*LIVESWAP, "devices", "--json"], 110)
        found = json.loads(facts.pop("out")) if facts["code"] == 0 else {"cameras": []}
        for camera in found["cameras"]:
            camera["sizes"] = sorted({(one["width"], one["height"]) for one in camera.pop("formats")})
        return {**facts, **found}

    def first_run(self) -> Facts:
        """Shows pictures within its time, and records as well."""
        recorded = ("--sink", str(OUT / "recorded.mp4"), "--report", str(OUT / "first.json"))
        self._first = self._run("first.log", SOURCE, "card", *recorded)
        return {"running": self._first.poll() is None}

    def two_readers(self) -> Facts:
        """One takes frame after frame, another looks in meanwhile."""
        other = self._steps.start(streamed("other", 40), "other.log")
        until(lambda: "<" in words("other.log"), 60, "the first reader reads")
        facts = read("second", 2)
        return {**facts, "other_code": other.wait(120), "other_frames": words("other.log").count("<")}

    def lost(self) -> Facts:
        """The camera goes; readers read on."""
        waited = self._unplugged("first.log")
        started = time.monotonic()
        frames = asked(streamed("while-lost", 10), 60)
        took = round(time.monotonic() - started, 1)
        return {**read("lost", 2), "noticed_after": waited, "ten_frames": took, "ten_frames_code": frames["code"]}

    def back(self) -> Facts:
        """The camera comes back, and so does the swap."""
        assert self._first is not None
        before = len(words("first.log"))
        self._webcam.plug_in()
        waited = until(lambda: BACK.search(words("first.log")[before:]), 120, "the run says that the camera is back")
        time.sleep(SETTLES_S)
        return {**read("back", 3), "said_after": waited, "running": self._first.poll() is None}

    def first_ends(self) -> Facts:
        """SIGTERM, and what is left of the run."""
        assert self._first is not None
        facts = ended(self._first, signal.SIGTERM)
        report = OUT / "first.json"
        probe = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_name,nb_read_packets"]
        recorded = asked([*probe, "-of", "json", str(OUT / "recorded.mp4")], 60)
        return {**facts, "report": json.loads(report.read_text()) if report.is_file() else None, "recorded": recorded}

    def second_run(self) -> Facts:
        """Another run on the same virtual camera."""
        self._second = self._run("second.log", SOURCE, "hold")
        return {**read("again", 2), "running": self._second.poll() is None}

    def held(self) -> Facts:
        """The camera goes; the last picture stays."""
        self._unplugged("second.log")
        return read("held", 3)

    def returns(self) -> Facts:
        """The camera is there again."""
        before = len(words("second.log"))
        self._webcam.plug_in()
        return {"said_after": until(lambda: BACK.search(words("second.log")[before:]), 60, "the camera is back")}

    def second_ends(self) -> Facts:
        """SIGINT, as Ctrl-C sends it."""
        assert self._second is not None
        return ended(self._second, signal.SIGINT)

    def stop(self) -> Facts:
        """A camera of hardware is pulled, and the run was told to end then."""
        run = self._run("third.log", HARDWARE, "stop", "--width", "320", "--height", "180")
        time.sleep(2)
        pulled = asked(["v4l2-ctl", "-d", str(HARDWARE), "--set-ctrl", "disconnect=1"], 60)
        return {"code": run.wait(120), "said": words("third.log")[-3000:], "pulled": pulled}

    def busy(self) -> Facts:
        """Another program writes to the virtual camera."""
        command = ["ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-re", "-f", "lavfi", "-i"]
        command += ["testsrc=s=320x240:r=5", "-pix_fmt", "yuyv422", "-f", "v4l2", str(VIRTUAL)]
        holder = self._steps.start(command, "holder.log")
        until(lambda: abilities(VIRTUAL) & CAPTURE, 60, "another program writes to the virtual camera")
        facts = asked([*FROM_CLIP, "--sink", f"virtualcam:{VIRTUAL}"], 200)
        killed(holder)
        return facts

    def no_driver(self) -> Facts:
        """There is no virtual camera at all."""
        self._webcam.stop()
        unloaded = asked(["modprobe", "-r", "v4l2loopback"], 60)
        return {**asked([*FROM_CLIP, "--sink", "virtualcam"], 200), "unloaded": unloaded}

    def _run(self, said: str, source: Path, when_lost: str, *flags: str) -> Process:
        """A run that shows pictures. Raises RuntimeError where it ends instead, Late where it does not begin."""
        run = self._steps.start([*RUN, "--source", str(source), "--on-camera-lost", when_lost, *flags], said)
        shows = lambda: run.poll() is not None or abilities(VIRTUAL) & CAPTURE  # noqa: E731
        until(shows, 200, "the virtual camera shows pictures")
        if run.poll() is not None:
            raise RuntimeError(f"the run ended with {run.poll()}: {words(said)[-1500:]}")
        return run

    def _unplugged(self, said: str) -> float:
        """Takes the webcam away; how long it took until the run said so."""
        before = len(words(said))
        self._webcam.unplug()
        waited = until(lambda: LOST.search(words(said)[before:]), 120, "the run says that the camera is lost")
        before = len(words(said))
        until(lambda: FRESH.search(words(said)[before:]), 60, "stand-ins leave, behind what was under way")
        time.sleep(SETTLES_S)
        return waited


def main(disk: Path) -> None:
    """All steps, then the report; `vm.without=` on the kernel's command line names steps to leave out."""
    OUT.mkdir(parents=True, exist_ok=True)
    said = re.search(r"vm\.without=(\S+)", Path("/proc/cmdline").read_text())
    steps = Steps(disk)
    try:
        Scenario(steps).everything(tuple(said[1].replace("_", " ").split(",")) if said else ())
    finally:
        steps.close()
        steps.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
