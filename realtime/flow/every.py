"""Something that is looked after again and again beside the frames, on a thread of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from realtime.flow.worker import Worker

logger = logging.getLogger(__name__)


@asynccontextmanager
async def every(seconds: float, name: str, work: Callable[[], object]) -> AsyncIterator[None]:
    """Does the work while inside `async with`, with so many seconds in between.

    Where it fails, the log says so once, and it is tried again: what fails now may be a matter of a moment.
    """

    async def repeated(worker: Worker) -> None:
        failing = False
        while True:
            await asyncio.sleep(seconds)
            try:
                await worker.run(work)
            except Exception:
                if not failing:
                    logger.exception("%s could not be looked after, and is tried again", name)
                failing = True
            else:
                failing = False

    async with Worker(name) as worker:
        task = asyncio.create_task(repeated(worker), name=name)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
