"""The worker processes of one server: started, asked, watched, started again when they die, and ended."""

import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from realtime.cores import ALL, spread, written
from realtime.errors import LiveswapError
from realtime.settings import Settings
from realtime.swap.identity import Card
from realtime.webrtc.lobby import ANSWER_S
from realtime.webrtc.media import MediaSettings
from realtime.webrtc.orders import ENDED, FAILED, READY, Orders
from realtime.webrtc.serving import ServeSettings
from realtime.webrtc.whereabouts import Whereabouts

logger = logging.getLogger(__name__)

STARTING_S: Final = 60.0  # for a worker to load its models
END_S: Final = 2.0  # for a worker to end; then it is killed
ASK_S: Final = ANSWER_S + 5.0  # for an answer
PULSE_S: Final = 5.0  # between two looks at whether a worker still answers
HUNG_S: Final = 20.0  # one that has not answered for so long is killed
FIRST_PAUSE_S: Final = 0.5  # before a worker that died is started again; doubled each time
LONGEST_PAUSE_S: Final = 30.0
WELL_S: Final = 60.0  # who lived for so long died of something new, and pauses begin anew
PROGRAM: Final = (  # with this process's way to find modules, so that it is the same program
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from realtime.webrtc.worker_process import main; main()"
)
LONGEST_LINE: Final = 1 << 20  # bytes of what a worker says, the cards of its identities included


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker answered."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class WorkerGone(LiveswapError):
    """A worker ended, or fell silent, before it had answered."""


