"""Cameras, and the virtual camera: what the default run reads from and writes to."""

from collections.abc import Iterator, Sequence
from typing import Final

from realtime.devices import VirtualCamera, found_devices
from realtime.doctor.finding import OK, WRONG, Finding
from realtime.sources.cameras import Camera

TOPIC: Final = "cameras"
NO_CAMERA: Final = "plug one in; `liveswap demo`, and `liveswap run --source FILE`, need none"


def findings() -> Iterator[Finding]:
    """Looks now."""
    found = found_devices()
    yield of_cameras(found.cameras)
    yield of_virtual(found.virtual_camera)


def of_cameras(cameras: Sequence[Camera]) -> Finding:
    """What `--source` takes."""
    if not cameras:
        return Finding(TOPIC, "cameras", WRONG, "none", NO_CAMERA)
    figures = {"cameras": [{"source": camera.source, "name": camera.name} for camera in cameras]}
    return Finding(
        TOPIC, "cameras", OK, ", ".join(f"{camera.name} ({camera.source})" for camera in cameras), figures=figures
    )


def of_virtual(camera: VirtualCamera) -> Finding:
    """What `--sink virtualcam` writes to, or what a run would end with."""
    if camera.available:
        return Finding(TOPIC, "virtual camera", OK, camera.detail)
    seen, _, remedy = camera.detail.partition(": ")
    return Finding(TOPIC, "virtual camera", WRONG, seen, remedy)
