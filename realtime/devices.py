"""`liveswap devices`: which cameras there are and what they can do, and which virtual cameras there are to write to."""

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from realtime.errors import LiveswapError
from realtime.sinks.loopback import Kernel, Loopback
from realtime.sinks.virtual_camera import ready
from realtime.sources.cameras import Camera, cameras
from realtime.sources.formats import Format


@dataclass(frozen=True, slots=True)
class VirtualCamera:
    """Whether --sink virtualcam has something to write to."""

    available: bool
    detail: str  # the devices, or what is missing and how to get it
    there: tuple[Loopback, ...] = ()  # on Linux


@dataclass(frozen=True, slots=True)
class Devices:
    """What this machine has."""

    cameras: tuple[Camera, ...]
    virtual_camera: VirtualCamera

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        virtual = self.virtual_camera
        there = [{"sink": f"virtualcam:{one.path}", "name": one.name} for one in virtual.there]
        return {
            "cameras": [_as_dict(camera) for camera in self.cameras],
            "virtual_camera": {"available": virtual.available, "detail": virtual.detail, "devices": there},
        }


def _as_dict(camera: Camera) -> dict[str, Any]:
    formats = [{**asdict(one), "rates": list(one.rates)} for one in camera.formats]
    return {"source": camera.source, "name": camera.name, "formats": formats}


def found_devices() -> Devices:
    """Looks now. Cameras that another program holds are listed on Linux and may be missed elsewhere."""
    return Devices(cameras(), _virtual_camera(Kernel().loopbacks() if platform.system() == "Linux" else ()))


def _virtual_camera(there: tuple[Loopback, ...]) -> VirtualCamera:
    """there are the virtual cameras of Linux."""
    try:
        return VirtualCamera(True, ready(), there)
    except LiveswapError as error:
        return VirtualCamera(False, str(error), there)


def devices(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List the cameras with what they can do, and the virtual cameras."""
    found = found_devices()
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        return
    if found.cameras:
        Console().print(table(found.cameras))
    else:
        typer.echo("camera          none; `liveswap demo` needs none")
    virtual = found.virtual_camera
    typer.echo(f"virtual camera  {'--sink virtualcam  ' if virtual.available else 'none: '}{virtual.detail}")


def table(there: tuple[Camera, ...]) -> Table:
    """The cameras as a person reads them."""
    shown = Table("--source", "camera", "format", "sizes, with frames in a second")
    for camera in there:
        rows = list(_rows(camera.formats)) or [("", "the system does not say")]
        for number, (fourcc, sizes) in enumerate(rows):
            first = (camera.source, camera.name) if number == 0 else ("", "")
            shown.add_row(*(Text(cell) for cell in (*first, fourcc, sizes)))
    return shown


def _rows(formats: tuple[Format, ...]) -> Iterator[tuple[str, str]]:
    """Each format once, with its sizes, largest first: 1280x720 at 30, 640x480 at 30."""
    for fourcc in dict.fromkeys(one.fourcc for one in formats):
        sizes = []
        for one in formats:
            if one.fourcc == fourcc:
                rate = f" at {one.rates[0]:g}" if one.rates else ""
                sizes.append(f"{one.width}x{one.height}{rate}")
        yield fourcc or "the system's choice", ", ".join(sizes)
