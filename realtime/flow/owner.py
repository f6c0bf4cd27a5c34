"""What opens and closes together with a thread of its own: sources and sinks that hold a resource."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import Self, TypeVar

from realtime.flow.worker import Worker

Held = TypeVar("Held")


class Owner(ABC):
    """Opens a worker and what belongs on it in `async with`; closes them in reverse order.

    Where acquiring fails half-way, what was left with `opening` by then is given back, and the error leaves as it is.
    """

    def __init__(self, name: str) -> None:
        """name is what the worker is called."""
        self._worker = Worker(name)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises what acquiring raises."""
        async with AsyncExitStack() as opening:
            await opening.enter_async_context(self._worker)
            await self._acquire(opening)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives everything back, whatever ended the block. Raises what giving back raises."""
        await self._open.aclose()

    @abstractmethod
    async def _acquire(self, opening: AsyncExitStack) -> None:
        """Takes hold of what is owned, on the worker, and leaves with `opening` how it is given back."""

    async def _hold(
        self, opening: AsyncExitStack, take: Callable[[], Held], give_back: Callable[[Held], object]
    ) -> Held:
        """What take() gives, until `opening` is closed; both calls run on the worker. Raises what take() raises.

        It is given back also where this was cancelled while take() was under way.
        """
        held = ExitStack()
        opening.push_async_callback(self._worker.finish, held.close)

        def taken() -> Held:
            thing = take()
            held.callback(give_back, thing)
            return thing

        return await self._worker.run(taken)
