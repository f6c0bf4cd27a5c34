"""Something that is looked after again and again beside the frames, on a thread of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from realtime.flow.worker import Worker

logger = logging.getLogger(__name__)


@asynccontextmanager
async def every(seconds: float, name: str, work: Callable[[], object]) -> AsyncIterator[None]:
    """Does the work while inside `async with`, with so many seconds in between; where it fails, the log says so."""

    async def repeated(worker: Worker) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await worker.run(work)
            except Exception:
                logger.exception("%s is looked after no more", name)
                return

    async with Worker(name) as worker:
        task = asyncio.create_task(repeated(worker), name=name)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
