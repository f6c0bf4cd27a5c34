"""Cameras, and the virtual camera: what the default run reads from and writes to."""

from collections.abc import Iterator, Sequence
from typing import Final

from realtime.devices import Camera, devices
from realtime.doctor.finding import OK, WRONG, Finding
from realtime.errors import LiveswapError
from realtime.sinks.virtual_camera import obstacle

TOPIC: Final = "cameras"
NO_CAMERA: Final = "plug one in; `liveswap demo`, and `liveswap run --source FILE`, need none"


def findings() -> Iterator[Finding]:
    """Looks now."""
    found = devices()
    yield of_cameras(found.cameras)
    yield of_virtual(obstacle(), found.virtual_camera.detail)


def of_cameras(cameras: Sequence[Camera]) -> Finding:
    """What `--source` takes."""
    if not cameras:
        return Finding(TOPIC, "cameras", WRONG, "none", NO_CAMERA)
    figures = {"cameras": [{"source": camera.source, "name": camera.name} for camera in cameras]}
    return Finding(
        TOPIC, "cameras", OK, ", ".join(f"{camera.name} ({camera.source})" for camera in cameras), figures=figures
    )


def of_virtual(in_the_way: LiveswapError | None, detail: str) -> Finding:
    """What `--sink virtualcam` writes to; in the way is what a run would end with."""
    if in_the_way is None:
        return Finding(TOPIC, "virtual camera", OK, detail)
    seen, _, remedy = str(in_the_way).partition(": ")
    return Finding(TOPIC, "virtual camera", WRONG, seen, remedy)