class WorkerProcess:
    """One process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, orders: Orders, ended: Callable[[str], None]) -> None:
        """ended hears the key of each session that is over."""
        self._process = process
        self._ended = ended
        self._ready: asyncio.Future[tuple[Card, ...]] = asyncio.get_running_loop().create_future()
        self._client = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(orders.socket, limit=0), timeout=aiohttp.ClientTimeout(ASK_S)
        )
        self._hearing = asyncio.create_task(self._hear())
        self.since = time.monotonic()

    @classmethod
    async def started(cls, orders: Orders, ended: Callable[[str], None]) -> "WorkerProcess":
        """A process that has its orders and loads its models."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", PROGRAM, json.dumps(sys.path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which ends the others
            limit=LONGEST_LINE,
        )
        assert process.stdin is not None
        with suppress(ConnectionError):  # one that is gone already says so by its end
            process.stdin.write(orders.packed())
            await process.stdin.drain()
        return cls(process, orders, ended)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    async def ready(self) -> tuple[Card, ...]:
        """Who a face can become, once the worker takes requests. Raises LiveswapError where it never will."""
        try:
            async with asyncio.timeout(STARTING_S):
                return await asyncio.shield(self._ready)
        except TimeoutError:
            raise LiveswapError(f"a worker was not ready after {STARTING_S:g} s") from None

    async def over(self) -> int:
        """The exit code, once the process has ended, by itself or because it no longer answered."""
        pulse = asyncio.create_task(self._feel())
        try:
            return await self._process.wait()
        finally:
            pulse.cancel()

    async def ask(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        seconds: float = ASK_S,
    ) -> Answer:
        """The worker's answer; the address as it stands in a request. Raises WorkerGone."""
        url = URL(f"http://worker{address}", encoded=True)
        bare = ("Content-Type", "User-Agent", "Accept", "Accept-Encoding")
        try:
            async with self._client.request(
                method,
                url,
                headers=headers,
                data=body or None,
                skip_auto_headers=bare,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(seconds),
            ) as answer:
                return Answer(answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise WorkerGone(f"a worker did not answer {method}: {type(error).__name__}") from error

    async def end(self) -> None:
        """Ends the process, kindly and then not."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(END_S):
                    await self._process.wait()
            except TimeoutError:
                self.kill()
                await self._process.wait()
        await self._hearing
        await self._client.close()

    def kill(self) -> None:
        """Ends the process at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _hear(self) -> None:
        """Takes what the worker says, until its end."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            ((what, value),) = json.loads(line).items()
            if what == ENDED:
                self._ended(value)
            elif what == READY and not self._ready.done():
                self._ready.set_result(tuple(Card(**card) for card in value))
            elif what == FAILED and not self._ready.done():
                self._ready.set_exception(LiveswapError(value))
        code = await self._process.wait()
        if not self._ready.done():
            self._ready.set_exception(LiveswapError(f"a worker ended with exit code {code} before it was ready"))
        self._ready.exception()  # whoever waits hears of it; where nobody does, that is no fault

    async def _feel(self) -> None:
        """Kills a process that lives and answers no more."""
        heard = time.monotonic()
        while True:
            await asyncio.sleep(PULSE_S)
            try:
                await self.ask("GET", "/healthz", seconds=HUNG_S)
                heard = time.monotonic()
            except WorkerGone:
                if time.monotonic() - heard >= HUNG_S:
                    logger.error("a worker has not answered for %.0f s and is killed", time.monotonic() - heard)
                    self.kill()
                    return


class Pauses:
    """How long to wait before a worker is started again: longer each time, unless it had lived well."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE_S

    def after(self, lived: float) -> float:
        """Seconds to wait after a life of so many."""
        pause = FIRST_PAUSE_S if lived > WELL_S else self._next
        self._next = min(2 * pause, LONGEST_PAUSE_S)
        return pause


class Workers:
    """All worker processes of a server, open between `async with` and its end."""

    def __init__(
        self, settings: Settings, media: MediaSettings, serving: ServeSettings, where: Whereabouts, verbose: int = 0
    ) -> None:
        self._makings = (settings, media, serving, verbose)
        self._cores = spread(settings.cores, settings.threads, serving.workers)
        self._where = where
        self._alive: dict[int, WorkerProcess] = {}  # by number, those that take requests
        self._keeping: list[asyncio.Task[None]] = []
        self.numbers = range(serving.workers)
        self.restarts = [0] * serving.workers
        self.cards: tuple[Card, ...] = ()

    async def __aenter__(self) -> Self:
        """Starts all of them. Raises LiveswapError where one cannot work."""
        self._folder = tempfile.TemporaryDirectory(prefix="liveswap-", ignore_cleanup_errors=True)  # ours alone
        starting = [asyncio.create_task(self._start(number)) for number in self.numbers]
        try:
            said = await asyncio.gather(*starting, return_exceptions=True)
            if faults := [one for one in said if isinstance(one, BaseException)]:
                raise faults[0]  # the others are most often the same one
        except BaseException:
            for one in starting:
                one.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
            await self._end()
            raise
        self._keeping = [asyncio.create_task(self._keep(number)) for number in self.numbers]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for keeping in self._keeping:
            keeping.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        await self._end()

    def __len__(self) -> int:
        """How many take requests."""
        return len(self._alive)

    def __contains__(self, number: int) -> bool:
        """Whether that worker takes requests."""
        return number in self._alive

    def __getitem__(self, number: int) -> WorkerProcess:
        """That worker. Raises WorkerGone while it is not there."""
        if (found := self._alive.get(number)) is None:
            raise WorkerGone(f"worker {number} is not there")
        return found

    def emptiest(self) -> int | None:
        """The worker with the fewest sessions; None while there is no worker at all."""
        return min(self._alive, key=lambda number: (self._where.held(number), number), default=None)

    async def _start(self, number: int) -> None:
        settings, media, serving, verbose = self._makings
        cores = self._cores[number].cores
        settings = replace(settings, cores=ALL if cores is None else written(cores))
        orders = Orders(str(Path(self._folder.name) / str(number)), settings, media, serving, verbose)
        beginning = asyncio.create_task(WorkerProcess.started(orders, self._where.forget))
        try:
            process = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await (await beginning).end()  # one that is half made cannot be left to itself
            raise
        try:
            self.cards = await process.ready()
        except BaseException:
            await process.end()
            raise
        self._alive[number] = process
        logger.info("worker %d is process %d", number, process.pid)

    async def _keep(self, number: int) -> None:
        """Starts a worker again as often as it dies."""
        pauses = Pauses()
        while True:
            process = self._alive[number]
            code = await process.over()
            del self._alive[number]
            lost = self._where.lose(number)
            await process.end()
            pause = pauses.after(time.monotonic() - process.since)
            logger.error("worker %d ended with exit code %d, and %d sessions with it", number, code, lost)
            while number not in self._alive:
                await asyncio.sleep(pause)
                self.restarts[number] += 1
                try:
                    await self._start(number)
                except LiveswapError as error:
                    pause = pauses.after(0.0)
                    logger.error("worker %d does not start, next try in %g s: %s", number, pause, error)

    async def _end(self) -> None:
        alive, self._alive = tuple(self._alive.values()), {}
        await asyncio.gather(*(process.end() for process in alive))
        self._folder.cleanup()


def threads_each(threads: int, workers: int, cores: int) -> int:
    """How many threads the models of each worker get, so that all together take no more than the cores."""
    return max(1, min(threads, cores // workers))
