"""Sizes and rates that a source accepts."""

from realtime.errors import SettingsError, SourceError

LARGEST = 8192  # px on a side: 8K pictures pass
FASTEST = 240.0  # frames a second


def check_asked(width: int | None, height: int | None, fps: float | None) -> None:
    """Raises SettingsError where what the user asks for is absurd; None asks for nothing."""
    for name, pixels in (("width", width), ("height", height)):
        if pixels is not None and not 1 <= pixels <= LARGEST:
            raise SettingsError(f"{name} {pixels} is no picture's size: wanted 1 to {LARGEST} pixels")
    if fps is not None and not 0 < fps <= FASTEST:
        raise SettingsError(f"{fps:g} frames a second is no camera's rate: wanted more than 0 and at most {FASTEST:g}")


def check_seen(name: str, width: int, height: int) -> None:
    """Raises SourceError where a file's pictures have an absurd size."""
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise SourceError(f"{name} has pictures of {width}x{height}: wanted 1 to {LARGEST} pixels on a side")


def fitted_size(width: int, height: int, asked_width: int | None, asked_height: int | None) -> tuple[int, int]:
    """The size to give to pictures of width x height: a side that was not asked for follows the other one."""
    if asked_width is None and asked_height is None:
        return width, height
    if asked_width is None:
        assert asked_height is not None
        return _within(width * asked_height / height), asked_height
    return asked_width, asked_height or _within(height * asked_width / width)


def _within(pixels: float) -> int:
    return min(LARGEST, max(1, round(pixels)))
