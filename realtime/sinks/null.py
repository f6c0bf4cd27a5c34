"""A sink that forgets: for measuring."""

from types import TracebackType
from typing import Self

from realtime.frame import Frame


class Null:
    """Takes every frame and does nothing with it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to give back."""

    async def write(self, frame: Frame) -> None:
        """Forgets the frame."""
